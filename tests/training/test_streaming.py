"""Streamed images give what images in memory give: the same losses, parameters and words."""

import functools
import os
import signal
import subprocess
import sys
import types

import jax
import numpy as np
import pytest

from mmer_jax import errors, models, training
from mmer_jax.datasets import storage
from mmer_jax.datasets.selection import Examples
from mmer_jax.training import (
    batches,
    checkpoints,
    distributed,
    feeds,
    normalization,
    sharding,
    step,
    streaming,
)

STEP = 30 * 8 * 8 * (3 + 1)  # bytes of a batch of the task's images


@pytest.fixture
def one_device():
    return jax.devices()[:1]


@pytest.fixture
def two_steps(monkeypatch):
    """Windows of two steps on one device: of an epoch's three the last is in a padded window."""
    monkeypatch.setattr(streaming, "WINDOW_BYTES", 2 * STEP)


@pytest.fixture
def config(small_config):
    """Dropout is on already; here also random changes, and an average of the parameters."""
    small_config.augment.time_masks = 1
    small_config.augment.mixup = 0.4
    small_config.optimizer.ema_decay = 0.9
    small_config.run.predict_batch = 32  # does not divide 75
    return small_config


@pytest.fixture
def whole(task):
    """(arrays, examples, parts, standard): two people's images, audio that examples share."""
    arrays, examples = task
    mel = examples.indices["mel"] - examples.indices["mel"] % 2
    examples = Examples({**examples.indices, "mel": mel}, examples.label, examples.clip, examples.view)
    few = Examples(
        {name: rows[3:20] for name, rows in examples.indices.items()},
        *(field[3:20] for field in (examples.label, examples.clip, examples.view)),
    )
    standard = {}
    for name, array in arrays.items():
        group = (np.arange(len(array)) % 3 == 0).astype(np.int32)
        rows = np.arange(len(array))
        mean, deviation = normalization.measure_standard(array, rows, group, by_row=name == "mel")
        standard[name] = normalization.Standard(mean, deviation, group)
    return arrays, examples, {"test": examples, "few": few}, standard


def run(config, whole, folder, epochs, stream, **kwargs):
    arrays, examples, parts, standard = whole
    config.run.stream = stream
    measured = {}
    outcome = training.train(
        config,
        models.build(config),
        arrays,
        examples,
        parts,
        seed=0,
        measure_epochs=epochs,
        folder=folder,
        on_measure=lambda m: measured.__setitem__(m.epoch, m),
        standard=standard,
        **kwargs,
    )
    return outcome, measured


def assert_same(one, other):
    """Bit for bit: state, history and predictions."""
    (one, of_one), (other, of_other) = one, other
    jax.tree.map(np.testing.assert_array_equal, one.state, other.state)
    told = lambda history: [{k: e[k] for k in e if k != "seconds"} for e in history]  # noqa: E731
    assert told(one.history) == told(other.history)
    for epoch in of_one.keys() & of_other.keys():
        for part, said in of_one[epoch].probabilities.items():
            np.testing.assert_array_equal(said, of_other[epoch].probabilities[part])


@pytest.fixture
def in_memory(config, whole, tmp_path, one_device):
    return run(config, whole, tmp_path / "memory", (2, 3), False, devices_used=one_device)


def test_streamed_and_in_memory_are_the_same_bit_for_bit(
    config, whole, tmp_path, one_device, two_steps, in_memory
):
    streamed = run(config, whole, tmp_path / "a", (2, 3), True, devices_used=one_device)
    assert set(streamed[1]) == {2, 3}
    assert_same(streamed, in_memory)


def test_stopped_in_mid_epoch_and_continued_under_either_is_the_same(
    config, whole, tmp_path, one_device, two_steps, in_memory, monkeypatch
):
    """Stopped within a window, and where the second stream begins in one's middle."""
    config.run.chunk_seconds = 1e-6  # a chunk a step
    calls = []

    def signal_at_step_four(self):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    for name, before, after in (("b", True, True), ("c", False, True), ("d", True, False)):
        calls.clear()
        with monkeypatch.context() as patched:
            patched.setattr(checkpoints.Checkpoints, "is_due", signal_at_step_four)
            with pytest.raises(training.Interrupted):
                run(config, whole, tmp_path / name, (2, 3), before, devices_used=one_device)
        rest = run(config, whole, tmp_path / name, (2, 3), after, devices_used=one_device)
        assert rest[0].resumed_from == 4
        assert_same(rest, in_memory)


def test_four_devices_each_with_its_own_rows(config, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "WINDOW_BYTES", 2 * STEP // 4 + 500)
    config.optimizer.ema_decay = 0.0  # a smaller program, which takes less time to compile
    memory, of_memory = run(config, whole, tmp_path / "a", (2,), False)
    on_device = functools.partial(step.make_chunk, loop_on_device=True)  # as on accelerators
    monkeypatch.setattr(step, "make_chunk", on_device)
    streamed, of_streamed = run(config, whole, tmp_path / "b", (2,), True)
    assert jax.device_count() == 4
    for a, b in zip(memory.history, streamed.history, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-6)
    for part, said in of_memory[2].probabilities.items():
        np.testing.assert_allclose(of_streamed[2].probabilities[part], said, atol=1e-5)


def test_devices_look_among_their_own_rows(whole):
    """No image passes between devices, and each has its share of the window."""
    arrays, examples, _, standard = whole
    mesh = sharding.make_mesh()
    feed = streaming.Streamed(arrays, {"train": examples}, standard, mesh)
    (window,) = feed.windows("train", *batches.batches(75, 30, 32))
    assert (window.first, window.last) == (0, 3)
    shard = window.data.arrays["face"].addressable_shards[1].data
    third_batch = np.asarray(shard[:, 2])  # rows 8 to 15 of 15 examples; padding repeats the first
    np.testing.assert_array_equal(third_batch, arrays["face"][[*range(68, 75), 0]])
    index = jax.device_put(window.index[0], sharding.by_batch(mesh))
    take = jax.jit(lambda data, index: data.take(index))
    compiled = take.lower(window.data, index).compile().as_text()
    for word in ("all-gather", "all-reduce", "all-to-all", "collective"):
        assert word not in compiled


def test_every_image_is_where_the_order_says(whole, one_device, two_steps):
    arrays, examples, _, standard = whole
    mesh = sharding.make_mesh(one_device)
    order = batches.batches(75, 30, 30, seed=5)
    memory = feeds.InMemory(
        arrays, {name: np.arange(75) for name in arrays}, {"train": examples}, standard, mesh
    )
    (whole_epoch,) = memory.windows("train", *order)
    feed = streaming.Streamed(arrays, {"train": examples}, standard, mesh)
    seen = []
    for window in feed.windows("train", *order):
        for i in range(window.last - window.first):
            seen.append(window.first + i)
            images, label = window.data.take(window.index[i])
            expected, expected_label = whole_epoch.data.take(order[0][seen[-1]])
            np.testing.assert_array_equal(label, expected_label)
            np.testing.assert_array_equal(window.weight[i], order[1][seen[-1]])
            for name in arrays:
                np.testing.assert_allclose(images[name], expected[name], atol=1e-6)
    assert seen == [0, 1, 2]
    assert [w.first for w in feed.windows("train", *order, 2)] == [2]


def test_records_are_streamed_like_arrays(
    config, whole, tmp_path, one_device, two_steps, in_memory
):
    arrays, *rest = whole
    for name, array in arrays.items():
        storage.write_records(tmp_path / f"{name}.array_record", array)
    recorded = {
        name: storage.open_images(tmp_path, name, "array_record", array.shape)
        for name, array in arrays.items()
    }
    again = run(config, (recorded, *rest), tmp_path / "r", (2, 3), True, devices_used=one_device)
    assert_same(again, in_memory)
    loaded = run(config, (recorded, *rest), tmp_path / "l", (2, 3), False, devices_used=one_device)
    assert_same(loaded, in_memory)


def test_a_file_that_breaks_while_it_is_read_is_told(config, whole, tmp_path, one_device):
    class Broken(storage.Images):
        def _read(self, rows):
            raise errors.UserError("mel.array_record is missing or incomplete")

    arrays, *rest = whole
    broken = {**arrays, "mel": Broken(arrays["mel"].shape)}
    with pytest.raises(errors.UserError, match="array_record is missing"):
        run(config, (broken, *rest), tmp_path, (1,), True, devices_used=one_device)


def test_it_is_chosen_by_size(config, whole, monkeypatch):
    mesh = sharding.make_mesh()
    assert config.run.stream is None
    monkeypatch.setattr(feeds, "memory", lambda device: 1000)
    for at_once, most in ((0, 500 // 8), (2, 250), (1, 500)):  # each cell has its own images
        config.run.cells_at_once = at_once
        assert [feeds.is_streamed(config, n, mesh) for n in (most, most + 1)] == [False, True]
    for told in (False, True):
        config.run.stream = told
        assert [feeds.is_streamed(config, n, mesh) for n in (1, 10**9)] == [told, told]
    config.run.stream = None
    # The images in use count, and each once: 17 faces, and 9 spectrograms.
    arrays, _, parts, standard = whole
    few, in_use = {"few": parts["few"]}, 8 * 8 * (17 * 3 + 9)
    for limit, kind in ((in_use, feeds.InMemory), (in_use - 1, streaming.Streamed)):
        monkeypatch.setattr(feeds, "memory", lambda device, limit=limit: 2 * limit)
        assert isinstance(feeds.make_feed(config, arrays, few, standard, mesh), kind)
    monkeypatch.setattr(feeds, "memory", lambda device: 1000)
    monkeypatch.setattr(distributed, "spans", lambda mesh: True)  # each of four devices has a share
    monkeypatch.setattr(distributed, "agreed", lambda mesh, *values: values)
    assert [feeds.is_streamed(config, n, mesh) for n in (2000, 2001)] == [False, True]


def test_memory_is_what_a_device_tells_or_a_share_of_the_machines(one_device):
    gpu = types.SimpleNamespace(memory_stats=lambda: {"bytes_in_use": 3, "bytes_limit": 1000})
    assert feeds.memory(gpu) == 1000
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert feeds.memory(one_device[0]) == machine // 4  # of four simulated devices


def test_training_imports_nothing_that_makes_packs():
    """A machine with a pack and a GPU alone must be able to train."""
    program = (
        "import sys, pkgutil, importlib, mmer_jax.training as t\n"
        "for module in pkgutil.iter_modules(t.__path__):\n"
        "    importlib.import_module(f'{t.__name__}.{module.name}')\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'cv2', 'librosa', 'av', 'clu'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr

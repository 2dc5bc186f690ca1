"""Batches: every example once, in the order of the seed, on the right device, from any storage."""

import subprocess
import sys
import threading

import jax
import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.datasets import storage
from mmer_jax.datasets.selection import Examples
from mmer_jax.training import input_pipeline, normalization, sharding
from mmer_jax.training.normalization import Normalization


@pytest.fixture
def norm(task):
    """Statistics of two groups of images."""
    arrays, _ = task
    stats, groups = {}, {}
    for name, array in arrays.items():
        groups[name] = (np.arange(len(array)) % 3 == 0).astype(np.int32)
        index = np.arange(len(array))
        stats[name] = normalization.measure(array, index, groups[name], by_row=name == "mel")
    return Normalization(stats, groups)


@pytest.fixture
def shared_audio(task):
    """The task, with two examples for each spectrogram."""
    arrays, examples = task
    mel = examples.indices["mel"] - examples.indices["mel"] % 2
    indices = {**examples.indices, "mel": mel}
    return arrays, Examples(indices, examples.label, examples.clip, examples.view)


def read(arrays, examples, groups, devices, order, batch_size=30, first=0):
    pipeline = input_pipeline.InputPipeline(arrays, groups, sharding.make_mesh(devices))
    batches = pipeline.batches(examples.indices, examples.label, order, batch_size, first)
    return [jax.device_get(batch) for batch in batches]


def test_order_is_a_permutation_that_depends_on_seed_and_epoch():
    order = input_pipeline.shuffled(75, 1, 2)
    assert sorted(order.tolist()) == list(range(75))
    np.testing.assert_array_equal(order, input_pipeline.shuffled(75, 1, 2))
    assert not np.array_equal(order, input_pipeline.shuffled(75, 1, 3))
    assert not np.array_equal(order, input_pipeline.shuffled(75, 2, 2))


@pytest.mark.parametrize("number", [1, 4])
def test_every_example_is_in_one_batch_with_its_images_label_and_group(shared_audio, norm, number):
    arrays, examples = shared_audio
    order = input_pipeline.shuffled(75, 0, 0)
    batches = read(arrays, examples, norm.groups, jax.devices()[:number], order)
    assert [int(b["mask"].sum()) for b in batches] == [30, 30, 15]
    assert {len(b["label"]) for b in batches} == {30 if number == 1 else 32}
    for name in arrays:
        index = examples.indices[name][order]
        inputs = np.concatenate([b["inputs"][name][b["mask"] == 1] for b in batches])
        np.testing.assert_array_equal(inputs, arrays[name][index])
        group = np.concatenate([b["group"][name][b["mask"] == 1] for b in batches])
        np.testing.assert_array_equal(group, norm.groups[name][index])
        # Padding repeats the first example, so that no batch has an image of nobody.
        padding = batches[2]["inputs"][name][batches[2]["mask"] == 0]
        np.testing.assert_array_equal(
            padding, arrays[name][[examples.indices[name][0]]][[0] * len(padding)]
        )
    label = np.concatenate([b["label"][b["mask"] == 1] for b in batches])
    np.testing.assert_array_equal(label, examples.label[order])


def test_a_continued_epoch_starts_at_its_batch(task, one_device):
    arrays, examples = task
    order = input_pipeline.shuffled(75, 0, 0)
    epoch = read(arrays, examples, {}, one_device, order)
    rest = read(arrays, examples, {}, one_device, order, first=1)
    assert len(rest) == 2
    jax.tree.map(np.testing.assert_array_equal, epoch[1:], rest)


def test_each_device_holds_its_own_rows_of_a_batch(task):
    arrays, examples = task
    pipeline = input_pipeline.InputPipeline(arrays, {}, sharding.make_mesh(jax.devices()))
    batches = pipeline.batches(examples.indices, examples.label, np.arange(75), 30)
    last = list(batches)[2]["inputs"]["face"]  # examples 60 to 74, and padding
    shards = [np.asarray(shard.data) for shard in last.addressable_shards]
    assert [len(shard) for shard in shards] == [8, 8, 8, 8]
    np.testing.assert_array_equal(shards[1], arrays["face"][[*range(68, 75), 0]])


def test_records_are_read_like_arrays_bit_for_bit(small_config, task, tmp_path, train):
    pytest.importorskip("array_record")
    arrays, examples = task
    for name, array in arrays.items():
        storage.write_records(tmp_path / f"{name}.array_record", array)
    records = {
        name: storage.open_images(tmp_path, name, "array_record", array.shape)
        for name, array in arrays.items()
    }
    plain, of_plain = train(small_config, task, tmp_path / "a", (2,))
    recorded, of_recorded = train(small_config, (records, examples), tmp_path / "b", (2,))
    jax.tree.map(np.testing.assert_array_equal, plain.state, recorded.state)
    np.testing.assert_array_equal(
        of_plain[2].probabilities["test"], of_recorded[2].probabilities["test"]
    )


def test_an_error_of_a_reader_reaches_the_caller(small_config, task, tmp_path, train):
    class Broken(storage.Images):
        def _read(self, indices):
            raise errors.UserError("mel.array_record is missing or incomplete")

    arrays, examples = task
    broken = {**arrays, "mel": Broken(arrays["mel"].shape)}
    with pytest.raises(errors.UserError, match="array_record is missing"):
        train(small_config, (broken, examples), tmp_path, (1,))


def test_prefetch_keeps_the_order_and_reads_a_few_items_ahead():
    started, release = [], threading.Event()

    def load(item):
        started.append(item)
        if item == 0:
            release.wait(10)
        return item

    results = input_pipeline.prefetch(load, range(20), ahead=4)
    threading.Timer(0.2, release.set).start()
    assert next(results) == 0
    assert max(started) < 4
    assert list(results) == list(range(1, 20))


def test_prefetch_ends_with_its_reader():
    results = input_pipeline.prefetch(lambda item: item, iter(range(10**6)))
    assert next(results) == 0
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("reader")]


def test_training_imports_nothing_that_builds_datasets():
    """A machine with a pack and a GPU alone must be able to train."""
    program = (
        "import sys, pkgutil, importlib, mmer_jax.training as t\n"
        "for module in pkgutil.iter_modules(t.__path__):\n"
        "    importlib.import_module(f'{t.__name__}.{module.name}')\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'cv2', 'librosa', 'av', 'clu', 'grain'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr

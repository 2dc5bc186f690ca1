"""Two real processes of two devices each make one run, as on a pod; against one process of one."""

import json
import os
import re
import signal
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from mmer_jax.datasets import pack
from mmer_jax.results import predictions, records
from mmer_jax.training import checkpoints

EPOCHS = 3


# run.py, which streams in windows of two steps: of 30 examples of 1 KB each of 4 devices has 8.
SMALL_WINDOWS = """
import runpy
from mmer_jax.training import streaming
streaming.WINDOW_BYTES = 2 * 8 * 1024
runpy.run_path("run.py", run_name="__main__")
"""


def start(source, workdir, *more, devices=1):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)}
    command = [
        *(sys.executable, "-c", SMALL_WINDOWS, "--config=configs/demo.py", f"--workdir={workdir}"),
        *(f"--config.data.pack={source}", "--config.data.size=16", "--config.row=face_mel"),
        *("--config.data.intensities=strong", "--config.model.filters=(4,8)"),
        *("--config.rows.face_mel.model.hidden=(32,)", f"--config.epochs={EPOCHS}"),
        *("--config.run.tensorboard=False", "--config.run.chunk_seconds=0.01", *more),
    ]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(*processes):
    said = [process.communicate(timeout=300)[0] for process in processes]
    for process, text in zip(processes, said, strict=True):
        assert process.returncode == 0, text
    return said


def start_several(source, workdir, *more, processes=2, devices=2):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"--coordinator=localhost:{free.getsockname()[1]}"
    count = f"--processes={processes}"
    return [
        start(source, workdir, address, count, f"--process={i}", *more, devices=devices)
        for i in range(processes)
    ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, small_pack):
    """One process with one device: two seeds."""
    workdir = tmp_path_factory.mktemp("alone")
    finish(start(small_pack, workdir, "--config.seeds=0,1"))
    return workdir


LONG = "--config.epochs=100"  # to be stopped on the way


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, small_pack):
    """One process with one device: two seeds, long."""
    workdir = tmp_path_factory.mktemp("unbroken")
    finish(start(small_pack, workdir, "--config.seeds=0,1", LONG))
    return workdir


def assert_went_on_as(workdir, unbroken, cells):
    """Losses of so many cells are those of an unbroken run, with the same dropout.

    Rounding grows from step to step: it was 1e-7 in the first 50 epochs, 6e-6 in the last.
    """
    found, expected = losses(workdir), losses(unbroken)
    assert len(found) == cells
    for name, values in found.items():
        assert len(values) == 100
        np.testing.assert_allclose(values[:50], expected[name][:50], rtol=1e-5)
        np.testing.assert_allclose(values[50:], expected[name][50:], rtol=1e-3)


def losses(workdir):
    return {
        path.stem: [epoch["train_loss"] for epoch in json.loads(path.read_text())]
        for path in sorted((workdir / "curves").glob("*.json"))
    }


def params(workdir):
    return {p.name: checkpoints.load_params(p) for p in (workdir / "params").iterdir()}


def told(workdir):
    """Records without what differs between machines and moments."""
    drop = {*records.CLOCK, "device", "versions"}
    found = records.read(workdir / "records.jsonl")
    return sorted(
        ({k: v for k, v in r.items() if k not in drop} for r in found), key=lambda r: r["seed"]
    )


@pytest.fixture(scope="module")
def of_records(tmp_path_factory, small_pack):
    """The small pack, with its images as records."""
    plain = pack.open_pack(small_pack)
    folder = tmp_path_factory.mktemp("records") / "16px"
    return pack.write_pack(folder, plain.info, plain.table, plain.arrays, "array_record").path


@pytest.mark.parametrize("stream", [False, True])
def test_one_cell_is_trained_by_both_with_the_same_losses(
    small_pack, of_records, tmp_path, alone, stream
):
    """Dropout is on, and the batch of 30 is divided by 4 devices. Streamed from records each
    process reads its own rows of them."""
    used = of_records if stream else small_pack
    both = start_several(used, tmp_path, "--config.seeds=0", f"--config.run.stream={stream}")
    first, second = finish(*both)
    expected = {name: x for name, x in losses(alone).items() if name.endswith("seed0")}
    assert losses(tmp_path).keys() == expected.keys()
    for name, values in losses(tmp_path).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5)
        ours, theirs = (
            predictions.load(w / "predictions" / f"{name}.npz") for w in (tmp_path, alone)
        )
        for part in ours.examples:
            np.testing.assert_allclose(
                ours.examples[part].probabilities, theirs.examples[part].probabilities, atol=1e-4
            )
    # Only the first writes and tells.
    assert len(records.read(tmp_path / "records.jsonl")) == len(told(alone)) / 2
    assert "3/3 epochs" in first
    assert "epochs" not in second
    assert list((tmp_path / "params").iterdir())
    assert not list((tmp_path / "checkpoints").iterdir())


def test_each_process_trains_cells_of_its_own(small_pack, tmp_path, alone):
    said = finish(*start_several(small_pack, tmp_path, "--config.seeds=0,1"))
    for seed, text in enumerate(said):
        assert f"seed{seed}: 3/3 epochs" in text
        assert f"seed{1 - seed}: 3/3 epochs" not in text
    assert not list(tmp_path.glob("records.process*"))
    for ours, theirs in zip(told(tmp_path), told(alone), strict=True):
        assert ours["seed"] == theirs["seed"]
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
        assert ours["confusion"] == theirs["confusion"]
    assert params(tmp_path).keys() == params(alone).keys()
    for name, tree in params(tmp_path).items():
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), tree, params(alone)[name]
        )
    # Nothing is left to do for one process alone.
    (again,) = finish(start(small_pack, tmp_path, "--config.seeds=0,1"))
    assert "2 already there" in again


def test_two_cells_are_trained_by_two_processes_each(small_pack, tmp_path, alone):
    """A mesh of two rows, each the devices of two processes; they know nothing of each other."""
    finish(*start_several(small_pack, tmp_path, "--config.seeds=0,1", processes=4, devices=1))
    assert losses(tmp_path).keys() == losses(alone).keys()
    for name, values in losses(tmp_path).items():
        np.testing.assert_allclose(values, losses(alone)[name], rtol=1e-5)
    assert params(tmp_path).keys() == params(alone).keys()
    assert [r["device"] for r in records.read(tmp_path / "records.jsonl")] == ["2 x cpu (cpu)"] * 2


def test_a_signal_to_one_stops_both_and_one_process_continues(small_pack, tmp_path, unbroken):
    long = ("--config.seeds=0", LONG)
    both = start_several(small_pack, tmp_path, *long)
    for line in both[0].stdout:
        if "/100 epochs" in line:
            break
    both[1].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [128 + signal.SIGTERM] * 2, said
    (saved,) = (tmp_path / "checkpoints").iterdir()
    assert list(saved.iterdir())
    (rest,) = finish(start(small_pack, tmp_path, *long))
    done = re.search(r"(\d+)/100 epochs \(", rest)  # the first that it tells of
    assert done is None or int(done[1]) > 1
    assert_went_on_as(tmp_path, unbroken, cells=1)


def test_each_process_saves_its_own_cells_and_one_process_continues_them(
    small_pack, tmp_path, unbroken
):
    often = ("--config.run.checkpoint_seconds=0", LONG, "--config.seeds=0,1")
    both = start_several(small_pack, tmp_path, *often)
    for process in both:
        for line in process.stdout:
            if "/100 epochs" in line:
                break
    for process in both:
        process.send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=100)[0] for process in both]
    assert [process.returncode for process in both] == [128 + signal.SIGTERM] * 2, said
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    shown = finish(start(small_pack, tmp_path, *often, "--config.run.checkpoint_seconds=60"))[0]
    first = [int(n) for n in re.findall(r"(\d+)/100 epochs \(", shown)]
    assert len(first) >= 2 and min(first) > 1, shown
    assert_went_on_as(tmp_path, unbroken, cells=2)

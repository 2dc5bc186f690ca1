"""Several real processes make one run, as on a pod, and are compared with one of one device.

Both add the same numbers in different orders, so their losses differ by rounding. Rounding stays
below 1e-6 of a loss until some step rounds a gradient to the other sign or a maximum to another
pixel; from there on the runs drift apart, and whether and when that happens differs from processor
to processor. So the runs that are compared either make few steps or make small ones.
"""

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


# run.py, streaming in windows of two steps: of 30 examples of 1 KB each of the 4 devices has 8.
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
    """Waits for processes that must succeed. Returns what each printed."""
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    return outputs


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


# Long enough to be stopped on the way. With a learning rate of 1e-5 no rounding moves a parameter
# far: the losses differ by 2e-7 over all 100 epochs, where with the default of 3e-4 they came to
# differ by 1e-3. A wrong batch, dropout mask or optimizer state shows all the same.
LONG = ("--config.epochs=100", "--config.optimizer.learning_rate=1e-5")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, small_pack):
    """One process with one device: two seeds, long."""
    workdir = tmp_path_factory.mktemp("uninterrupted")
    finish(start(small_pack, workdir, "--config.seeds=0,1", *LONG))
    return workdir


def assert_same_losses(workdir, expected_workdir, cells):
    """So many cells were trained, each with the losses of the uninterrupted run."""
    actual, expected = losses(workdir), losses(expected_workdir)
    assert len(actual) == cells
    for name, values in actual.items():
        assert len(values) == 100
        np.testing.assert_allclose(values, expected[name], rtol=1e-5)


def losses(workdir):
    return {
        path.stem: [epoch["train_loss"] for epoch in json.loads(path.read_text())]
        for path in sorted((workdir / "curves").glob("*.json"))
    }


def params(workdir):
    return {p.name: checkpoints.load_params(p) for p in (workdir / "params").iterdir()}


def read_records(workdir):
    """The records by seed, without the fields that differ between machines and moments."""
    drop = {*records.CLOCK, "device", "versions"}
    return sorted(
        (
            {field: value for field, value in record.items() if field not in drop}
            for record in records.read(workdir / "records.jsonl")
        ),
        key=lambda record: record["seed"],
    )


@pytest.fixture(scope="module")
def array_record_pack(tmp_path_factory, small_pack):
    """The small pack, with its images in ArrayRecord files."""
    plain = pack.open_pack(small_pack)
    folder = tmp_path_factory.mktemp("records") / "16px"
    return pack.write_pack(folder, plain.info, plain.table, plain.arrays, "array_record").path


@pytest.mark.parametrize("stream", [False, True])
def test_one_cell_is_trained_by_both_with_the_same_losses(
    small_pack, array_record_pack, tmp_path, alone, stream
):
    """Dropout is on, and the batch of 30 is divided among 4 devices. When streaming, each process
    reads its own examples."""
    source = array_record_pack if stream else small_pack
    both = start_several(source, tmp_path, "--config.seeds=0", f"--config.run.stream={stream}")
    first, second = finish(*both)
    expected_losses = {name: x for name, x in losses(alone).items() if name.endswith("seed0")}
    assert losses(tmp_path).keys() == expected_losses.keys()
    for name, values in losses(tmp_path).items():
        np.testing.assert_allclose(values, expected_losses[name], rtol=1e-5)
        actual, expected = (
            predictions.load(w / "predictions" / f"{name}.npz").examples for w in (tmp_path, alone)
        )
        for subset in actual:
            np.testing.assert_allclose(
                actual[subset].probabilities, expected[subset].probabilities, atol=1e-4
            )
    # Only the first process writes and prints.
    assert len(records.read(tmp_path / "records.jsonl")) == len(read_records(alone)) / 2
    assert "3/3 epochs" in first
    assert "epochs" not in second
    assert list((tmp_path / "params").iterdir())
    assert not list((tmp_path / "checkpoints").iterdir())


def test_each_process_trains_cells_of_its_own(small_pack, tmp_path, alone):
    outputs = finish(*start_several(small_pack, tmp_path, "--config.seeds=0,1"))
    for seed, output in enumerate(outputs):
        assert f"seed{seed}: 3/3 epochs" in output
        assert f"seed{1 - seed}: 3/3 epochs" not in output
    assert not list(tmp_path.glob("records.process*"))
    for actual, expected in zip(read_records(tmp_path), read_records(alone), strict=True):
        assert actual["seed"] == expected["seed"]
        assert actual["loss"] == pytest.approx(expected["loss"], rel=1e-4)
        assert actual["confusion"] == expected["confusion"]
    assert params(tmp_path).keys() == params(alone).keys()
    for name, tree in params(tmp_path).items():
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), tree, params(alone)[name]
        )
    # Nothing is left to do for one process alone.
    (output,) = finish(start(small_pack, tmp_path, "--config.seeds=0,1"))
    assert "2 already there" in output


def test_two_cells_are_trained_by_two_processes_each(small_pack, tmp_path, alone):
    """The mesh has two groups, each of two processes' devices, which never exchange anything."""
    finish(*start_several(small_pack, tmp_path, "--config.seeds=0,1", processes=4, devices=1))
    assert losses(tmp_path).keys() == losses(alone).keys()
    for name, values in losses(tmp_path).items():
        np.testing.assert_allclose(values, losses(alone)[name], rtol=1e-5)
    assert params(tmp_path).keys() == params(alone).keys()
    assert [r["device"] for r in records.read(tmp_path / "records.jsonl")] == ["2 x cpu (cpu)"] * 2


def test_a_signal_to_one_stops_both_and_one_process_continues(small_pack, tmp_path, uninterrupted):
    both = start_several(small_pack, tmp_path, "--config.seeds=0", *LONG)
    wait_for_progress(both[0])
    both[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [128 + signal.SIGTERM] * 2, outputs
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    assert list(checkpoint.iterdir())
    (output,) = finish(start(small_pack, tmp_path, "--config.seeds=0", *LONG))
    first = re.search(r"(\d+)/100 epochs \(", output)
    assert first is None or int(first[1]) > 1
    assert_same_losses(tmp_path, uninterrupted, cells=1)


def test_each_process_saves_its_own_cells_and_one_process_continues_them(
    small_pack, tmp_path, uninterrupted
):
    often = ("--config.run.checkpoint_seconds=0", *LONG, "--config.seeds=0,1")
    both = start_several(small_pack, tmp_path, *often)
    for process in both:
        wait_for_progress(process)
    for process in both:
        process.send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=100)[0] for process in both]
    assert [process.returncode for process in both] == [128 + signal.SIGTERM] * 2, outputs
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    (output,) = finish(start(small_pack, tmp_path, *often, "--config.run.checkpoint_seconds=60"))
    first = [int(n) for n in re.findall(r"(\d+)/100 epochs \(", output)]
    assert len(first) >= 2 and min(first) > 1, output
    assert_same_losses(tmp_path, uninterrupted, cells=2)


def wait_for_progress(process):
    """Reads a process's output until it has printed how many epochs are done."""
    for line in process.stdout:
        if "/100 epochs" in line:
            break

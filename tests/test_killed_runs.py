"""A run killed anywhere goes on, and ends with what a run never killed ends with, bit for bit."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from mmer_jax.results import records


def run(workdir, pack, where=""):
    environment = {**os.environ, "PYTHONPATH": ".", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "tests/run_and_dump.py", str(workdir), str(pack), where]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def results(workdir):
    with np.load(workdir / "state.npz") as stored:
        state = dict(stored)
    resumed_from = int(state.pop("resumed_from"))
    kept = [
        {k: v for k, v in record.items() if k not in records.CLOCK}
        for record in records.read(workdir / "records.jsonl")
    ]
    predictions = {p.name: p.read_bytes() for p in (workdir / "predictions").iterdir()}
    return resumed_from, state, kept, predictions


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory, small_pack):
    workdir = tmp_path_factory.mktemp("never_killed")
    done = run(workdir, small_pack)
    assert done.returncode == 0, done.stderr
    return results(workdir)


@pytest.mark.parametrize("where", ["step", "save", "record"])
def test_a_killed_run_ends_like_one_never_killed(where, tmp_path, small_pack, never_killed):
    killed = run(tmp_path, small_pack, where)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if where == "save":  # it was not whole yet
        assert list(tmp_path.glob("checkpoints/*/*tmp*"))
    done = run(tmp_path, small_pack)
    assert done.returncode == 0, done.stderr

    resumed_from, state, kept, predictions = results(tmp_path)
    _, expected_state, expected_kept, expected_predictions = never_killed
    assert 0 < resumed_from < int(expected_state[".step"])
    assert state.keys() == expected_state.keys()
    for name, value in expected_state.items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)
    assert [r["epochs"] for r in kept] == [2, 4]
    assert kept == expected_kept
    assert predictions == expected_predictions
    assert not list((tmp_path / "checkpoints").iterdir())  # finished: only parameters are kept
    assert (tmp_path / "params").exists()


def test_the_state_holds_the_optimizers_too(never_killed):
    _, state, _, _ = never_killed
    assert any("opt_state" in name and ".mu" in name for name in state)

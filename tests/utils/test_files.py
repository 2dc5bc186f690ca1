"""Atomic writes, also of processes that are killed; locks between processes; digests."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading

import filelock
import numpy as np
import pytest

from mmer_jax.utils import files


@contextlib.contextmanager
def running(program: str, *arguments):
    """Runs a Python program, waits for its first line, and kills it at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": "."},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_atomic_write_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with files.atomic_write(path) as file:
        file.write("old")
    with files.atomic_write(path) as file:
        file.write("größer")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_bytes() == "größer".encode()
    assert os.listdir(path.parent) == ["file.txt"]


def test_atomic_write_of_bytes(tmp_path):
    with files.atomic_write(str(tmp_path / "array.npy"), "wb") as file:
        np.save(file, np.arange(5))
    np.testing.assert_array_equal(np.load(tmp_path / "array.npy"), np.arange(5))


def test_exception_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyError), files.atomic_write(path) as file:
        file.write("new")
        raise KeyError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_exception_leaves_no_new_file(tmp_path):
    with pytest.raises(KeyError), files.atomic_write(tmp_path / "file.txt"):
        raise KeyError
    assert os.listdir(tmp_path) == []


def test_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    program = """
import sys, time
from mmer_jax.utils import files
with files.atomic_write(sys.argv[1]) as file:
    file.write("new" * 100_000)
    file.flush()
    print("ready", flush=True)
    time.sleep(60)
"""
    with running(program, path) as process:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert path.read_text() == "old"
    with files.atomic_write(path) as file:  # the next process is not disturbed by the leftover
        file.write("next")
    assert path.read_text() == "next"


def test_write_json(tmp_path):
    value = {"b": [1, 2.5, None], "a": "é"}
    files.write_json(tmp_path / "one.json", value)
    files.write_json(tmp_path / "two.json", value, indent=2)
    one, two = ((tmp_path / name).read_text() for name in ("one.json", "two.json"))
    assert json.loads(one) == json.loads(two) == value
    assert one.endswith("\n") and one.count("\n") == 1
    assert two.index('"a"') < two.index('"b"')


def test_value_that_is_not_json_leaves_the_old_file(tmp_path):
    files.write_json(tmp_path / "file.json", 1)
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "file.json", [2, object()])
    assert (tmp_path / "file.json").read_text() == "1\n"


HOLD_LOCK = """
import sys, time
from mmer_jax.utils import files
with files.lock(sys.argv[1]):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_lock_excludes_another_process_until_it_is_killed(tmp_path):
    path = tmp_path / ".lock"
    with running(HOLD_LOCK, path) as process:
        with pytest.raises(filelock.Timeout), files.lock(path, timeout=0):
            pass
        process.kill()
        process.wait()
        with files.lock(path, timeout=10):
            pass


def test_lock_excludes_another_thread(tmp_path):
    path = tmp_path / ".lock"
    outcomes = []

    def try_to_lock():
        try:
            with files.lock(path, timeout=0):
                outcomes.append("locked")
        except filelock.Timeout:
            outcomes.append("timeout")

    def run_thread():
        thread = threading.Thread(target=try_to_lock)
        thread.start()
        thread.join()

    with files.lock(path):
        run_thread()
    run_thread()
    assert outcomes == ["timeout", "locked"]


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_digest_is_that_of_hashlib(tmp_path, size):
    content = np.random.default_rng(0).bytes(size)
    (tmp_path / "file").write_bytes(content)
    assert files.digest(tmp_path / "file") == hashlib.sha256(content).hexdigest()

"""run.py as a user calls it: mistakes get one clear line, and no traceback."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmer_jax.results import records
from tests import forked


def run(*arguments):
    return subprocess.run(
        [sys.executable, "run.py", *map(str, arguments)],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def run_mistaken(tmp_path_factory):
    """A function that runs run.py with arguments that stop it before it trains."""
    with forked.server(tmp_path_factory.mktemp("output")) as run_program:
        yield functools.partial(run_program, "run.py")


STRONG = "--config=configs/ravdess_strong.py"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config=configs/nothing.py"], "configs/nothing.py"),
        ([STRONG, "--config.epcohs=2"], "no field 'epcohs'; did you mean 'epochs'? Known there: "),
        ([STRONG, "--config.epochs=two"], "epochs"),
        ([STRONG, "--nonsense"], "nonsense"),
        ([STRONG, "--processes=2"], "all three are needed: --coordinator=HOST:PORT"),
        ([STRONG + ":voice"], "unknown row 'voice'; known: face, face_flow, "),
    ],
)
def test_mistakes_are_one_clear_line(run_mistaken, arguments, message, tmp_path):
    done = run_mistaken(*arguments, f"--workdir={tmp_path}/w", f"--config.data.data_dir={tmp_path}")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert not (tmp_path / "w" / "records.jsonl").exists()


def test_a_config_file_in_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = Path("configs/ravdess_strong.py").resolve()
    (tmp_path / "mine.py").symlink_to(config)
    done = run("--config=~/mine.py", "--config.epcohs=2", f"--workdir={tmp_path}/w")
    assert done.returncode == 1
    assert "no field 'epcohs'; did you mean 'epochs'?" in done.stderr


def test_without_a_config_it_says_which_to_try(run_mistaken):
    done = run_mistaken()
    assert done.returncode == 1
    assert done.stderr == "run.py: --config is missing; try --config=configs/demo.py\n"


def test_with_nothing_to_train_from_it_names_all_three_ways(run_mistaken, tmp_path):
    done = run_mistaken(STRONG, f"--config.data.data_dir={tmp_path}", f"--workdir={tmp_path}/w")
    assert done.returncode == 1
    for way in ("--config.data.manual_dir", "--config.data.download", "--config.data.pack"):
        assert way in done.stderr
    assert "Traceback" not in done.stderr


def small(pack, workdir, *more):
    return [
        STRONG + ":mel,face_mel",
        f"--workdir={workdir}",
        f"--config.data.pack={pack}",
        "--config.data.size=16",
        "--config.model.filters=(4, 8)",
        "--config.model.hidden=(16,)",
        "--config.run.tensorboard=False",
        *more,
    ]


# Stands in front of run.py and hides every module that a GPU host may lack.
WITHOUT = """
import importlib.util, runpy, sys
absent = {"tensorflow", "tensorflow_datasets", "clu", "cv2", "librosa", "av", "soxr"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])
sys.meta_path.insert(0, Absent())
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in absent else find_spec(name, *a)
sys.argv = sys.argv[1:]
runpy.run_path("run.py", run_name="__main__")
"""


def test_it_trains_from_a_pack_without_tensorflow(small_pack, tmp_path):
    arguments = small(small_pack, tmp_path / "w", "--config.epochs=2", "--config.seeds=0,1")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "run.py", *arguments, "--config.run.tensorboard=True"],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "no TensorBoard files: they need clu and TensorFlow" in done.stderr
    found = records.read(tmp_path / "w" / "records.jsonl")
    assert [(r["row"], r["seed"], r["epochs"]) for r in found] == [
        ("mel", 0, 2),
        ("mel", 1, 2),
        ("face_mel", 0, 2),
        ("face_mel", 1, 2),
    ]
    assert all(r["paper_accuracy"] is None for r in found)  # the pack says that it is rendered
    assert "mel" in done.stdout and (tmp_path / "w" / "report" / "index.html").exists()

    missing = subprocess.run(
        [sys.executable, "-c", WITHOUT, "run.py", STRONG, f"--workdir={tmp_path}/v"],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert missing.returncode == 1
    assert "which is not installed" in missing.stderr
    assert "--config.data.pack" in missing.stderr


def test_sigterm_saves_and_the_same_command_continues(small_pack, tmp_path):
    workdir = tmp_path / "w"
    arguments = small(small_pack, workdir, "--config.epochs=100000", "--config.row=mel")
    process = subprocess.Popen(
        [sys.executable, "run.py", *arguments],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (workdir / "records.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.2)  # ten epochs are measured: it trains
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert "the state is saved; the same command continues" in message
    assert "Traceback" not in message
    (checkpoint,) = (workdir / "checkpoints").iterdir()
    assert [p.name for p in checkpoint.iterdir() if p.name.isdigit()]


def test_another_config_in_the_same_workdir_is_refused(small_pack, tmp_path):
    arguments = small(small_pack, tmp_path / "w", "--config.row=mel")
    assert run(*arguments, "--config.epochs=1").returncode == 0
    again = run(*arguments, "--config.epochs=1", "--config.seeds=0,1")
    assert again.returncode == 0
    assert "2 cells requested, 1 finished" in again.stderr
    done = run(*arguments, "--config.epochs=1", "--config.batch_size=31")
    assert done.returncode == 1
    assert "batch_size: there 30, now 31" in done.stderr

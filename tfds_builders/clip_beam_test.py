"""Builds with Apache Beam on its local runner: the same dataset, errors and names as without Beam.

The tests use FnApiRunner, since DirectRunner tries to download its successor.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from mmer_jax import errors
from mmer_jax.datasets import tfds_io
from mmer_jax.synthetic.ravdess import render_ravdess
from tfds_builders.ravdess import ravdess_dataset_builder as builder_module

HERE = Path(builder_module.__file__).parent
DAMAGED = "01-01-03-01-01-01-01"


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory) -> Path:
    """Two good clips, a damaged clip, and one with an invalid name."""
    folder = tmp_path_factory.mktemp("manual")
    clips = render_ravdess(
        folder,
        actors=1,
        emotions=["anger", "calm"],
        intensities=["normal"],
        statements=[1],
        repetitions=[1],
        size=(160, 120),
        seconds=0.8,
        workers=1,
    )
    content = clips[0].read_bytes()
    (folder / "Actor_01" / f"{DAMAGED}.mp4").write_bytes(content[: len(content) // 2])
    (folder / "holiday.mp4").write_bytes(content)
    return folder


def build(manual_dir, data_dir, *, with_beam=True, strict=False, **more):
    """Builds triplets in this process and returns the built dataset."""
    if with_beam:
        more["beam_options"] = beam.options.pipeline_options.PipelineOptions(runner="FnApiRunner")
    config = builder_module.RavdessConfig(name="triplets", strict=strict, workers=1)
    builder = builder_module.Builder(config=config, data_dir=data_dir)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, **more)
    )
    return tfds_io.open_built(builder.data_dir)


@pytest.fixture(scope="module")
def plain(manual_dir, tmp_path_factory):
    return build(manual_dir, tmp_path_factory.mktemp("plain"), with_beam=False)


def assert_same(one, other):
    assert one.metadata == other.metadata
    one, other = (
        {(e["clip"], int(e["view"])): e for e in tfds_io.read(built)} for built in (one, other)
    )
    assert len(one) == 6 and one.keys() == other.keys()
    for key in one:
        assert one[key].keys() == other[key].keys()
        for name in one[key]:
            np.testing.assert_array_equal(one[key][name], other[key][name])


def get_summary(stderr: str) -> list[str]:
    """Returns the lines of the summary from the standard error of a build."""
    lines = stderr.splitlines()
    return lines[next(i for i, line in enumerate(lines) if "recordings used" in line) :]


def test_dataset_is_the_same_as_without_beam(plain, manual_dir, tmp_path, capsys):
    cv2.setNumThreads(2)
    built = build(manual_dir, tmp_path / "beam")
    assert cv2.getNumThreads() == 1  # the worker runs in this process
    with_beam = get_summary(capsys.readouterr().err)
    assert_same(plain, built)
    assert built.metadata["skipped"] == {"bad name": ["holiday"], "truncated": [DAMAGED]}
    files = {file.name for file in plain.data_dir.iterdir()}
    assert {file.name for file in built.data_dir.iterdir()} == files
    build(manual_dir, tmp_path / "again", with_beam=False)
    assert with_beam == get_summary(capsys.readouterr().err)
    assert len(with_beam) == 3 and with_beam[0].endswith("2 of 4 recordings used")


def test_strict_ends_the_build_and_leaves_nothing(manual_dir, tmp_path):
    (tmp_path / "manual").mkdir()
    for clip in (manual_dir / "Actor_01").iterdir():
        (tmp_path / "manual" / clip.name).symlink_to(clip)
    messages = []
    for with_beam in (False, True):
        with pytest.raises(errors.UserError) as raised:
            build(tmp_path / "manual", tmp_path / "data", with_beam=with_beam, strict=True)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
    assert messages[0].startswith(f"{DAMAGED} cannot be used: truncated")
    assert not list(tmp_path.glob("data/ravdess/triplets/*"))


def test_no_usable_clip_at_all(manual_dir, tmp_path):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / f"{DAMAGED}.mp4").write_bytes(b"")
    messages = []
    for with_beam in (False, True):
        with pytest.raises(errors.UserError) as raised:
            build(tmp_path / "manual", tmp_path / "data", with_beam=with_beam)
        messages.append(str(raised.value))
    assert messages == [f"none of 1 recordings can be used: empty file: {DAMAGED}"] * 2
    assert not list(tmp_path.glob("data/ravdess/triplets/*"))


def test_errors_before_any_recording_is_processed(manual_dir, tmp_path, monkeypatch):
    with pytest.raises(errors.UserError, match="which does not exist"):
        build(tmp_path / "no", tmp_path)
    with pytest.raises(errors.UserError, match="max_examples_per_split is not supported"):
        build(manual_dir, tmp_path, max_examples_per_split=2)
    monkeypatch.delitem(sys.modules, "tfds_builders.clip_beam", raising=False)
    monkeypatch.delattr(sys.modules["tfds_builders"], "clip_beam", raising=False)
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(errors.UserError, match=r"\(apache_beam\): pip install mmer-jax\[build\]"):
        build(manual_dir, tmp_path, beam_runner="FnApiRunner", with_beam=False)


def test_command_line_with_a_worker_process(plain, manual_dir, tmp_path):
    command = [
        *(
            sys.executable,
            "-c",
            "from tensorflow_datasets.scripts.cli.main import launch_cli as m; m()",
        ),
        *("build", f"--manual_dir={manual_dir}", f"--data_dir={tmp_path}", "--config=triplets"),
        "--beam_pipeline_options=runner=FnApiRunner,direct_num_workers=1,"
        "direct_running_mode=multi_processing",
    ]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent.parent)}
    completed = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr[-3000:]
    (info,) = tmp_path.glob("ravdess/triplets/1.0.0/dataset_info.json")
    assert json.loads((info.parent / "metadata.json").read_text())["skipped"]["bad name"]
    assert_same(plain, tfds_io.open_built(info.parent))
    assert "2 of 4 recordings used" in completed.stderr

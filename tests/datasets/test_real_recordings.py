"""Builds from original recordings; see the fixture real_data."""

import shutil

import numpy as np
import pytest
import soundfile

from mmer_jax.datasets import tfds_io


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def test_original_clips_are_built_without_their_video_only_copies(real_data, data_dir):
    manual = real_data / "ravdess_original_clips"
    built = tfds_io.ensure_built(data_dir=data_dir, manual_dir=manual, strict=True)
    names = {path.stem for path in manual.rglob("*.mp4")}
    examples = list(tfds_io.read(built, ["clip", "label", "face_found", "face_box", "frame_index"]))
    assert {e["clip"] for e in examples} == {name for name in names if name.startswith("01-")}
    assert built.metadata["source"]["left_out"] == {
        "video_only speech": sum(name.startswith("02-") for name in names)
    }
    for e in examples:
        assert e["face_found"] and 0 < e["frame_index"] < 130
        left, top, right, bottom = e["face_box"]
        # The actor is in the middle of a 1280x720 image.
        assert right - left == bottom - top and left < 640 < right and bottom <= 720


def test_video_only_clips_on_demand(real_data, data_dir):
    manual = real_data / "ravdess_original_clips"
    options = {"video_only": True, "detector": "none"}
    built = tfds_io.ensure_built(
        "ravdess", "triplets", options, data_dir=data_dir, manual_dir=manual
    )
    silent = [e for e in tfds_io.read(built, ["clip", "mel", "content_id"]) if e["clip"][1] == "2"]
    assert silent and not any(e["mel"].any() for e in silent)
    assert len({e["content_id"] for e in silent}) == len(silent) / 3


def test_speech_of_actor_7_and_its_identical_takes(real_data, tmp_path):
    """The one byte-identical pair of takes shares its content_id, and no other does."""
    source = real_data / "ravdess_speech_flac" / "Actor_07"
    if not source.is_dir():
        pytest.skip(f"no {source}")
    (tmp_path / "in").mkdir()
    for path in sorted(source.glob("03-01-0[13]-*.flac")):
        shutil.copy(path, tmp_path / "in")
    built = tfds_io.ensure_built("ravdess", "speech", data_dir=tmp_path, manual_dir=tmp_path / "in")
    examples = {e["clip"]: e for e in tfds_io.read(built)}
    assert len(examples) == 12
    content_ids = [examples[f"03-01-03-01-02-0{r}-07"]["content_id"] for r in (1, 2)]
    assert content_ids[0] == content_ids[1]
    assert len({e["content_id"] for e in examples.values()}) == 11
    for name, e in examples.items():
        samples, rate = soundfile.read(source / f"{name}.flac", dtype="int16", always_2d=True)
        assert e["sample_rate"] == rate == 48000
        assert np.abs(e["samples"] - samples.mean(axis=1)).max() <= 0.5

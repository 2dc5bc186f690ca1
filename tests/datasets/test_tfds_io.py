"""Builds with the RAVDESS builder, from good and bad input."""

import json
import shutil
import zipfile

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.datasets import tfds_io
from mmer_jax.datasets.tfds_io import ensure_built

UNIFORM = {"frame_choice": "uniform"}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def built(rendered, data_dir):
    return ensure_built(data_dir=data_dir, manual_dir=rendered, workers=2)


def read_examples(built) -> dict:
    """Returns (clip, view) -> example."""
    return {(e["clip"], int(e.get("view", 0))): e for e in tfds_io.read(built)}


def assert_same(one, other):
    one, other = read_examples(one), read_examples(other)
    assert one.keys() == other.keys()
    for key in one:
        assert one[key].keys() == other[key].keys()
        for name in one[key]:
            np.testing.assert_array_equal(one[key][name], other[key][name])


def test_features_of_a_triplet(built):
    """Names, dtypes, shapes and values of the stored features."""
    examples = read_examples(built)
    assert len(examples) == built.examples == 12
    for (clip, view), e in examples.items():
        assert set(e) == set(built.features)
        for name, channels in (("face", 3), ("flow", 3), ("mel", 1)):
            assert e[name].dtype == np.uint8 and e[name].shape == (224, 224, channels)
        assert e["label"] in ("anger", "neutral")
        assert e["audio_variant"] == ("original", "noise", "pitch_shift")[view]
        assert 1 <= e["frame_index"] <= 11
        assert e["frame_time"] == pytest.approx(e["frame_index"] / 15, abs=0.001)
        assert e["subject"] == f"actor_{clip[-2:]}"
        assert e["gender"] == {"actor_01": "male", "actor_02": "female"}[e["subject"]]
        assert (e["intensity"], e["statement"], e["repetition"]) == ("normal", 1, 1)
        assert e["face_box"].shape == (4,) and e["face_box"].dtype == np.float32
        assert e["face_found"] in (True, False)
        assert 0.7 < e["duration"] < 1.0
        assert len(e["content_id"]) == 16
    assert built.metadata["origin"] == "rendered"
    assert built.metadata["source"]["recordings"] == 4


def test_workers_and_archives_do_not_change_the_dataset(built, rendered, tmp_path):
    archives = tmp_path / "archives"
    archives.mkdir()
    for number in ("01", "02"):
        with zipfile.ZipFile(archives / f"Video_Speech_Actor_{number}.zip", "w") as z:
            for file in (rendered / f"Actor_{number}").iterdir():
                z.write(file, f"Actor_{number}/{file.name}")
    again = ensure_built(data_dir=tmp_path / "data", manual_dir=archives, workers=1)
    assert_same(built, again)
    assert again.metadata["source"]["digest"] == built.metadata["source"]["digest"]


def test_built_dataset_is_opened_not_built_again(built, data_dir, rendered):
    stamp = built.data_dir.stat().st_mtime_ns
    assert ensure_built(data_dir=data_dir) == built
    assert ensure_built(data_dir=data_dir, manual_dir=rendered, strict=True) == built
    assert tfds_io.open_built(built.data_dir) == built
    assert built.data_dir.stat().st_mtime_ns == stamp


def test_different_recordings_than_the_built_ones_are_an_error(built, data_dir, rendered, tmp_path):
    shutil.copytree(rendered / "Actor_01", tmp_path / "Actor_01")
    with pytest.raises(errors.UserError, match=r"4 recordings other than the 2 in .*delete"):
        ensure_built(data_dir=data_dir, manual_dir=tmp_path)


def test_options_have_their_own_folders(built, data_dir, rendered):
    other = ensure_built("ravdess", "triplets", UNIFORM, data_dir=data_dir, manual_dir=rendered)
    assert other.data_dir != built.data_dir
    assert other.builder_config.startswith("triplets-")
    assert other.metadata["options"] == built.metadata["options"] | UNIFORM
    assert {int(e["frame_index"]) for e in tfds_io.read(other, ["frame_index"])} == {2, 6, 10}
    assert ensure_built("ravdess", "triplets", UNIFORM, data_dir=data_dir) == other
    # An explicit default value is the default.
    same = ensure_built("ravdess", "triplets", {"frame_choice": "random"}, data_dir=data_dir)
    assert same == built


def test_some_features_and_an_unknown_one(built):
    first = next(tfds_io.read(built, ["clip", "label"]))
    assert set(first) == {"clip", "label"}
    with pytest.raises(errors.UserError, match=r"unknown feature 'emotion'; known: .*label"):
        next(tfds_io.read(built, ["emotion"]))


def test_array_records_are_read_like_tfrecords(built, rendered, tmp_path):
    import tensorflow_datasets as tfds

    from tfds_builders.ravdess.ravdess_dataset_builder import Builder

    builder = Builder(config="triplets", data_dir=tmp_path, file_format="array_record")
    config = tfds.download.DownloadConfig(manual_dir=rendered)
    builder.download_and_prepare(download_config=config)
    other = tfds_io.open_built(builder.data_dir)
    assert list(other.data_dir.glob("*.array_record*"))
    assert_same(built, other)
    assert set(next(tfds_io.read(other, ["clip", "face"]))) == {"clip", "face"}


def test_bad_clips_are_skipped_and_reported(bad_clips, bad_clip_names, tmp_path, capsys):
    built = ensure_built(data_dir=tmp_path, manual_dir=bad_clips, workers=2)
    assert built.examples == 3
    assert built.metadata["skipped"] == bad_clip_names
    stored = json.loads((built.data_dir / "metadata.json").read_text())
    assert stored["skipped"] == bad_clip_names
    stderr = capsys.readouterr().err
    for kind, (name,) in bad_clip_names.items():
        assert f"skipped, {kind}: {name} (" in stderr
    assert "1 of 9 recordings used" in stderr
    with pytest.raises(errors.UserError, match="strict forbids"):
        ensure_built(data_dir=tmp_path, strict=True)


def test_strict_build_of_a_bad_clip_is_an_error_and_leaves_nothing(bad_clips, tmp_path):
    with pytest.raises(errors.UserError, match="01-01-03-01-01-01-01 cannot be used: truncated"):
        ensure_built(data_dir=tmp_path, manual_dir=bad_clips, strict=True, workers=1)
    assert not list(tmp_path.glob("ravdess/triplets/*"))


def test_no_usable_clip(bad_clips, tmp_path):
    manual = tmp_path / "manual"
    manual.mkdir()
    shutil.copy(bad_clips / "holiday.mp4", manual)
    with pytest.raises(errors.UserError, match="found 1 under other names"):
        ensure_built(data_dir=tmp_path, manual_dir=manual, workers=1)


def test_neither_built_dataset_nor_recordings(tmp_path):
    with pytest.raises(errors.UserError, match="nothing is built in") as raised:
        ensure_built(data_dir=tmp_path)
    for way in ("--config.data.manual_dir", "--config.data.download", "--config.data.pack"):
        assert way in str(raised.value)


def test_missing_manual_folder_does_not_start_a_download(tmp_path):
    with pytest.raises(errors.UserError, match="which does not exist"):
        ensure_built(data_dir=tmp_path, manual_dir=tmp_path / "no", download=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ravdes",), "unknown dataset 'ravdes'; known: ravdess"),
        (("ravdess", "triplet"), "unknown builder config 'triplet'; known: triplets"),
        (("ravdess", "triplets", {"detectr": 1}), "unknown build option 'detectr'; known: "),
        (
            ("ravdess", "speech", UNIFORM),
            "option frame_choice has no effect on the builder config speech",
        ),
        (
            ("ravdess", "triplets", {"detector": "yunet", "detector_model": "/no.onnx"}),
            r"detector model file /no\.onnx does not exist",
        ),
    ],
)
def test_invalid_names_and_options(arguments, message, tmp_path):
    with pytest.raises(errors.UserError, match=message):
        ensure_built(*arguments, data_dir=tmp_path)


def test_folder_of_a_killed_build_is_removed(rendered, tmp_path):
    left = tmp_path / "ravdess" / "speech" / "incomplete.ABCDEF_1.0.0"
    left.mkdir(parents=True)
    ensure_built("ravdess", "speech", data_dir=tmp_path, manual_dir=rendered, workers=1)
    assert not left.exists()

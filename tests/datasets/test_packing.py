"""From recordings through TFDS to packs."""

import shutil

import cv2
import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.corpora import recordings
from mmer_jax.datasets import clips, packing, tfds_io
from mmer_jax.datasets.pack import open_pack
from mmer_jax.media.augment import AudioAmounts


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def triplets(rendered, data_dir):
    return tfds_io.ensure_built(
        "ravdess", "triplets", data_dir=data_dir, manual_dir=rendered, workers=1
    )


@pytest.fixture(scope="module")
def speech(rendered, data_dir):
    return tfds_io.ensure_built(
        "ravdess", "speech", data_dir=data_dir, manual_dir=rendered, workers=1
    )


def test_pack_has_the_examples_of_the_clips(triplets, rendered):
    """Compares the pack with examples computed directly from the clips, without TFDS."""
    packed = open_pack(packing.make_pack(triplets, ["face", "flow", "mel"], 64))
    examples = []
    for r in recordings.select(rendered, [("audio_video",)]).recordings:
        examples += clips.process_recording(r, "triplets", clips.Options()).examples
    examples.sort(key=lambda e: (e["clip"], e["view"]))
    assert len(packed) == len(examples) == 12
    for i, expected in enumerate(examples):
        assert packed.table["emotion"][i] == expected["label"]
        for name in ("clip", "view", "subject", "gender", "intensity", "statement", "content_id"):
            assert packed.table[name][i] == expected[name], name
        for name in ("repetition", "audio_variant", "frame_index"):
            assert packed.table[name][i] == expected[name], name
        for name in ("frame_time", "duration"):
            assert packed.table[name][i] == pytest.approx(expected[name])
        assert packed.table["channel"][i] == "audio_video"
        for name in ("face", "flow", "mel"):
            decoded = cv2.imdecode(np.frombuffer(expected[name], np.uint8), cv2.IMREAD_UNCHANGED)
            small = cv2.resize(decoded, (64, 64), interpolation=cv2.INTER_AREA)
            small = small[..., ::-1] if small.ndim == 3 else small[..., None]
            np.testing.assert_array_equal(packed.arrays[name][i], small)
    assert packed.info["origin"] == "rendered"
    assert packed.info["options"]["detector"] == "haar"
    assert packed.info["skipped"] == {}


def test_speech_gives_the_same_images_as_triplets(triplets, speech):
    one = open_pack(packing.make_pack(triplets, ["mel"], 64))
    two = open_pack(packing.make_pack(speech, ["mel"], 64, workers=1))
    shared = np.isin(two.table["audio_variant"], one.table["audio_variant"])
    for column in ("clip", "view", "emotion", "audio_variant", "content_id", "duration"):
        np.testing.assert_array_equal(one.table[column], two.table[column][shared])
    np.testing.assert_array_equal(one.arrays["mel"], two.arrays["mel"][shared])
    assert (two.table["frame_index"] == -1).all()
    assert set(two.table["audio_variant"][~shared]) == {"time_shift", "time_stretch"}


def test_pack_is_reused_and_modalities_are_added(triplets):
    path = packing.make_pack(triplets, ["mel"], 32)
    stamp = (path / "mel.npy").stat().st_mtime_ns
    assert packing.make_pack(triplets, ["mel"], 32) == path
    assert packing.make_pack(triplets, ["face", "mel"], 32) == path
    assert open_pack(path).info["modalities"] == ["face", "mel"]
    assert (path / "mel.npy").stat().st_mtime_ns == stamp
    assert packing.make_pack(triplets, ["mel"], 40) != path


def test_pack_is_reused_whatever_storage_is_requested(triplets):
    plain = open_pack(packing.make_pack(triplets, ["mel"], 48))
    shutil.rmtree(plain.path)
    path = packing.make_pack(triplets, ["mel"], 48, kind="array_record")
    assert (path / "mel.array_record").exists()
    assert open_pack(path).info["digest"] == plain.info["digest"]
    assert packing.make_pack(triplets, ["mel"], 48, kind="npy") == path
    assert not (path / "mel.npy").exists()


def test_other_amounts_give_another_pack_of_speech(speech):
    default = packing.make_pack(speech, ["mel"], 64, workers=1)
    same = packing.make_pack(speech, ["mel"], 64, AudioAmounts(), workers=1)
    noisy = packing.make_pack(speech, ["mel"], 64, AudioAmounts(noise_snr_db=0), workers=1)
    assert default == same != noisy
    one, two = open_pack(default), open_pack(noisy)
    differ = (one.arrays["mel"] != two.arrays["mel"]).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(differ, one.table["audio_variant"] == "noise")
    assert two.info["options"] == {
        "noise_snr_db": 0.0,
        "pitch_semitones": 2.0,
        "shift_seconds": 0.5,
        "stretch_factor": 0.8,
    }


def test_amounts_do_not_give_another_dataset_of_speech(speech, data_dir):
    options = {"noise_snr_db": 0.0, "pitch_semitones": 1.0}
    assert tfds_io.ensure_built("ravdess", "speech", options, data_dir=data_dir) == speech


def test_frames(rendered, data_dir):
    built = tfds_io.ensure_built(
        "ravdess", "frames", data_dir=data_dir, manual_dir=rendered, workers=1
    )
    packed = open_pack(packing.make_pack(built, ["face", "flow"], 32))
    assert len(packed) == 4 * 11
    np.testing.assert_array_equal(packed.table["frame_index"], np.tile(np.arange(1, 12), 4))
    assert set(packed.table["audio_variant"]) == {"original"}
    assert (np.diff(packed.table["frame_time"][:11]) > 0).all()
    with pytest.raises(errors.UserError, match="provides face, flow, not mel"):
        packing.make_pack(built, ["mel"], 32)


def test_invalid_requests(triplets, speech):
    with pytest.raises(errors.UserError, match=r"speech provides waveform, .*, not face"):
        packing.make_pack(speech, ["face", "mel"], 64)
    with pytest.raises(errors.UserError, match="unknown modality 'faces'"):
        packing.make_pack(triplets, ["faces"], 64)
    with pytest.raises(errors.UserError, match="8 to 224 pixels wide, found size 225"):
        packing.make_pack(triplets, ["face"], 225)
    with pytest.raises(errors.UserError, match=r"built with noise_snr_db 15.0, not 3.0"):
        packing.make_pack(triplets, ["mel"], 64, AudioAmounts(noise_snr_db=3))
    # The amounts that the dataset was built with are accepted.
    assert packing.make_pack(triplets, ["mel"], 64, AudioAmounts()).exists()


def test_takes_with_the_same_audio_share_their_content_id(rendered, tmp_path):
    source = tmp_path / "in"
    shutil.copytree(rendered, source)
    twin = source / "Actor_01" / "01-01-05-01-01-02-01.mp4"
    shutil.copy(source / "Actor_01" / "01-01-05-01-01-01-01.mp4", twin)
    built = tfds_io.ensure_built(
        "ravdess", "speech", data_dir=tmp_path, manual_dir=source, workers=1
    )
    ids = {e["clip"]: e["content_id"] for e in tfds_io.read(built, ["clip", "content_id"])}
    assert len(ids) == 5 and len(set(ids.values())) == 4
    assert ids["01-01-05-01-01-01-01"] == ids[twin.stem]

"""Examples of one recording, computed in this process."""

import dataclasses
import shutil

import cv2
import numpy as np
import pytest
import soundfile

from mmer_jax import errors
from mmer_jax.corpora import recordings
from mmer_jax.datasets import clips
from mmer_jax.media import faces, flow, spectrogram, video
from mmer_jax.media.augment import AudioAmounts

OPTIONS = clips.Options()


def make_recording(path) -> recordings.Recording:
    return recordings.Recording(path.stem, path.suffix, str(path), None, path.stat().st_size)


def decode(png: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    return image[..., ::-1] if image.ndim == 3 else image[..., None]


@pytest.fixture(scope="module")
def triplets(clip):
    return clips.process_recording(make_recording(clip), "triplets", OPTIONS).examples


def test_clip_gives_three_triplets(triplets, clip):
    assert [t["view"] for t in triplets] == [0, 1, 2]
    assert [t["audio_variant"] for t in triplets] == ["original", "noise", "pitch_shift"]
    indices = [t["frame_index"] for t in triplets]
    assert indices == sorted(set(indices)) and 0 not in indices
    for t in triplets:
        assert decode(t["face"]).shape == decode(t["flow"]).shape == (224, 224, 3)
        assert decode(t["mel"]).shape == (224, 224, 1)
        assert (t["label"], t["subject"], t["gender"]) == ("anger", "actor_01", "male")
        assert t["clip"] == clip.stem and t["face_found"]
        assert t["duration"] == pytest.approx(0.8, abs=0.1)
    assert len({t["content_id"] for t in triplets}) == 1
    assert len({t["mel"] for t in triplets}) == 3


def test_face_and_flow_are_those_of_the_frame_index(triplets, clip):
    """Each stored image equals one computed from the frames at its index."""
    decoded = video.read_frames(clip, lambda count: range(count))
    for t in triplets:
        i = t["frame_index"]
        previous, face = (faces.crop(decoded.images[j], t["face_box"], 224) for j in (i - 1, i))
        np.testing.assert_array_equal(decode(t["face"]), face)
        expected = flow.flow_image(flow.dense_flow(previous, face), None)
        np.testing.assert_array_equal(decode(t["flow"]), expected)
        assert t["frame_time"] == pytest.approx(decoded.times[i])


def test_colors_and_orientation_are_kept(tmp_path, write_clip):
    """From the video file through crop and PNG: red at the top left, blue at the bottom right."""
    path = tmp_path / "01-01-05-01-01-01-01.mp4"
    drawn = np.full((96, 96, 3), 128, np.uint8)
    drawn[:40, :40] = (220, 20, 20)
    drawn[56:, 56:] = (20, 20, 220)
    write_clip(path, [drawn] * 6, rate=10)
    options = dataclasses.replace(OPTIONS, detector="none")
    examples = clips.process_recording(make_recording(path), "frames", options).examples
    face = decode(examples[0]["face"]).astype(int)
    red, green, blue = face[20, 20]
    assert red > 180 and max(green, blue) < 60
    red, green, blue = face[200, 200]
    assert blue > 180 and max(red, green) < 60


def test_every_kind_of_bad_clip_is_reported(bad_clips, bad_clip_names):
    problems = {}
    for path in sorted(bad_clips.iterdir()):
        outcome = clips.process_recording(make_recording(path), "triplets", OPTIONS)
        assert bool(outcome.examples) != bool(outcome.problem)
        if outcome.problem:
            problems.setdefault(outcome.problem.kind, []).append(outcome.name)
    assert problems == bad_clip_names


def test_frames_need_no_audio(bad_clips):
    for name in ("01-01-03-01-02-02-01", "01-01-04-01-01-01-01"):  # no audio, silent audio
        outcome = clips.process_recording(
            make_recording(bad_clips / f"{name}.mp4"), "frames", OPTIONS
        )
        assert [e["frame_index"] for e in outcome.examples] == list(range(1, 12))
        assert {e["content_id"] for e in outcome.examples} == {f"silent {name}"}


def test_video_only_clips_have_a_spectrogram_of_silence(bad_clips, tmp_path):
    path = tmp_path / "02-01-04-01-01-01-01.mp4"
    shutil.copy(bad_clips / "01-01-04-01-01-01-01.mp4", path)
    outcome = clips.process_recording(make_recording(path), "triplets", OPTIONS)
    assert len(outcome.examples) == 3
    assert not any(decode(t["mel"]).any() for t in outcome.examples)


def test_random_choices_depend_on_the_name_not_on_the_path(clip, triplets, tmp_path):
    elsewhere = tmp_path / "other" / clip.name
    elsewhere.parent.mkdir()
    shutil.copy(clip, elsewhere)
    assert examples_equal(
        clips.process_recording(make_recording(elsewhere), "triplets", OPTIONS).examples, triplets
    )
    renamed = tmp_path / "01-01-05-01-01-02-01.mp4"
    shutil.copy(clip, renamed)
    other = clips.process_recording(make_recording(renamed), "triplets", OPTIONS).examples
    assert other[1]["mel"] != triplets[1]["mel"]  # different noise
    assert other[0]["mel"] == triplets[0]["mel"]
    assert other[0]["content_id"] == triplets[0]["content_id"]


def test_options_have_an_effect(clip, triplets):
    def make_triplets(**changes):
        options = dataclasses.replace(OPTIONS, **changes)
        return clips.process_recording(make_recording(clip), "triplets", options).examples

    assert not make_triplets(detector="none")[0]["face_found"]
    assert (
        make_triplets(frame_choice="uniform")[0]["frame_index"] == 2
    )  # of 11 frames after the first
    assert make_triplets(flow_scale=4.0)[0]["flow"] != triplets[0]["flow"]
    assert make_triplets(noise_snr_db=0.0)[1]["mel"] != triplets[1]["mel"]
    assert make_triplets(pitch_semitones=-4.0)[2]["mel"] != triplets[2]["mel"]
    assert np.ptp(make_triplets(face_margin=0.0)[0]["face_box"]) < np.ptp(triplets[0]["face_box"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detector": "nose"}, "unknown face detector 'nose'; known: haar"),
        ({"frame_choice": "best"}, "unknown choice of frames 'best'; known: random"),
        ({"flow_scale": 0.0}, "flow_scale must be above 0"),
        ({"face_margin": -1.0}, "face_margin must not be negative"),
    ],
)
def test_invalid_options(changes, message):
    with pytest.raises(errors.UserError, match=message):
        dataclasses.replace(OPTIONS, **changes).check()


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_speech_keeps_the_samples_exactly(tmp_path, suffix):
    samples = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16)
    path = tmp_path / f"03-01-05-01-01-01-01{suffix}"
    soundfile.write(path, samples, 48000, subtype="PCM_16")
    (example,) = clips.process_recording(make_recording(path), "speech", OPTIONS).examples
    np.testing.assert_array_equal(example["samples"], samples)
    assert example["samples"].dtype == np.int16
    assert example["sample_rate"] == 48000
    assert example["duration"] == pytest.approx(5000 / 48000)


def test_speech_in_stereo_is_the_mean_of_the_channels(tmp_path):
    left = np.random.default_rng(0).integers(-10000, 10000, 5000).astype(np.int16)
    path = tmp_path / "03-01-05-01-01-01-01.wav"
    soundfile.write(path, np.stack([left, left // 2], axis=1), 48000, subtype="PCM_16")
    (example,) = clips.process_recording(make_recording(path), "speech", OPTIONS).examples
    mean = (left.astype(int) + left // 2) / 2
    assert np.abs(example["samples"] - mean).max() <= 0.5


def test_silent_speech_is_a_problem(tmp_path):
    path = tmp_path / "03-01-05-01-01-01-01.wav"
    soundfile.write(path, np.zeros(5000), 48000)
    assert (
        clips.process_recording(make_recording(path), "speech", OPTIONS).problem.kind
        == "silent audio"
    )


def test_tone_is_in_its_mel_band_at_any_sampling_rate():
    """200 Hz and 4 kHz are at the height of their mel bands, low frequencies at the bottom."""
    import librosa

    edges = librosa.mel_frequencies(spectrogram.BANDS + 2, fmax=spectrogram.RATE / 2)[1:-1]
    for rate in (22050, 48000):
        for frequency in (200.0, 4000.0):
            time = np.arange(rate) / rate
            samples = np.int16(20000 * np.sin(2 * np.pi * frequency * time))
            (images,) = clips.compute_audio_images(
                "x", samples, rate, ["original"], AudioAmounts(), ["mel"]
            )
            row = images["mel"][:, 112, 0].astype(float).argmax()
            band = (223 - row + 0.5) * spectrogram.BANDS / 224
            assert abs(band - 0.5 - np.abs(edges - frequency).argmin()) < 1.5


def examples_equal(one, other) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
        for a, b in zip(one, other, strict=True)
    )

"""Tests of reading audio tracks as mono float samples."""

import wave

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.media import audio


def peak_frequency(samples, rate) -> float:
    """Returns the frequency in Hz with the largest magnitude."""
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_lossless_audio_round_trips(tmp_path, write_audio, sine, suffix):
    tone = sine(440, 0.5, 16000)
    samples, rate = audio.read_audio(write_audio(tmp_path / f"a{suffix}", tone, 16000), None)
    assert rate == 16000
    assert samples.dtype == np.float32
    assert samples.shape == tone.shape
    assert np.abs(samples - tone).max() < 1 / 16384


def test_stereo_is_averaged(tmp_path, write_audio, sine):
    left, right = sine(440, 0.5, 48000), -0.5 * sine(440, 0.5, 48000)
    path = write_audio(tmp_path / "stereo.wav", np.stack([left, right], axis=1))
    samples, _ = audio.read_audio(path, None)
    assert np.abs(samples - (left + right) / 2).max() < 1 / 16384


def test_opposite_channels_cancel(tmp_path, write_audio, sine):
    tone = sine(440, 0.5, 48000)
    path = write_audio(tmp_path / "stereo.wav", np.stack([tone, -tone], axis=1))
    assert audio.is_silent(audio.read_audio(path, None)[0])


def test_audio_track_of_a_video_is_resampled(tmp_path, write_clip, sine):
    images = np.zeros((10, 32, 32, 3), np.uint8)
    path = write_clip(tmp_path / "a.mp4", images, waveform=sine(440, 2, 48000))
    samples, rate = audio.read_audio(path.read_bytes(), 22050)
    assert rate == 22050
    assert len(samples) == pytest.approx(2 * 22050, abs=1024)  # AAC fills its last block
    assert peak_frequency(samples, rate) == pytest.approx(440, abs=1)
    # The median of the peaks, because FFmpeg's AAC encoder sometimes adds a click to a pure tone.
    peaks = np.abs(samples[: len(samples) // 500 * 500]).reshape(-1, 500).max(axis=1)
    assert np.median(peaks) == pytest.approx(0.5, abs=0.03)


def test_full_scale_stays_within_one(tmp_path, write_audio):
    square = np.sign(np.sin(np.arange(48000) * 0.05))
    samples, _ = audio.read_audio(write_audio(tmp_path / "loud.wav", square), 22050)
    assert np.abs(samples).max() <= 1


def test_silence_is_read_and_detected(tmp_path, write_clip, write_audio, sine):
    images = np.zeros((10, 32, 32, 3), np.uint8)
    silent = write_clip(tmp_path / "silent.mp4", images, waveform=np.zeros(24000))
    samples, _ = audio.read_audio(silent, 22050)
    assert len(samples) > 10000
    assert audio.is_silent(samples)
    whisper = write_audio(tmp_path / "whisper.wav", sine(200, 0.5, 48000) * 0.001)
    assert not audio.is_silent(audio.read_audio(whisper, 22050)[0])
    assert audio.is_silent(np.zeros(0, np.float32))


def test_track_without_samples_counts_as_no_audio(tmp_path):
    path = tmp_path / "nothing.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
    with pytest.raises(errors.ClipError) as caught:
        audio.read_audio(path, None)
    assert caught.value.kind == "no audio"


def test_only_video_only_originals_are_silent(original_clips):
    for path in original_clips:
        samples, rate = audio.read_audio(path, None)
        assert rate == 48000
        assert audio.is_silent(samples) == path.name.startswith("02-")


def test_audio_of_an_original_matches_the_speech_file_of_the_same_take(original_clips, real_data):
    """The AAC track of the clip is the separate audio file, delayed by 1600 samples."""
    clip = next(path for path in original_clips if path.name.startswith("01-"))
    take = real_data / "ravdess_speech_flac" / clip.parent.name / f"03{clip.stem[2:]}.flac"
    if not take.is_file():
        pytest.skip(f"{take.name} is not in MMER_REAL_DATA")
    track, track_rate = audio.read_audio(clip, None)
    speech, speech_rate = audio.read_audio(take, None)
    assert track_rate == speech_rate
    n = min(len(track) - 1600, len(speech))
    assert np.corrcoef(track[1600 : 1600 + n], speech[:n])[0, 1] > 0.98

"""Tests of the mel spectrogram and its image, against librosa and with pure tones."""

import inspect
import warnings

import librosa
import numpy as np
import pytest

from mmer_jax.media import audio, spectrogram


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_parameters_are_librosas_defaults():
    assert inspect.signature(librosa.load).parameters["sr"].default == spectrogram.RATE
    assert inspect.signature(librosa.stft).parameters["n_fft"].default == spectrogram.WINDOW
    assert inspect.signature(librosa.filters.mel).parameters["n_mels"].default == spectrogram.BANDS
    assert inspect.signature(librosa.power_to_db).parameters["top_db"].default == 80


@pytest.mark.parametrize("length", [2048, 3000, 22050, 70001])
@pytest.mark.parametrize("rate", [22050, 16000])
def test_log_mel_matches_librosa(length, rate):
    rng = np.random.default_rng(length)
    samples = rng.standard_normal(length).astype(np.float32) * np.linspace(0, 0.3, length)
    samples[: length // 4] = 0
    result = spectrogram.log_mel(samples, rate)
    power = librosa.feature.melspectrogram(y=samples.astype(np.float32), sr=rate)
    expected = librosa.power_to_db(power, ref=np.max)
    assert result.shape == expected.shape
    assert result.dtype == np.float32
    assert np.abs(result - expected).max() < 1e-2


def test_log_mel_matches_librosa_on_real_speech(real_data):
    path = real_data / "ravdess_speech_flac" / "Actor_02" / "03-01-05-02-01-01-02.flac"
    samples, rate = audio.read_audio(path, 22050)
    expected = librosa.power_to_db(librosa.feature.melspectrogram(y=samples, sr=rate), ref=np.max)
    assert np.abs(spectrogram.log_mel(samples) - expected).max() < 1e-2


@pytest.mark.parametrize("hertz", [200, 1000, 5000])
@pytest.mark.parametrize("seconds", [0.3, 3, 20])
def test_tone_is_brightest_at_the_height_of_its_frequency(sine, hertz, seconds):
    image = spectrogram.mel_image(sine(hertz, seconds), 22050)
    assert image.shape == (224, 224, 1)
    assert image.dtype == np.uint8
    # 128 bands in 224 pixels, the lowest at the bottom: a band is 1.75 pixels high.
    centers = librosa.mel_frequencies(128 + 2, fmin=0, fmax=22050 / 2)[1:-1]
    band = np.argmin(np.abs(centers - hertz))
    expected = 224 - (band + 0.5) * 224 / 128
    for column in (40, 112, 180):
        assert abs(np.argmax(image[:, column, 0]) + 0.5 - expected) <= 2


def test_low_frequencies_are_at_the_bottom_and_time_runs_right(sine):
    low_then_high = np.concatenate([sine(200, 1), sine(4000, 1)])
    image = spectrogram.mel_image(low_then_high, 22050, size=64)[..., 0]
    left, right = np.argmax(image[:, 10]), np.argmax(image[:, 54])
    assert left > 50
    assert right < 32


def test_decibels_map_to_gray_levels(sine):
    """The maximum maps to 255, 80 dB below it to 0, and 40 dB below it to the middle."""
    tone = np.concatenate([sine(1000, 1), sine(1000, 1) / 100, np.zeros(22050, np.float32)])
    columns = spectrogram.mel_image(tone, 22050)[..., 0].max(axis=0).astype(int)
    assert columns[37] >= 250
    assert columns[37] - columns[112] == pytest.approx(255 / 2, abs=2)
    assert columns[200] == 0


def test_silence_is_black():
    for samples in (np.zeros(22050), np.zeros(0), np.full(22050, 1e-9)):
        assert np.all(spectrogram.log_mel(samples) == -80)
        assert not spectrogram.mel_image(samples, 22050).any()


@pytest.mark.parametrize("length", [1, 10, 511, 2047])
def test_audio_shorter_than_a_window(sine, length):
    mel = spectrogram.log_mel(sine(1000, 1)[-length:])
    assert mel.shape == (128, 5)
    assert np.isfinite(mel).all()
    assert mel.max() == 0
    assert spectrogram.mel_image(sine(1000, 1)[:length], 22050).shape == (224, 224, 1)


def test_resize_averages_an_axis_that_shrinks_and_interpolates_one_that_grows():
    image = np.random.default_rng(0).random((12, 20), np.float32)
    small = spectrogram.resize(image, 5, 4)
    np.testing.assert_allclose(small, image.reshape(4, 3, 5, 4).mean((1, 3)), atol=1e-6)

    def double(values):
        centers = (np.arange(2 * len(values)) + 0.5) / 2 - 0.5
        return np.interp(centers, np.arange(len(values)), values)

    wide = np.apply_along_axis(double, 1, image.reshape(4, 3, 20).mean(1))
    np.testing.assert_allclose(spectrogram.resize(image, 40, 4), wide, atol=1e-6)
    tall = np.apply_along_axis(double, 0, image.reshape(12, 5, 4).mean(2))
    np.testing.assert_allclose(spectrogram.resize(image, 5, 24), tall, atol=1e-6)
    np.testing.assert_allclose(
        spectrogram.resize(image.T, 12, 4), image.T.reshape(4, 5, 12).mean(1), atol=1e-6
    )

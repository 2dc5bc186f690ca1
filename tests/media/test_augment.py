"""Tests of audio augmentation: its strength, and its behavior on silence and very short audio."""

import warnings

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.media import augment

RATE = 22050


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def peak_frequency(samples) -> float:
    """Returns the frequency in Hz with the largest magnitude in the middle half."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 18))
    return float(np.argmax(spectrum)) * RATE / (1 << 18)


@pytest.mark.parametrize("snr", [0, 15, 30])
def test_noise_has_the_requested_level_and_is_white(sine, snr):
    tone = sine(300, 3)
    noise = augment.add_noise(tone, snr, np.random.default_rng(0)) - tone
    assert 10 * np.log10(np.mean(tone**2) / np.mean(noise**2)) == pytest.approx(snr, abs=0.1)
    low, high = np.array_split(np.abs(np.fft.rfft(noise)) ** 2, 2)
    assert low.mean() == pytest.approx(high.mean(), rel=0.05)


def test_noise_is_drawn_from_the_generator(sine):
    first, repeated, other = (
        augment.add_noise(sine(300, 1), 10, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, repeated)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("semitones", [-4, -0.7, 0, 2, 12])
def test_pitch_is_shifted_by_semitones(sine, semitones):
    tone = sine(440, 2)
    shifted = augment.shift_pitch(tone, RATE, semitones)
    assert shifted.shape == tone.shape
    assert peak_frequency(shifted) == pytest.approx(440 * 2 ** (semitones / 12), rel=2e-3)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.5])
def test_time_stretch_changes_the_duration_and_keeps_the_pitch(sine, factor):
    stretched = augment.stretch_time(sine(440, 2), factor)
    assert len(stretched) == round(2 * RATE / factor)
    assert peak_frequency(stretched) == pytest.approx(440, rel=2e-3)


def test_time_shift_is_circular(sine):
    click = np.zeros(RATE, np.float32)
    click[1000] = 1
    assert np.argmax(augment.shift_time(click, RATE, 0.5)) == 1000 + RATE // 2
    assert np.argmax(augment.shift_time(click, RATE, -0.01)) == 1000 - 220
    assert augment.shift_time(click, RATE, 0.99).sum() == 1


def test_variants_and_their_order(sine):
    assert list(augment.AUDIO_VARIANTS) == [
        "original",
        "noise",
        "pitch_shift",
        "time_shift",
        "time_stretch",
    ]
    amounts = augment.AudioAmounts(
        noise_snr_db=5, pitch_semitones=3, shift_seconds=0.2, stretch_factor=1.25
    )
    tone = sine(440, 2)
    versions = {
        name: augment.apply_variant(tone, RATE, name, amounts, np.random.default_rng(0))
        for name in augment.AUDIO_VARIANTS
    }
    assert np.array_equal(versions["original"], tone)
    assert np.std(versions["noise"] - tone) == pytest.approx(np.std(tone) * 10**-0.25, rel=0.02)
    assert peak_frequency(versions["pitch_shift"]) == pytest.approx(440 * 2**0.25, rel=2e-3)
    assert np.array_equal(versions["time_shift"][4410:], tone[:-4410])
    assert len(versions["time_stretch"]) == round(2 * RATE / 1.25)


@pytest.mark.parametrize("variant", augment.AUDIO_VARIANTS)
@pytest.mark.parametrize("length", [0, 1, 100, 2047, 5000])
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_silent_and_short_audio(variant, length, level):
    samples = np.full(length, level, np.float32)
    amounts, rng = augment.AudioAmounts(), np.random.default_rng(0)
    varied = augment.apply_variant(samples, RATE, variant, amounts, rng)
    assert varied.dtype == np.float32
    assert len(varied) == (round(length / 0.8) if variant == "time_stretch" else length)
    assert np.isfinite(varied).all()
    if level == 0:
        assert not varied.any()


def test_unknown_variant_and_invalid_amount_are_refused():
    with pytest.raises(errors.UserError, match=r"'echo'; known: original, noise"):
        augment.apply_variant(
            np.zeros(9), RATE, "echo", augment.AudioAmounts(), np.random.default_rng(0)
        )
    with pytest.raises(errors.UserError, match="stretch_factor"):
        augment.AudioAmounts(stretch_factor=0)

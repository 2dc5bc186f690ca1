"""Tests of the image representations of audio against signals with known results and librosa."""

import librosa
import numpy as np
import pytest

from mmer_jax import errors, modalities
from mmer_jax.media import representations
from mmer_jax.media.representations import IMAGES, REPRESENTATIONS

RATE = 22050


def tone(hertz, seconds=1.0):
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def compute_image(name, samples, size=64):
    image = IMAGES[name](samples, RATE, size)
    assert image.dtype == np.uint8
    assert image.shape == (size, size, modalities.MODALITIES[name].channels)
    return image


def filled_share(image):
    """Returns the white share of each column of a filled image, 0 to 1."""
    return image[..., 0].mean(axis=0) / 255


def test_representations_are_modalities_of_the_audio_stream():
    assert tuple(REPRESENTATIONS) == (
        "waveform",
        "spectral_centroid",
        "spectral_bandwidth",
        "chromagram",
        "spectrogram",
        "mel",
    )
    assert all(modalities.MODALITIES[name].stream == "audio" for name in IMAGES)


def test_waveform_is_filled_between_its_extremes():
    loud_then_soft = tone(440) * np.repeat([1.0, 0.25], RATE // 2)
    share = filled_share(compute_image("waveform", loud_then_soft))
    np.testing.assert_allclose(share[:31], 1, atol=0.02)
    np.testing.assert_allclose(share[33:], 0.25, atol=0.02)
    ramp = compute_image("waveform", np.linspace(0, 1, RATE, dtype=np.float32))[..., 0]
    assert ramp[:32].any() and not ramp[33:].any()  # positive samples: the upper half alone


@pytest.mark.parametrize("name", ["spectral_centroid", "spectral_bandwidth"])
def test_curves_match_librosa_on_a_scale_up_to_half_the_rate(name):
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    curve = getattr(librosa.feature, name)(y=noise, sr=RATE)[0]
    share = filled_share(compute_image(name, noise))
    assert share.mean() == pytest.approx(curve.mean() / (RATE / 2), abs=0.01)
    # The centroid of a pure tone is its frequency, and its bandwidth is close to zero.
    expected = 4000 / (RATE / 2) if name == "spectral_centroid" else 0
    share = filled_share(compute_image(name, tone(4000)))
    assert share[5:-5].mean() == pytest.approx(expected, abs=0.05)


def test_chromagram_is_brightest_at_the_pitch_class():
    for i, note in enumerate(["C5", "E5", "A5"]):
        image = compute_image("chromagram", tone(librosa.note_to_hz(note)), size=120)[..., 0]
        y = image.mean(axis=1).argmax()
        assert (119 - y) // 10 == [0, 4, 9][i]


def test_spectrogram_is_linear_in_frequency():
    for hertz in (2000, 5000, 9000):
        image = compute_image("spectrogram", tone(hertz), size=110)[..., 0]
        y = image.mean(axis=1).argmax()
        assert (109.5 - y) / 110 == pytest.approx(hertz / (RATE / 2), abs=0.01)
    assert (np.diff(image.mean(axis=1))[: y - 2] > -2).all()  # rises towards the tone


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("length", [0, 100, 3000])
def test_silent_and_short_audio_has_images(name, length):
    compute_image(name, np.zeros(length, np.float32))


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_plots_fill_the_image_without_axes(name):
    samples = tone(440) * np.linspace(0, 1, RATE, dtype=np.float32)
    image = compute_image(f"{name}_plot", samples, 96)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 10
    if name in ("waveform", "spectral_centroid", "spectral_bandwidth"):
        assert (image[:, 0] == 255).all(-1).mean() > 0.5  # white background, no frame
    else:
        assert (image == 255).all(-1).mean() < 0.2  # colors up to the edges
    if name == "waveform":  # grows from the left edge to the right one
        drawn = (image < 255).any(-1)
        assert drawn[:, :3].sum(0).max() < 10 and drawn[:, -3:].sum(0).max() > 75


def test_unknown_plot_lists_the_known_ones():
    with pytest.raises(errors.UserError, match="unknown audio representation 'mfcc'; known: wave"):
        representations.plot_image("mfcc", tone(440), RATE)


def test_mel_level_preserves_loudness_and_duration():
    """Ten times the amplitude is 20 of 100 dB brighter; a 1 s tone takes 1 / 2.5 of the width."""
    quiet, loud = (
        compute_image("mel_level", gain * tone(1000), 250)[..., 0] for gain in (0.02, 0.2)
    )
    y = loud.sum(axis=1).argmax()
    difference = loud[y, 110:140].astype(float) - quiet[y, 110:140]
    np.testing.assert_allclose(difference, 0.2 * 255, atol=1.5)
    bright_columns = np.flatnonzero(loud[y] > loud[y].max() - 0.1 * 255)
    assert len(bright_columns) / 250 == pytest.approx(1 / 2.5, abs=0.03)
    # The tone is centered in the image wherever it is in the recording.
    later = np.concatenate([np.zeros(3 * RATE, np.float32), 0.2 * tone(1000)])
    np.testing.assert_allclose(compute_image("mel_level", later, 250)[y, :, 0], loud[y], atol=12)


def test_mel_level_is_librosas_level_from_low_frequencies_at_the_bottom_to_high_ones():
    """Steady tones: every column far from the ends has the level of every frame of librosa's."""
    tones = 0.1 * sum(tone(hertz, 2.5) for hertz in (200, 1000, 5000))
    image = compute_image("mel_level", tones, 128)[..., 0]  # one row for each mel band
    power = librosa.feature.melspectrogram(y=tones, sr=RATE, n_fft=2048, n_mels=128)
    expected = (librosa.power_to_db(power, top_db=None)[:, 50] + 70) / 100 * 255
    np.testing.assert_allclose(image[::-1, 60], expected.clip(0, 255), atol=3)
    assert compute_image("mel_level", 100 * tones, 128).max() == 255  # above the scale
    assert np.ptp(expected) > 100


def test_time_of_mel_level_runs_to_the_right():
    low_then_high = np.concatenate([0.2 * tone(500), 0.2 * tone(4000)])
    image = compute_image("mel_level", low_then_high, 100)[..., 0].astype(float)
    low, high = image[50:].sum(0), image[:50].sum(0)
    assert low[:50].sum() > 1.5 * low[50:].sum() and high[50:].sum() > 1.5 * high[:50].sum()

"""The six images of a waveform, against signals whose answer is known and against librosa."""

import librosa
import numpy as np
import pytest

from mmer_jax import errors, modalities
from mmer_jax.media import representations
from mmer_jax.media.representations import IMAGES, REPRESENTATIONS

RATE = 22050


def tone(hertz, seconds=1.0):
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def image(name, samples, size=64):
    made = IMAGES[name](samples, RATE, size)
    assert made.dtype == np.uint8
    assert made.shape == (size, size, modalities.MODALITIES[name].channels)
    return made


def height(made):
    """White share of each column of a filled image, 0 to 1."""
    return made[..., 0].mean(axis=0) / 255


def test_all_are_modalities_of_audio():
    assert tuple(REPRESENTATIONS) == (
        "waveform",
        "spectral_centroid",
        "spectral_bandwidth",
        "chromagram",
        "spectrogram",
        "mel",
    )
    assert all(modalities.MODALITIES[name].stream == "audio" for name in IMAGES)


def test_a_waveform_fills_what_lies_between_its_extremes():
    loud_then_soft = tone(440) * np.repeat([1.0, 0.25], RATE // 2)
    share = height(image("waveform", loud_then_soft))
    np.testing.assert_allclose(share[:31], 1, atol=0.02)
    np.testing.assert_allclose(share[33:], 0.25, atol=0.02)
    ramp = image("waveform", np.linspace(0, 1, RATE, dtype=np.float32))[..., 0]
    assert ramp[:32].any() and not ramp[33:].any()  # positive samples: the upper half alone


@pytest.mark.parametrize("name", ["spectral_centroid", "spectral_bandwidth"])
def test_curves_are_librosas_over_half_the_rate(name):
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    curve = getattr(librosa.feature, name)(y=noise, sr=RATE)[0]
    assert height(image(name, noise)).mean() == pytest.approx(curve.mean() / (RATE / 2), abs=0.01)
    # A pure tone's centroid is its frequency, and it is narrow.
    expected = 4000 / (RATE / 2) if name == "spectral_centroid" else 0
    assert height(image(name, tone(4000)))[5:-5].mean() == pytest.approx(expected, abs=0.05)


def test_a_chromagram_is_brightest_at_its_pitch_class():
    for pitch_class, note in enumerate(["C5", "E5", "A5"]):
        made = image("chromagram", tone(librosa.note_to_hz(note)), size=120)[..., 0]
        row = made.mean(axis=1).argmax()
        assert (119 - row) // 10 == [0, 4, 9][pitch_class]


def test_a_spectrogram_is_linear_in_frequency():
    for hertz in (2000, 5000, 9000):
        made = image("spectrogram", tone(hertz), size=110)[..., 0]
        row = made.mean(axis=1).argmax()
        assert (109.5 - row) / 110 == pytest.approx(hertz / (RATE / 2), abs=0.01)
    assert (np.diff(made.mean(axis=1))[: row - 2] > -2).all()  # rises towards the tone


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("length", [0, 100, 3000])
def test_silence_and_scraps_have_images(name, length):
    image(name, np.zeros(length, np.float32))


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_plots_fill_the_image_without_axes(name):
    samples = tone(440) * np.linspace(0, 1, RATE, dtype=np.float32)
    made = image(f"{name}_plot", samples, 96)
    assert len(np.unique(made.reshape(-1, 3), axis=0)) > 10
    if name in ("waveform", "spectral_centroid", "spectral_bandwidth"):
        assert (made[:, 0] == 255).all(-1).mean() > 0.5  # white paper, no frame
    else:
        assert (made == 255).all(-1).mean() < 0.2  # colors to the very edge


def test_an_unknown_plot_names_the_known():
    with pytest.raises(errors.UserError, match="unknown audio representation 'mfcc'; known: wave"):
        representations.plot_image("mfcc", tone(440), RATE)


def test_mel_level_keeps_loudness_and_seconds():
    """Ten times the amplitude is 20 of 100 dB brighter; a tone of a second is 1 / 2.5 wide."""
    quiet, loud = (image("mel_level", gain * tone(1000), 250)[..., 0] for gain in (0.02, 0.2))
    row = loud.sum(axis=1).argmax()
    difference = loud[row, 110:140].astype(float) - quiet[row, 110:140]
    np.testing.assert_allclose(difference, 0.2 * 255, atol=1.5)
    heard = np.flatnonzero(loud[row] > loud[row].max() - 0.1 * 255)
    assert len(heard) / 250 == pytest.approx(1 / 2.5, abs=0.03)
    # Wherever it stands in the recording, it is in the middle of the image.
    later = np.concatenate([np.zeros(3 * RATE, np.float32), 0.2 * tone(1000)])
    np.testing.assert_allclose(image("mel_level", later, 250)[row, :, 0], loud[row], atol=12)

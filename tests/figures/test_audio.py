"""Figures 9 and 10 of a beep at a known time and pitch."""

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.figures import audio
from mmer_jax.media import augment

TITLES = [
    *("waveform", "spectral centroid", "spectral bandwidth"),
    *("chromagram, 0 to 1", "spectrogram, -80 to 0 dB", "mel spectrogram, -80 to 0 dB"),
]


def panels(figure):
    """Returns the axes that hold an image, without the color bar."""
    return [axes for axes in figure.axes if axes.get_images()]


def ticks(axes) -> dict[str, float]:
    """Returns label -> position on the vertical axis."""
    labels = [label.get_text() for label in axes.get_yticklabels()]
    return dict(zip(labels, axes.get_yticks(), strict=True))


def brightest(axes) -> tuple[float, float, float]:
    """Returns start (s), end (s) and height of a panel's bright area, in axes coordinates."""
    (drawn,) = axes.get_images()
    image = np.asarray(drawn.get_array(), float)
    left, right, bottom, top = drawn.get_extent()
    columns = np.flatnonzero(image.max(axis=0) > 200)
    height = bottom + (top - bottom) * (1 - (image.sum(axis=1).argmax() + 0.5) / len(image))
    width = (right - left) / image.shape[1]
    return left + columns[0] * width, left + (columns[-1] + 1) * width, height


def test_six_images_in_the_papers_order(beep):
    all_axes = panels(audio.draw_representations(beep, "a beep"))
    assert [axes.get_title() for axes in all_axes] == TITLES
    for axes in all_axes:
        image = axes.get_images()[0]
        assert np.shape(image.get_array()) == (224, 224) and len(np.unique(image.get_array())) > 3
        assert image.get_extent()[:2] == [0, 2]  # seconds
        assert axes.get_ylabel()
    assert [axes.get_xlabel() for axes in all_axes] == [""] * 3 + ["time (s)"] * 3


def test_the_tone_is_at_its_time_and_frequency(beep):
    waveform, _, _, chromagram, spectrogram, mel = panels(audio.draw_representations(beep, ""))
    for axes in (waveform, spectrogram, mel):
        assert brightest(axes)[:2] == pytest.approx((0.5, 0.8), abs=0.05)
    assert brightest(spectrogram)[2] == pytest.approx(1.0, abs=0.1)  # kHz
    assert brightest(mel)[2] == pytest.approx(ticks(mel)["1"], abs=1.5)  # mel bands
    # 1000 Hz is a little above B5 (988 Hz).
    assert brightest(chromagram)[2] == pytest.approx(ticks(chromagram)["B"], abs=1)


def test_the_spectral_centroid_is_at_the_frequency_of_the_tone(beep):
    centroid = panels(audio.draw_representations(beep, ""))[1]
    (image,) = centroid.get_images()
    within = np.asarray(image.get_array(), float)[:, 66:80].mean() / 255  # 0.6 to 0.7 s
    assert within * image.get_extent()[3] == pytest.approx(1.0, abs=0.15)  # kHz


def test_plots_have_no_ticks(beep):
    all_axes = panels(audio.draw_representations(beep, "", plotted=True))
    assert len(all_axes) == 6
    assert all(len(axes.get_yticks()) == 0 for axes in all_axes)
    assert np.shape(all_axes[0].get_images()[0].get_array()) == (224, 224, 3)


def test_five_spectrograms_are_altered_as_their_titles_say(beep):
    amounts = augment.AudioAmounts(
        pitch_semitones=12.0, shift_seconds=0.6, stretch_factor=0.5, noise_snr_db=10.0
    )
    original, noise, pitch, shift, stretch = panels(audio.draw_alterations(beep, "beep", amounts))
    assert [axes.get_title() for axes in (original, noise, pitch, shift, stretch)] == [
        "original",
        "noise, 10 dB below the audio",
        "pitch shifted by +12 semitones",
        "shifted by +0.6 s",
        "stretched in time, tempo x 0.5",
    ]
    start, end, height = brightest(original)
    assert (start, end) == pytest.approx((0.5, 0.8), abs=0.05)
    quiet = [np.asarray(axes.get_images()[0].get_array())[:, 150:] for axes in (original, noise)]
    assert quiet[0].mean() < 5 and quiet[1].mean() > 60  # noise where there was silence
    marks = ticks(pitch)
    assert (height, brightest(pitch)[2]) == pytest.approx((marks["1"], marks["2"]), abs=2)
    assert brightest(shift)[:2] == pytest.approx((1.1, 1.4), abs=0.05)
    assert stretch.get_images()[0].get_extent()[1] == pytest.approx(4.0)
    assert brightest(stretch)[:2] == pytest.approx((1.0, 1.6), abs=0.1)


def test_the_color_bar_is_in_decibels(beep):
    bar = audio.draw_alterations(beep, "beep", augment.AudioAmounts()).axes[-1]
    assert "dB" in bar.get_ylabel()
    assert [t.get_text() for t in bar.get_yticklabels()] == ["-80", "-60", "-40", "-20", "0"]


def test_a_file_without_usable_audio_is_reported(tmp_path, write_audio, write_clip):
    with pytest.raises(errors.UserError, match=r"zeros.wav: silent audio"):
        audio.read_audio(write_audio(tmp_path / "zeros.wav", np.zeros(4000)))
    frames = np.full((4, 32, 32, 3), 90, np.uint8)
    with pytest.raises(errors.UserError, match=r"mute.mp4: no audio"):
        audio.read_audio(write_clip(tmp_path / "mute.mp4", frames))

"""Figures 9 and 10: representations of a waveform, and its mel spectrogram after augmentation.

The images are the inputs of networks, with axes drawn around them.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import librosa
import numpy as np

from mmer_jax import errors
from mmer_jax.datasets import clips
from mmer_jax.figures import canvas
from mmer_jax.media import audio, augment, spectrogram
from mmer_jax.media.representations import REPRESENTATIONS, plot_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

SIZE = 224  # side of the images in pixels, as in a build
_NOTES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}  # semitones above C
_MEL_TICKS = (250, 500, 1000, 2000, 4000, 8000)  # Hz


@dataclasses.dataclass(frozen=True)
class _Scale:
    """Vertical axis and color range of a representation's image.

    Attributes:
      label: Label of the vertical axis.
      bottom: Value at the lower edge of the image.
      top: Value at the upper edge of the image.
      ticks: (value, label) of each tick; empty for Matplotlib's choice.
      colors: Range of the colors, as a suffix of the title; empty for a curve.
    """

    label: str
    bottom: float
    top: float
    ticks: tuple[tuple[float, str], ...] = ()
    colors: str = ""


def read_audio(path: Path) -> np.ndarray:
    """Reads the audio of a video or audio file.

    Args:
      path: Path of the file.

    Returns:
      Waveform, float32 [n] at `spectrogram.RATE`.

    Raises:
      UserError: The file cannot be read, has no audio track, or is silent; the message has the
        path.
    """
    try:
        samples, _ = audio.read_audio(path, spectrogram.RATE)
        if audio.is_silent(samples):
            raise errors.ClipError("silent audio", f"{len(samples)} samples, all zero")
        return samples
    except errors.ClipError as error:
        raise errors.UserError(f"{path}: {error}") from error


def draw_representations(samples: np.ndarray, title: str, plotted: bool = False) -> "Figure":
    """Draws figure 9: six image representations of a waveform.

    The panels are, from the top left: waveform, spectral centroid, spectral bandwidth, chromagram,
    spectrogram, mel spectrogram.

    Args:
      samples: float [n] at `spectrogram.RATE`.
      title: Title of the figure.
      plotted: Whether to draw Matplotlib plots without axes, as in the paper, in place of the
        images that are inputs of networks.
    """
    figure = canvas.make_figure(9, 5.5)
    figure.suptitle(title)
    seconds, scales = len(samples) / spectrogram.RATE, _scales()
    panels = figure.subplots(2, 3, sharex=True)
    for axes, (name, representation) in zip(panels.flat, REPRESENTATIONS.items(), strict=True):
        if plotted:
            image = plot_image(name, samples, spectrogram.RATE, SIZE)
            axes.imshow(image, extent=(0, seconds, 0, 1), aspect="auto")
            axes.set_yticks([])
            axes.set_title(representation.title, fontsize="medium")
        else:
            image = representation.image(samples, spectrogram.RATE, SIZE)
            _show(axes, image, seconds, scales[name])
            axes.set_title(f"{representation.title}{scales[name].colors}", fontsize="medium")
    for axes in panels[-1]:
        axes.set_xlabel("time (s)")
    return figure


def draw_alterations(samples: np.ndarray, name: str, amounts: augment.AudioAmounts) -> "Figure":
    """Draws figure 10: the mel spectrograms of a waveform and of its augmented versions.

    Args:
      samples: float [n] at `spectrogram.RATE`.
      name: Name of the clip. It is the title of the figure and, as in a build, the seed of the
        noise.
      amounts: Parameters of the augmentations.
    """
    titles = {
        "original": "original",
        "noise": f"noise, {amounts.noise_snr_db:g} dB below the audio",
        "pitch_shift": f"pitch shifted by {amounts.pitch_semitones:+g} semitones",
        "time_shift": f"shifted by {amounts.shift_seconds:+g} s",
        "time_stretch": f"stretched in time, tempo x {amounts.stretch_factor:g}",
    }
    figure = canvas.make_figure(7, 10)
    figure.suptitle(name)
    panels = figure.subplots(len(augment.AUDIO_VARIANTS), 1, sharex=True)
    scale = _scales()["mel"]
    for axes, variant in zip(panels, augment.AUDIO_VARIANTS, strict=True):
        rng = clips.make_variant_rng(name, variant)
        version = augment.apply_variant(samples, spectrogram.RATE, variant, amounts, rng)
        image = spectrogram.mel_image(version, spectrogram.RATE, SIZE)
        axes.set_title(titles.get(variant, variant), fontsize="medium")
        drawn = _show(axes, image, len(version) / spectrogram.RATE, scale)
        axes.set_ylabel("")  # one label for all panels, below
    figure.supylabel(scale.label)
    panels[-1].set_xlabel("time (s)")
    bar = figure.colorbar(drawn, ax=panels, ticks=np.linspace(0, 255, 5), shrink=0.4)
    bar.set_label("level (dB; 0 is the loudest point)")
    bar.ax.set_yticklabels([f"{x:g}" for x in np.linspace(-spectrogram.RANGE_DB, 0, 5)])
    return figure


def _show(axes: "Axes", image: np.ndarray, seconds: float, scale: _Scale) -> "AxesImage":
    """Shows an image, uint8 [s, s, 1], in a panel with a time axis and a vertical scale."""
    drawn = axes.imshow(
        image[..., 0],
        extent=(0, seconds, scale.bottom, scale.top),
        aspect="auto",
        cmap=canvas.IMAGE_COLORMAP,
        vmin=0,
        vmax=255,
    )
    axes.set_ylabel(scale.label)
    if scale.ticks:
        values, labels = zip(*scale.ticks, strict=True)
        axes.set_yticks(values, labels)
    return drawn


def _scales() -> dict[str, _Scale]:
    """Returns name -> scale for the representations of `media.representations`."""
    highest = spectrogram.RATE / 2000
    decibels = f", {-spectrogram.RANGE_DB:g} to 0 dB"
    mels = librosa.mel_frequencies(spectrogram.BANDS + 2, fmax=spectrogram.RATE / 2)[1:-1]
    bands = np.interp(_MEL_TICKS, mels, np.arange(spectrogram.BANDS) + 0.5)
    return {
        "waveform": _Scale("amplitude (relative to the peak)", -1, 1),
        "spectral_centroid": _Scale("frequency (kHz)", 0, highest),
        "spectral_bandwidth": _Scale("bandwidth (kHz)", 0, highest),
        "chromagram": _Scale(
            "pitch class",
            0,
            12,
            tuple((semitone + 0.5, note) for note, semitone in _NOTES.items()),
            ", 0 to 1",
        ),
        "spectrogram": _Scale("frequency (kHz)", 0, highest, colors=decibels),
        "mel": _Scale(
            "frequency (kHz), mel scale",
            0,
            spectrogram.BANDS,
            tuple((band, f"{hz / 1000:.2g}") for band, hz in zip(bands, _MEL_TICKS, strict=True)),
            decibels,
        ),
    }

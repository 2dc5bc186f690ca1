"""Figures 9 and 10: six images of one waveform, and its mel spectrogram after each alteration.

What is drawn is what networks are given, with axes put around it.
"""

import dataclasses
from pathlib import Path

import librosa
import numpy as np

from mmer_jax import errors
from mmer_jax.datasets import clips
from mmer_jax.figures import canvas
from mmer_jax.media import audio, augment, spectrogram
from mmer_jax.media.representations import REPRESENTATIONS, plot_image

SIZE = 224  # as stored
_NOTES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}  # of twelve, from the bottom
_MEL_TICKS = (250, 500, 1000, 2000, 4000, 8000)  # Hz


@dataclasses.dataclass(frozen=True)
class _Scale:
    """How a representation's image is to be read.

    Attributes:
      label: of the vertical axis.
      bottom, top: what the image's edges mean.
      ticks: (place, label) where numbers alone would not do.
      colors: what dark and bright mean, where it is more than inside and outside of a curve.
    """

    label: str
    bottom: float
    top: float
    ticks: tuple[tuple[float, str], ...] = ()
    colors: str = ""


def read(path: Path) -> np.ndarray:
    """The audio of a video or audio file, float32 [n] at spectrogram.RATE.

    Raises:
      UserError: it cannot be read, or has no audio; the message names the file.
    """
    try:
        samples, _ = audio.read_audio(path, spectrogram.RATE)
        if audio.is_silent(samples):
            raise errors.ClipError("silent audio", f"{len(samples)} samples, all zero")
        return samples
    except errors.ClipError as problem:
        raise errors.UserError(f"{path}: {problem}") from problem


def representations(samples: np.ndarray, title: str, plotted: bool = False):
    """Figure 9: from the top left waveform, centroid, bandwidth, chromagram, spectrogram, mel.

    Args:
      samples: float [n] at spectrogram.RATE.
      title: of the figure.
      plotted: draw matplotlib's plots without axes, as the paper did, in place of the images.

    Returns:
      a matplotlib Figure.
    """
    made = canvas.figure(9, 5.5)
    made.suptitle(title)
    seconds, scales = len(samples) / spectrogram.RATE, _scales()
    panels = made.subplots(2, 3, sharex=True)
    for axes, (name, representation) in zip(panels.flat, REPRESENTATIONS.items(), strict=True):
        if plotted:
            image = plot_image(name, samples, spectrogram.RATE, SIZE)
            axes.imshow(image, extent=(0, seconds, 0, 1), aspect="auto")
            axes.set_yticks([])
            axes.set_title(representation.title, fontsize="medium")
        else:
            image = representation.image(samples, spectrogram.RATE, SIZE)
            _draw(axes, image, seconds, scales[name])
            axes.set_title(f"{representation.title}{scales[name].colors}", fontsize="medium")
    for axes in panels[-1]:
        axes.set_xlabel("time (s)")
    return made


def alterations(samples: np.ndarray, name: str, amounts: augment.AudioAmounts):
    """Figure 10: from the top the mel spectrogram of the original and of each altered version.

    Args:
      samples: float [n] at spectrogram.RATE.
      name: the clip's: the noise follows from it, as where sets are packed.
      amounts: how strong the alterations are.

    Returns:
      a matplotlib Figure.
    """
    told = {
        "original": "original",
        "noise": f"noise, {amounts.noise_snr_db:g} dB below the audio",
        "pitch_shift": f"pitch shifted by {amounts.pitch_semitones:+g} semitones",
        "time_shift": f"shifted by {amounts.shift_seconds:+g} s",
        "time_stretch": f"stretched in time, tempo x {amounts.stretch_factor:g}",
    }
    made = canvas.figure(7, 10)
    made.suptitle(name)
    panels = made.subplots(len(augment.AUDIO_VARIANTS), 1, sharex=True)
    scale = _scales()["mel"]
    for axes, variant in zip(panels, augment.AUDIO_VARIANTS, strict=True):
        rng = clips.make_rng(name, f"audio {variant}")
        varied = augment.vary(samples, spectrogram.RATE, variant, amounts, rng)
        image = spectrogram.mel_image(varied, spectrogram.RATE, SIZE)
        axes.set_title(told.get(variant, variant), fontsize="medium")
        image = _draw(axes, image, len(varied) / spectrogram.RATE, scale)
        axes.set_ylabel("")  # the same for all
    made.supylabel(scale.label)
    panels[-1].set_xlabel("time (s)")
    bar = made.colorbar(image, ax=panels, ticks=np.linspace(0, 255, 5), shrink=0.4)
    bar.set_label("level (dB; 0 is the loudest point)")
    bar.ax.set_yticklabels([f"{x:g}" for x in np.linspace(-spectrogram.RANGE_DB, 0, 5)])
    return made


def _draw(axes, image: np.ndarray, seconds: float, scale: _Scale):
    """Puts uint8 [s, s, 1] into a panel, with time to the right and the scale upwards."""
    image = axes.imshow(
        image[..., 0],
        extent=(0, seconds, scale.bottom, scale.top),
        aspect="auto",
        cmap=canvas.IMAGE_COLOURS,
        vmin=0,
        vmax=255,
    )
    axes.set_ylabel(scale.label)
    if scale.ticks:
        places, labels = zip(*scale.ticks, strict=True)
        axes.set_yticks(places, labels)
    return image


def _scales() -> dict[str, _Scale]:
    """What media.representations says of the heights of its images, by name."""
    highest = spectrogram.RATE / 2000
    decibels = f", {-spectrogram.RANGE_DB:g} to 0 dB"
    mels = librosa.mel_frequencies(spectrogram.BANDS + 2, fmax=spectrogram.RATE / 2)[1:-1]
    bands = np.interp(_MEL_TICKS, mels, np.arange(spectrogram.BANDS) + 0.5)
    return {
        "waveform": _Scale("amplitude (part of the peak)", -1, 1),
        "spectral_centroid": _Scale("frequency (kHz)", 0, highest),
        "spectral_bandwidth": _Scale("bandwidth (kHz)", 0, highest),
        "chromagram": _Scale(
            "pitch class",
            0,
            12,
            tuple((place + 0.5, note) for note, place in _NOTES.items()),
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

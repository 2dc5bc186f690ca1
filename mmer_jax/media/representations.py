"""The six ways of section 7.2 (figure 9) to see a waveform as an image, and their plots.

An image's height is a scale that all audio share, but for the waveform, which is drawn to its own
peak. Its width is the whole duration. A plot is what the paper fed its networks, as far as its
figures tell: matplotlib's drawing without axes, in colors, each curve scaled to its own range.
"""

import dataclasses
import functools
from collections.abc import Callable

import librosa
import numpy as np

from mmer_jax import errors
from mmer_jax.media import spectrogram


@dataclasses.dataclass(frozen=True)
class Representation:
    """One of them.

    Attributes:
      name: of the modality.
      title: for tables and figures.
      image: (samples float [n] in -1..1, rate, size) -> uint8 [size, size, 1].
      draw: (axes of matplotlib, samples, rate) -> None.
    """

    name: str
    title: str
    image: Callable[[np.ndarray, int, int], np.ndarray]
    draw: Callable[[object, np.ndarray, int], None]


def waveform_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """White between the lowest and the highest sample of each column, the peak at the edge."""
    del rate
    samples = np.asarray(samples, np.float32)
    peak = np.abs(samples).max(initial=0.0)
    if len(samples) < size:
        samples = np.pad(samples, (0, size - len(samples)))
    starts = np.arange(size) * len(samples) // size
    low, high = (f.reduceat(samples, starts) for f in (np.minimum, np.maximum))
    scale = 2 * peak if peak > 0 else 1.0
    return _filled(low / scale + 0.5, high / scale + 0.5, size)


def centroid_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """White from 0 Hz (bottom) up to librosa's spectral centroid; the top is half the rate."""
    return _curve(librosa.feature.spectral_centroid(y=_enough(samples), sr=rate)[0], rate, size)


def bandwidth_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """White from 0 Hz (bottom) up to librosa's spectral bandwidth; the top is half the rate."""
    return _curve(librosa.feature.spectral_bandwidth(y=_enough(samples), sr=rate)[0], rate, size)


def chromagram_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """librosa's chroma_stft, 0..1 as black to white, C in the bottom row."""
    return _grey(librosa.feature.chroma_stft(y=_enough(samples), sr=rate)[::-1], size)


def spectrogram_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """The power spectrogram over linear frequency, -80..0 dB below its loudest point."""
    del rate
    decibels = _decibels(samples)
    return _grey(decibels[::-1] / spectrogram.RANGE_DB + 1, size)


def plot_image(name: str, samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """A representation as matplotlib draws it, without axes and margins.

    Args:
      name: one of REPRESENTATIONS.
      samples: float [n] in -1..1.
      rate: samples a second.
      size: side of the image.

    Returns:
      uint8 [size, size, 3], RGB.

    Raises:
      UserError: an unknown name, or matplotlib is not installed.
    """
    if name not in REPRESENTATIONS:
        raise errors.unknown("audio representation", name, REPRESENTATIONS)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as e:
        raise errors.UserError("plots need matplotlib: install mmer-jax[data]") from e
    figure = Figure(figsize=(1, 1), dpi=size)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    REPRESENTATIONS[name].draw(axes, np.asarray(samples, np.float32), rate)
    axes.margins(x=0)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_waveform(axes, samples, rate):
    axes.plot(np.arange(len(samples)) / rate, samples, linewidth=0.4)


def _draw_centroid(axes, samples, rate):
    axes.plot(librosa.feature.spectral_centroid(y=_enough(samples), sr=rate)[0], linewidth=0.6)


def _draw_bandwidth(axes, samples, rate):
    axes.plot(librosa.feature.spectral_bandwidth(y=_enough(samples), sr=rate)[0], linewidth=0.6)


def _draw_map(axes, values):
    axes.imshow(values, origin="lower", aspect="auto", cmap="magma", interpolation="nearest")


def _draw_chromagram(axes, samples, rate):
    _draw_map(axes, librosa.feature.chroma_stft(y=_enough(samples), sr=rate))


def _draw_spectrogram(axes, samples, rate):
    del rate
    _draw_map(axes, _decibels(samples))


def _draw_mel(axes, samples, rate):
    _draw_map(axes, spectrogram.log_mel(samples, rate))


# In the order of table 2.
REPRESENTATIONS = {
    r.name: r
    for r in (
        Representation("waveform", "waveform", waveform_image, _draw_waveform),
        Representation("spectral_centroid", "spectral centroid", centroid_image, _draw_centroid),
        Representation(
            "spectral_bandwidth", "spectral bandwidth", bandwidth_image, _draw_bandwidth
        ),
        Representation("chromagram", "chromagram", chromagram_image, _draw_chromagram),
        Representation("spectrogram", "spectrogram", spectrogram_image, _draw_spectrogram),
        Representation("mel", "mel spectrogram", spectrogram.mel_image, _draw_mel),
    )
}

# Modality -> its image of a waveform: (float samples, rate, size) -> uint8 [size, size, channels].
IMAGES = {r.name: r.image for r in REPRESENTATIONS.values()} | {
    f"{name}_plot": functools.partial(plot_image, name) for name in REPRESENTATIONS
}
IMAGES["mel_level"] = spectrogram.mel_level_image  # not the paper's


def _enough(samples: np.ndarray) -> np.ndarray:
    """At least a window: librosa warns of less."""
    samples = np.asarray(samples, np.float32)
    return np.pad(samples, (0, max(0, spectrogram.WINDOW - len(samples))))


def _decibels(samples: np.ndarray) -> np.ndarray:
    power = np.abs(librosa.stft(_enough(samples), n_fft=spectrogram.WINDOW)) ** 2
    return spectrogram.below_peak(power)


def _curve(hertz: np.ndarray, rate: int, size: int) -> np.ndarray:
    height = spectrogram.resized(hertz[None].astype(np.float32), size, height=1)[0] / (rate / 2)
    return _filled(np.zeros_like(height), height, size)


def _filled(low: np.ndarray, high: np.ndarray, size: int) -> np.ndarray:
    """White between two curves of heights 0 (bottom) to 1 (top); edges are antialiased."""
    bottom = np.arange(size)[::-1, None]
    covered = (np.clip(curve * size - bottom, 0, 1) for curve in (high, low))
    return _to_bytes(np.subtract(*covered))


def _grey(values: np.ndarray, size: int) -> np.ndarray:
    return _to_bytes(spectrogram.resized(values.astype(np.float32), size))


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.round(values * 255).clip(0, 255).astype(np.uint8)[..., None]

"""The six image representations of audio in section 7.2 of the paper (figure 9), and their plots.

The vertical scale of an image is the same for all recordings, except that a waveform is scaled to
its own peak. The horizontal axis is the whole duration. A plot is a matplotlib drawing in color
without axes, with each curve scaled to its own range: judging by its figures, the paper's networks
were trained on such plots.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable

import librosa
import numpy as np

from mmer_jax import errors
from mmer_jax.media import spectrogram
from mmer_jax.utils import files


@dataclasses.dataclass(frozen=True)
class Representation:
    """An image representation of audio.

    Attributes:
      name: Name of the modality.
      title: Name in tables and figures.
      image: Function that computes the image: (samples float [n] in -1..1, rate in Hz, size) ->
        uint8 [size, size, 1].
      draw: Function that draws the plot: (matplotlib axes, samples, rate in Hz) -> None.
    """

    name: str
    title: str
    image: Callable[[np.ndarray, int, int], np.ndarray]
    draw: Callable[[object, np.ndarray, int], None]


def waveform_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """Renders a waveform, white from the lowest to the highest sample in each column.

    The waveform is scaled to its own peak.

    Args:
      samples: float [n] in -1..1.
      rate: Not used.
      size: Side of the image in pixels.

    Returns:
      uint8 [size, size, 1].
    """
    del rate
    samples = np.asarray(samples, np.float32)
    peak = np.abs(samples).max(initial=0.0)
    if len(samples) < size:
        samples = np.pad(samples, (0, size - len(samples)))
    starts = np.arange(size) * len(samples) // size
    low, high = (f.reduceat(samples, starts) for f in (np.minimum, np.maximum))
    scale = 2 * peak if peak > 0 else 1.0
    return _fill_between(low / scale + 0.5, high / scale + 0.5, size)


def centroid_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """Renders librosa's spectral centroid, white from 0 Hz (bottom) up to the centroid.

    Args:
      samples: float [n] in -1..1.
      rate: Sampling rate in Hz; the top of the image is half of it.
      size: Side of the image in pixels.

    Returns:
      uint8 [size, size, 1].
    """
    centroid = librosa.feature.spectral_centroid(y=_pad_to_window(samples), sr=rate)[0]
    return _curve_image(centroid, rate, size)


def bandwidth_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """Renders librosa's spectral bandwidth, white from 0 Hz (bottom) up to the bandwidth.

    Args:
      samples: float [n] in -1..1.
      rate: Sampling rate in Hz; the top of the image is half of it.
      size: Side of the image in pixels.

    Returns:
      uint8 [size, size, 1].
    """
    bandwidth = librosa.feature.spectral_bandwidth(y=_pad_to_window(samples), sr=rate)[0]
    return _curve_image(bandwidth, rate, size)


def chromagram_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """Renders librosa's chroma_stft, 0..1 as black to white, pitch class C at the bottom.

    Args:
      samples: float [n] in -1..1.
      rate: Sampling rate in Hz.
      size: Side of the image in pixels.

    Returns:
      uint8 [size, size, 1].
    """
    chroma = librosa.feature.chroma_stft(y=_pad_to_window(samples), sr=rate)
    return _gray_image(chroma[::-1], size)


def spectrogram_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """Renders the power spectrogram with linear frequency, -80..0 dB relative to its maximum.

    Args:
      samples: float [n] in -1..1.
      rate: Not used.
      size: Side of the image in pixels.

    Returns:
      uint8 [size, size, 1], low frequencies at the bottom.
    """
    del rate
    decibels = _power_spectrogram_db(samples)
    return _gray_image(decibels[::-1] / spectrogram.RANGE_DB + 1, size)


def plot_image(name: str, samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """Plots a representation with matplotlib, without axes and margins.

    Args:
      name: Key of REPRESENTATIONS.
      samples: float [n] in -1..1.
      rate: Sampling rate in Hz.
      size: Side of the image in pixels.

    Returns:
      uint8 [size, size, 3], RGB.

    Raises:
      UserError: If `name` is unknown or matplotlib is not installed.
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
    centroid = librosa.feature.spectral_centroid(y=_pad_to_window(samples), sr=rate)[0]
    axes.plot(centroid, linewidth=0.6)


def _draw_bandwidth(axes, samples, rate):
    bandwidth = librosa.feature.spectral_bandwidth(y=_pad_to_window(samples), sr=rate)[0]
    axes.plot(bandwidth, linewidth=0.6)


def _draw_map(axes, values):
    axes.imshow(values, origin="lower", aspect="auto", cmap="magma", interpolation="nearest")


def _draw_chromagram(axes, samples, rate):
    _draw_map(axes, librosa.feature.chroma_stft(y=_pad_to_window(samples), sr=rate))


def _draw_spectrogram(axes, samples, rate):
    del rate
    _draw_map(axes, _power_spectrogram_db(samples))


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

# Modality -> function that computes its image from a waveform:
# (samples float [n] in -1..1, rate in Hz, size) -> uint8 [size, size, channels].
IMAGES = {r.name: r.image for r in REPRESENTATIONS.values()} | {
    f"{name}_plot": functools.partial(plot_image, name) for name in REPRESENTATIONS
}
IMAGES["mel_level"] = spectrogram.mel_level_image  # not from the paper

# Registered modality -> digest of the source file of its function.
_source_digests: dict[str, str] = {}


def register(name: str, image: Callable[[np.ndarray, int, int], np.ndarray]) -> None:
    """Registers the function that computes the image of an audio modality.

    Packs of the builder config `speech` then provide the modality.

    Args:
      name: Name of the modality, see modalities.register.
      image: Function (samples float32 [n] in -1..1, rate in Hz, size) -> uint8 [size, size,
        channels]. It must be defined in a file, whose digest identifies the packs made with it.
    """
    path = inspect.getsourcefile(image)
    assert path is not None, f"{image} has no source file"
    IMAGES[name] = image
    _source_digests[name] = files.digest(path)[:8]


def source_digest(names: Iterable[str]) -> str:
    """Returns the digests of the source files that define the given modalities.

    Args:
      names: Names of modalities.

    Returns:
      8 hex digits for each source file of a registered modality, joined by "-"; "" if none of the
      modalities was added by `register`.
    """
    return "-".join(sorted({_source_digests[n] for n in names if n in _source_digests}))


def _pad_to_window(samples: np.ndarray) -> np.ndarray:
    """Pads a waveform to at least one STFT window, since librosa warns about shorter ones."""
    samples = np.asarray(samples, np.float32)
    return np.pad(samples, (0, max(0, spectrogram.WINDOW - len(samples))))


def _power_spectrogram_db(samples: np.ndarray) -> np.ndarray:
    power = np.abs(librosa.stft(_pad_to_window(samples), n_fft=spectrogram.WINDOW)) ** 2
    return spectrogram.power_to_relative_db(power)


def _curve_image(hertz: np.ndarray, rate: int, size: int) -> np.ndarray:
    """Renders frequencies (float [frames], Hz) as an area from 0 Hz, uint8 [size, size, 1].

    The top of the image is half of the sampling rate.
    """
    height = spectrogram.resize(hertz[None].astype(np.float32), size, height=1)[0] / (rate / 2)
    return _fill_between(np.zeros_like(height), height, size)


def _fill_between(low: np.ndarray, high: np.ndarray, size: int) -> np.ndarray:
    """Fills the area between two curves with white.

    Args:
      low: float [size], lower curve, from 0 (bottom) to 1 (top).
      high: float [size], upper curve, from 0 (bottom) to 1 (top).
      size: Side of the image in pixels.

    Returns:
      uint8 [size, size, 1] with antialiased edges.
    """
    bottom = np.arange(size)[::-1, None]
    coverage = (np.clip(curve * size - bottom, 0, 1) for curve in (high, low))
    return _to_uint8(np.subtract(*coverage))


def _gray_image(values: np.ndarray, size: int) -> np.ndarray:
    """Renders values (float [h, w] in 0..1) as a grayscale image, uint8 [size, size, 1]."""
    return _to_uint8(spectrogram.resize(values.astype(np.float32), size))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.round(values * 255).clip(0, 255).astype(np.uint8)[..., None]

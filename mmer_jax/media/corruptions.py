"""Corruptions of face images and audio, for testing robustness.

The levels of each corruption have their own unit. Blur and low resolution are separable linear
maps: one matrix is applied to rows and columns. This module therefore needs only NumPy, and a
machine without OpenCV can test on corrupted images.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from mmer_jax import errors


@dataclasses.dataclass(frozen=True)
class Corruption:
    """A corruption with its levels.

    Attributes:
      name: Name in commands and records.
      title: Name in headings.
      stream: Stream that is corrupted: "video" (photographs of the face) or "audio" (the waveform,
        from which audio images are computed afterwards).
      description: What the corruption does and what a level means, for users.
      unit: Unit of a level, in the form that is written after the number.
      levels: Default levels, from mild to severe.
      limits: Smallest and largest valid level.
      apply: Function that corrupts an input. For "video": (image uint8 [s, s, c], level, rng) ->
        uint8 [s, s, c]. For "audio": (samples float [n], level, rng) -> float32 [n].
      axis_position: Function of a level that returns the position of the level on the axis of a
        chart, which starts at zero.
      axis_label: Label of the axis.
      clean_position: Position of clean inputs on the axis; None for the side of the images in
        pixels.
    """

    name: str
    title: str
    stream: str
    description: str
    unit: str
    levels: tuple[float, ...]
    limits: tuple[float, float]
    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    axis_position: Callable[[float], float]
    axis_label: str
    clean_position: float | None = 0.0

    def check(self, level: float) -> None:
        """Checks a level.

        Args:
          level: Level of this corruption.

        Raises:
          UserError: If `level` is outside `limits`.
        """
        low, high = self.limits
        if not low <= level <= high:
            raise errors.UserError(
                f"a level of {self.name} must be from {low:g} to {high:g}{self.unit}, "
                f"found {level:g}"
            )


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Applies a Gaussian blur, truncated at 4 sigma.

    Edges are mirrored and the edge pixel is repeated, as in scipy.ndimage's mode "reflect".

    Args:
      image: uint8 [s, s, c].
      sigma: Standard deviation as a fraction of the side; with 0 the image stays unchanged.

    Returns:
      uint8 [s, s, c].
    """
    size = len(image)
    return _apply_separable(_blur_matrix(size, sigma * size), image)


def darken(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiplies all values by a factor and rounds.

    Args:
      image: uint8 [s, s, c].
      factor: Remaining brightness, in 0..1.

    Returns:
      uint8 [s, s, c].
    """
    return _to_uint8(image * np.float32(factor))


def occlude(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Covers a random square of the image with black.

    Args:
      image: uint8 [s, s, c].
      share: Covered share of the area, in 0..1. The side of the square is rounded to whole pixels.
      rng: Generator that the position is drawn from. With generators in the same state, squares of
        different shares leave the same fraction of the free rows above them and of the free columns
        to their left, up to rounding.

    Returns:
      uint8 [s, s, c].
    """
    size = len(image)
    side = round(size * share**0.5)
    top, left = (rng.random(2) * (size - side + 1)).astype(int)
    covered = image.copy()
    covered[top : top + side, left : left + side] = 0
    return covered


def reduce(image: np.ndarray, pixels: int) -> np.ndarray:
    """Reduces the resolution by area averaging, then enlarges by linear interpolation.

    Args:
      image: uint8 [s, s, c].
      pixels: Side of the reduced image in pixels. If `pixels` >= s, the image is returned
        unchanged.

    Returns:
      uint8 [s, s, c].
    """
    size = len(image)
    if pixels >= size:
        return image
    matrix = _interpolation_matrix(pixels, size) @ _averaging_matrix(size, pixels)
    return _apply_separable(matrix, image)


def _add_noise(samples: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    from mmer_jax.media import augment  # not at the top, since augment needs librosa

    return augment.add_noise(samples, level, rng)


CORRUPTIONS = {
    c.name: c
    for c in (
        Corruption(
            "blur",
            "blurred faces",
            "video",
            "Gaussian blur. The level is its standard deviation in % of the image's side.",
            " %",
            (1, 2, 4, 8),
            (0, 50),
            lambda image, level, rng: blur(image, level / 100),
            lambda level: level,
            "standard deviation of the blur, % of the side",
        ),
        Corruption(
            "darken",
            "darkened faces",
            "video",
            "All values multiplied by one factor. The level is the light removed, in %.",
            " %",
            (50, 75, 90),
            (0, 100),
            lambda image, level, rng: darken(image, 1 - level / 100),
            lambda level: level,
            "light removed, %",
        ),
        Corruption(
            "occlude",
            "occluded faces",
            "video",
            "A black square, at the same place in all frames of a clip, drawn with the clip's "
            "name as the seed. The level is the covered share of the area, in %.",
            " %",
            (10, 25, 50),
            (0, 100),
            lambda image, level, rng: occlude(image, level / 100, rng),
            lambda level: level,
            "covered share of the area, %",
        ),
        Corruption(
            "low_resolution",
            "low-resolution faces",
            "video",
            "Downsampled by area averaging and enlarged again by linear interpolation. The level "
            "is the side of the downsampled image, in pixels.",
            " px",
            (32, 16, 8, 4),
            (1, 4096),
            lambda image, level, rng: reduce(image, int(level)),
            lambda level: level,
            "side, pixels",
            clean_position=None,
        ),
        Corruption(
            "noise",
            "noisy audio",
            "audio",
            "White Gaussian noise added to the audio. The level is the signal-to-noise ratio "
            "(the ratio of mean powers), in dB.",
            " dB",
            (20, 10, 0),
            (-60, 120),
            _add_noise,
            lambda level: 100 * 10 ** (-level / 20),
            "noise amplitude, % of the audio's (20 dB is 10 %, 0 dB is 100 %)",
        ),
    )
}


def _apply_separable(matrix: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Applies a matrix, float32 [s, s], to both spatial axes of an image, uint8 [s, s, c]."""
    channels = np.moveaxis(image.astype(np.float32), -1, 0)
    return _to_uint8(np.moveaxis(matrix @ channels @ matrix.T, 0, -1))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _blur_matrix(size: int, sigma: float) -> np.ndarray:
    """Returns the matrix of a Gaussian blur, float32 [size, size]; sigma is in pixels."""
    radius = int(4 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / max(sigma, 1e-9)) ** 2)
    outputs = np.arange(size)[:, None]
    inputs = (outputs + offsets) % (2 * size)
    inputs = np.minimum(inputs, 2 * size - 1 - inputs)  # mirrored at the edges
    matrix = np.zeros((size, size))
    np.add.at(matrix, (outputs, inputs), kernel / kernel.sum())
    return matrix.astype(np.float32)


def _averaging_matrix(size: int, pixels: int) -> np.ndarray:
    """Returns the matrix that averages over the area of each new pixel, float32 [pixels, size]."""
    edges, inputs = np.arange(pixels + 1) * (size / pixels), np.arange(size)
    ends = np.minimum(edges[1:, None], inputs + 1)
    overlap = np.maximum(0, ends - np.maximum(edges[:-1, None], inputs))
    return (overlap * (pixels / size)).astype(np.float32)


def _interpolation_matrix(pixels: int, size: int) -> np.ndarray:
    """Returns the matrix of linear interpolation, float32 [size, pixels].

    Values are interpolated between pixel centers, and constant beyond the outermost centers.
    """
    positions = ((np.arange(size) + 0.5) * (pixels / size) - 0.5).clip(0, pixels - 1)
    distances = np.abs(positions[:, None] - np.arange(pixels))
    return np.maximum(0, 1 - distances).astype(np.float32)

"""What can be wrong with a recording that a network is tested on: with its faces, its audio.

Each corruption has levels, on a scale of its own. Blur and low resolution are linear in rows and in
columns: one matrix, applied from both sides. So this module needs numpy alone, and a machine
without OpenCV can test on corrupted images.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from mmer_jax import errors


@dataclasses.dataclass(frozen=True)
class Corruption:
    """One of them.

    Attributes:
      name: for commands and records.
      title: for headings.
      stream: what it is done to: "image" (photographs of the face) or "audio" (the samples,
        before images are made of them).
      how: what is done, and what a level is, in a sentence.
      unit: of a level, as it is written behind the number.
      levels: that are tested if nothing else is said, from mild to severe.
      limits: the least and the largest level.
      apply: (image uint8 [s, s, c], level, rng) -> uint8 [s, s, c]; of audio
        (samples float [n], level, rng) -> float32 [n].
      place: where a level stands on a chart's axis, which begins at zero.
      axis: what that axis shows.
      untouched: where untouched inputs stand on it; None: at the side of the images.
    """

    name: str
    title: str
    stream: str
    how: str
    unit: str
    levels: tuple[float, ...]
    limits: tuple[float, float]
    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    place: Callable[[float], float]
    axis: str
    untouched: float | None = 0.0

    def check(self, level: float) -> None:
        """Raises a UserError for a level outside of the limits."""
        low, high = self.limits
        if not low <= level <= high:
            raise errors.UserError(
                f"a level of {self.name} is {low:g} to {high:g}{self.unit}, found {level:g}"
            )


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur, mirrored at the edges (the edge's pixel twice), cut off at 4 sigma.

    Args:
      image: uint8 [s, s, c].
      sigma: standard deviation as a part of the side; 0 leaves the image as it is.

    Returns:
      uint8 [s, s, c].
    """
    size = len(image)
    return _both_ways(_blurring(size, sigma * size), image)


def darken(image: np.ndarray, kept: float) -> np.ndarray:
    """Every value times `kept`, in 0..1, rounded; uint8 [s, s, c]."""
    return _rounded(image * np.float32(kept))


def occlude(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A black square somewhere within the image.

    Args:
      image: uint8 [s, s, c].
      share: of the image's area, in 0..1; the square's side is rounded to whole pixels.
      rng: where the place comes from. One rng gives squares of all shares the same place, as far as
        they fit into the image.

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
    """An image as a camera of few pixels gives it, enlarged to its old size.

    Args:
      image: uint8 [s, s, c].
      pixels: the side in between, each pixel the mean of the area that it covers; enlarged by
        linear interpolation. An image that is not larger stays as it is.

    Returns:
      uint8 [s, s, c].
    """
    size = len(image)
    if pixels >= size:
        return image
    return _both_ways(_enlarging(pixels, size) @ _averaging(size, pixels), image)


def _add_noise(samples: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    from mmer_jax.media import augment  # here, because it needs librosa

    return augment.add_noise(samples, level, rng)


CORRUPTIONS = {
    c.name: c
    for c in (
        Corruption(
            "blur",
            "blurred faces",
            "image",
            "A Gaussian blur; the level is its standard deviation in % of the image's side.",
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
            "image",
            "All values made smaller by one factor; the level is the light that is taken, in %.",
            " %",
            (50, 75, 90),
            (0, 100),
            lambda image, level, rng: darken(image, 1 - level / 100),
            lambda level: level,
            "light taken away, %",
        ),
        Corruption(
            "occlude",
            "occluded faces",
            "image",
            "A black square, for all frames of a clip at one place that follows from the clip's "
            "name; the level is the share of the area that it covers, in %.",
            " %",
            (10, 25, 50),
            (0, 100),
            lambda image, level, rng: occlude(image, level / 100, rng),
            lambda level: level,
            "share of the area that is covered, %",
        ),
        Corruption(
            "low_resolution",
            "faces of low resolution",
            "image",
            "Averaged down to few pixels and enlarged again by linear interpolation; the level is "
            "the side in between, in pixels.",
            " px",
            (32, 16, 8, 4),
            (1, 4096),
            lambda image, level, rng: reduce(image, int(level)),
            lambda level: level,
            "side, pixels",
            untouched=None,
        ),
        Corruption(
            "noise",
            "noisy audio",
            "audio",
            "White Gaussian noise added to the audio; the level is the ratio of the audio's mean "
            "power to the noise's, in dB.",
            " dB",
            (20, 10, 0),
            (-60, 120),
            _add_noise,
            lambda level: 100 * 10 ** (-level / 20),
            "amplitude of the noise, % of the audio's (20 dB is 10 %, 0 dB is 100 %)",
        ),
    )
}


def _both_ways(matrix: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The matrix applied to the columns and to the rows of each channel; uint8 [s, s, c]."""
    channels = np.moveaxis(image.astype(np.float32), -1, 0)
    return _rounded(np.moveaxis(matrix @ channels @ matrix.T, 0, -1))


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _blurring(size: int, sigma: float) -> np.ndarray:
    """float32 [size, size]; sigma in pixels."""
    reach = int(4 * sigma + 0.5)
    offset = np.arange(-reach, reach + 1)
    weight = np.exp(-0.5 * (offset / max(sigma, 1e-9)) ** 2)
    to = np.arange(size)[:, None]
    mirrored = (to + offset) % (2 * size)
    mirrored = np.minimum(mirrored, 2 * size - 1 - mirrored)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (to, mirrored), weight / weight.sum())
    return matrix.astype(np.float32)


def _averaging(size: int, pixels: int) -> np.ndarray:
    """float32 [pixels, size]: each new pixel is the mean over what it covers of the old ones."""
    edges, old = np.arange(pixels + 1) * (size / pixels), np.arange(size)
    ends = np.minimum(edges[1:, None], old + 1)
    covered = np.maximum(0, ends - np.maximum(edges[:-1, None], old))
    return (covered * (pixels / size)).astype(np.float32)


def _enlarging(pixels: int, size: int) -> np.ndarray:
    """float32 [size, pixels]: linear between the middles of the pixels, flat beyond the last."""
    place = ((np.arange(size) + 0.5) * (pixels / size) - 0.5).clip(0, pixels - 1)
    distance = np.abs(place[:, None] - np.arange(pixels))
    return np.maximum(0, 1 - distance).astype(np.float32)

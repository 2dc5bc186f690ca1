"""Drawing soft-edged shapes into float images."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

_SHIFT = 4  # fractional bits of polygon coordinates in OpenCV: sixteenths of a pixel
# Shapes with a lower opacity are skipped. On average this is half of the creases of a face.
_INVISIBLE = 0.02

Polygons = np.ndarray | Sequence[np.ndarray]  # corners of one polygon, float [n, 2], or of several


def curve(points: ArrayLike, steps: int = 6, closed: bool = False) -> np.ndarray:
    """Interpolates points by a Catmull-Rom spline.

    Args:
      points: float [n, 2], points that the curve passes through.
      steps: Number of points of the result per segment between two points.
      closed: Whether the curve returns to its first point.

    Returns:
      float [m, 2] with m = steps * n for a closed curve, else m = steps * (n - 1) + 1.
    """
    p = np.asarray(points, float)
    if closed:
        p = np.concatenate([p[-1:], p, p[:2]])
    else:
        p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None, :] for i in range(4))
    # The uniform Catmull-Rom basis, from b at t = 0 to c at t = 1.
    out = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    out = out.reshape(-1, 2)
    return out if closed else np.concatenate([out, p[-2:-1]])


def mirrored(points: ArrayLike) -> np.ndarray:
    """Completes the right half of a symmetric shape.

    Args:
      points: float [n, 2], corners of the right half from top to bottom.

    Returns:
      float [2n, 2], corners of the shape, which is symmetric about x = 0.
    """
    p = np.asarray(points, float)
    return np.concatenate([p, p[::-1] * (-1, 1)])


def both(*shapes: np.ndarray) -> list[np.ndarray]:
    """Returns shapes of the right half of a face, each float [n, 2], and their mirror images."""
    return [*shapes, *(shape * (-1, 1) for shape in shapes)]


def line(points: ArrayLike, width: ArrayLike) -> np.ndarray:
    """Returns the outline of a line along points.

    Args:
      points: float [n, 2].
      width: Width of the line: a number, or float [n] for a tapered line.

    Returns:
      float [2n, 2], corners of the outline.
    """
    p = np.asarray(points, float)
    ends = np.concatenate([p[:1], p, p[-1:]])
    along = ends[2:] - ends[:-2]
    normal = along[:, ::-1] * (-1, 1)
    normal /= np.sqrt((along**2).sum(1, keepdims=True)) + 1e-9
    half = np.reshape(width, (-1, 1)) / 2 * normal
    return np.concatenate([p + half, (p - half)[::-1]])


_CIRCLE = np.array([(np.cos(t), np.sin(t)) for t in np.linspace(0, 2 * np.pi, 28, endpoint=False)])


def ellipse(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    """Returns the corners of an ellipse with center (x, y) and radii (rx, ry), float [28, 2]."""
    return _CIRCLE * (rx, ry) + (x, y)


def clamp(x: float, low: float, high: float) -> float:
    """Limits a number to a range; forty times as fast as np.clip, used thirty times per frame."""
    return min(max(x, low), high)


class Canvas:
    """A float image with its own coordinate system, in which shapes are drawn.

    Args:
      image: float32 [h, w, 3], RGB in 0..255; or float32 [h, w, 4], premultiplied RGB and coverage
        in 0..1. It is changed in place.
      scale: Pixels per unit.
      origin: Position (x, y) of the point (0, 0) in the image, in pixels.
    """

    def __init__(self, image: np.ndarray, scale: float, origin: tuple[float, float]):
        self.image = image
        self.scale = scale
        self.origin = np.array(origin)

    def mask(
        self, shape: Polygons, blur: float = 0.0
    ) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """Computes the coverage of polygons.

        Args:
          shape: One polygon, or several.
          blur: Standard deviation of a Gaussian blur in units.

        Returns:
          A tuple (region, cover): slices of the smallest region of the image that contains the
          polygons with their blurred edges, and the share of each pixel of the region that the
          polygons cover, float32 in 0..1. None if the polygons are outside the image.
        """
        p = np.concatenate(_as_sequence(shape)) * self.scale + self.origin
        sigma = blur * self.scale
        edge = 2 + int(np.ceil(3 * sigma))
        h, w = self.image.shape[:2]
        (x0, y0), (x1, y1) = p.min(0).tolist(), p.max(0).tolist()
        left, top = max(int(x0) - edge, 0), max(int(y0) - edge, 0)
        right, bottom = min(int(x1) + edge + 2, w), min(int(y1) + edge + 2, h)
        if right <= left or bottom <= top:
            return None
        region = slice(top, bottom), slice(left, right)
        cover = self._cover(shape, region)
        if sigma > 0.3:
            cover = cv2.GaussianBlur(cover, (0, 0), sigma)
        return region, cover

    def _cover(self, shape: Polygons, region: tuple[slice, slice]) -> np.ndarray:
        """Computes the share of each pixel of a region that polygons cover, float32 in 0..1."""
        top, left = region[0].start, region[1].start
        cover = np.zeros((region[0].stop - top, region[1].stop - left), np.uint8)
        # One by one: in a single call, areas in two polygons would be left empty.
        for points in _as_sequence(shape):
            corners = (points * self.scale + (self.origin - (left, top))) * (1 << _SHIFT)
            cv2.fillPoly(cover, [np.rint(corners).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
        return cover.astype(np.float32) * np.float32(1 / 255)

    def fill(
        self,
        shape: Polygons,
        color: ArrayLike,
        opacity: float = 1.0,
        blur: float = 0.0,
        within: Polygons | None = None,
    ) -> None:
        """Fills polygons.

        Args:
          shape: One polygon, or several.
          color: RGB in 0..255, or a number that the image is multiplied by.
          opacity: Opacity in 0..1.
          blur: Standard deviation of a Gaussian blur of the edges, in units.
          within: Polygons that the filled area is restricted to; None for no restriction.
        """
        if opacity < _INVISIBLE:
            return
        mask = self.mask(shape, blur)
        if mask is None:
            return
        region, cover = mask
        if within is not None:
            cover = cover * self._cover(within, region)
        cover = cover * np.float32(opacity)
        view = self.image[region]  # changed in place
        channels = view.shape[2]
        if np.isscalar(color):
            factor = 1 - cover * np.float32(1 - color)
            view *= cv2.merge([factor] * 3 + [np.ones_like(factor)] * (channels - 3))
            return
        paint = (*map(float, color), 1.0)[:channels]
        view *= cv2.merge([1 - cover] * channels)
        view += cv2.merge([cover * np.float32(value) for value in paint])


def _as_sequence(shape: Polygons) -> Sequence[np.ndarray]:
    return [shape] if isinstance(shape, np.ndarray) else shape

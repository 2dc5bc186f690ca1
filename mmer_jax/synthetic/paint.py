"""Drawing soft-edged shapes into float images."""

from collections.abc import Sequence

import cv2
import numpy as np

_SHIFT = 4  # polygon corners are given to OpenCV in sixteenths of a pixel
_INVISIBLE = 0.02  # opacities below are not drawn: half of a face's creases at any moment

Polygons = np.ndarray | Sequence[np.ndarray]  # one [n, 2] or several


def curve(points, steps: int = 6, closed: bool = False) -> np.ndarray:
    """A smooth curve (Catmull-Rom spline) through points [n, 2]: float [m, 2]."""
    p = np.asarray(points, float)
    if closed:
        p = np.concatenate([p[-1:], p, p[:2]])
    else:
        p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None, :] for i in range(4))
    # The uniform Catmull-Rom basis: passes b at t = 0 and c at t = 1.
    out = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    out = out.reshape(-1, 2)
    return out if closed else np.concatenate([out, p[-2:-1]])


def mirrored(points) -> np.ndarray:
    """A closed shape's corners from those of its right half, top to bottom, [2n, 2]."""
    p = np.asarray(points, float)
    return np.concatenate([p, p[::-1] * (-1, 1)])


def both(*shapes: np.ndarray) -> list[np.ndarray]:
    """Shapes of the right half of a face and their mirror images."""
    return [*shapes, *(shape * (-1, 1) for shape in shapes)]


def line(points, width) -> np.ndarray:
    """Outline of a line along points [n, 2]; `width` is a number or one a point (tapered)."""
    p = np.asarray(points, float)
    ends = np.concatenate([p[:1], p, p[-1:]])
    along = ends[2:] - ends[:-2]
    normal = along[:, ::-1] * (-1, 1)
    normal /= np.sqrt((along**2).sum(1, keepdims=True)) + 1e-9
    half = np.reshape(width, (-1, 1)) / 2 * normal
    return np.concatenate([p + half, (p - half)[::-1]])


_CIRCLE = np.array([(np.cos(t), np.sin(t)) for t in np.linspace(0, 2 * np.pi, 28, endpoint=False)])


def ellipse(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    """Corners [28, 2] of an ellipse."""
    return _CIRCLE * (rx, ry) + (x, y)


def clip(x: float, low: float, high: float) -> float:
    """np.clip for one number, forty times faster: a frame needs thirty of them."""
    return min(max(x, low), high)


class Canvas:
    """A float32 image [h, w, 3 or 4] with its own units.

    Args:
      image: painted in place. A fourth channel is coverage in 0..1, with colors premultiplied.
      scale: pixels per unit.
      origin: (x, y) in pixels of the point (0, 0).
    """

    def __init__(self, image: np.ndarray, scale: float, origin: tuple[float, float]):
        self.image = image
        self.scale = scale
        self.origin = np.array(origin)

    def mask(
        self, shape: Polygons, blur: float = 0.0
    ) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """Coverage of polygons, float32 in 0..1, in the smallest window that holds them, or None.

        `blur` is the Gaussian's sigma in units.
        """
        p = np.concatenate(_several(shape)) * self.scale + self.origin
        sigma = blur * self.scale
        edge = 2 + int(np.ceil(3 * sigma))
        h, w = self.image.shape[:2]
        (x0, y0), (x1, y1) = p.min(0).tolist(), p.max(0).tolist()
        left, top = max(int(x0) - edge, 0), max(int(y0) - edge, 0)
        right, bottom = min(int(x1) + edge + 2, w), min(int(y1) + edge + 2, h)
        if right <= left or bottom <= top:
            return None
        window = slice(top, bottom), slice(left, right)
        cover = self._cover(shape, window)
        if sigma > 0.3:
            cover = cv2.GaussianBlur(cover, (0, 0), sigma)
        return window, cover

    def _cover(self, shape: Polygons, window: tuple[slice, slice]) -> np.ndarray:
        """The part of each pixel of a window that polygons cover, float32 in 0..1."""
        top, left = window[0].start, window[1].start
        cover = np.zeros((window[0].stop - top, window[1].stop - left), np.uint8)
        for points in _several(shape):  # one by one: where two overlap, both cover
            corners = (points * self.scale + (self.origin - (left, top))) * (1 << _SHIFT)
            cv2.fillPoly(cover, [np.rint(corners).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
        return cover.astype(np.float32) * np.float32(1 / 255)

    def fill(
        self,
        shape: Polygons,
        color,
        opacity: float = 1.0,
        blur: float = 0.0,
        within: Polygons | None = None,
    ) -> None:
        """Fills polygons. `color` is RGB, or a number that the image is multiplied with.

        `within`: only what also lies in these polygons is painted.
        """
        if opacity < _INVISIBLE:
            return
        found = self.mask(shape, blur)
        if found is None:
            return
        window, cover = found
        if within is not None:
            cover = cover * self._cover(within, window)
        cover = cover * np.float32(opacity)
        part = self.image[window]
        channels = part.shape[2]
        if np.isscalar(color):
            factor = 1 - cover * np.float32(1 - color)
            part *= cv2.merge([factor] * 3 + [np.ones_like(factor)] * (channels - 3))
            return
        paint = (*map(float, color), 1.0)[:channels]
        part *= cv2.merge([1 - cover] * channels)
        part += cv2.merge([cover * np.float32(value) for value in paint])


def _several(shape: Polygons) -> Sequence[np.ndarray]:
    return [shape] if isinstance(shape, np.ndarray) else shape

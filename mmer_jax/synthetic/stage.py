"""Frames of a performance: head, wall, neck, shoulders and camera noise."""

from collections.abc import Iterator

import cv2
import numpy as np

from mmer_jax.synthetic.actor import Actor
from mmer_jax.synthetic.expression import Performance
from mmer_jax.synthetic.face import HeadPainter
from mmer_jax.synthetic.paint import Canvas, curve, ellipse, mirrored

_OVERSAMPLING = 1.2  # the head is drawn larger by this factor and scaled down when posed
_GRAIN_SHIFT = 64  # the image of camera noise is shifted by less than this number of pixels


def _draw_wall(actor: Actor, size: tuple[int, int], brightness: float) -> np.ndarray:
    """Draws the wall behind the actor; it has the same color and pattern in all clips of an actor.

    Args:
      actor: The actor.
      size: (width, height) of the frames in pixels.
      brightness: Factor on the color.

    Returns:
      float32 [height, width, 3], RGB, about 0..255.
    """
    width, height = size
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    field = 1.05 - 0.18 * y - 0.10 * x**2
    if actor.wall_pattern == "stripes":
        field += 0.05 * np.tanh(3 * np.sin(9 * x))
    elif actor.wall_pattern == "shelves":
        field -= 0.18 * (np.abs((y * 2.2) % 1 - 0.5) < 0.04)
    return (field[..., None] * np.array(actor.wall) * brightness).astype(np.float32)


def _draw_shoulders(canvas: Canvas, actor: Actor, brightness: float) -> None:
    """Draws the neck and the shirt, for a head at the origin of the canvas."""
    skin = np.array(actor.skin) * brightness * 0.80
    shirt = np.array(actor.shirt) * brightness
    neck = 0.62 if actor.gender == "male" else 0.50
    body = [(0.30, 1.66), (1.2, 1.98), (2.05, 2.3), (2.4, 4.0)]
    canvas.fill(mirrored(np.concatenate([curve(body), [(0, 4.0)]])), shirt)
    canvas.fill(mirrored([(neck, 0.9), (neck, 1.6), (neck + 0.18, 1.85), (0, 2.15)]), skin)
    canvas.fill(ellipse(0, actor.chin - 0.02, 0.62, 0.3), 0.62, 0.9, blur=0.1)  # under the chin


def frames(
    actor: Actor,
    performance: Performance,
    size: tuple[int, int],
    variation: float,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Draws the frames of a clip.

    Args:
      actor: The actor.
      performance: Expressions and lip motion of the actor.
      size: (width, height) of the frames in pixels.
      variation: Scale of the differences in light and framing between clips.
      rng: Generator for light, framing and camera noise.

    Yields:
      Images, uint8 [height, width, 3] RGB, one per frame.
    """
    width, height = size
    brightness = float(np.clip(1 + 0.06 * variation * rng.standard_normal(), 0.8, 1.15))
    light = float(np.clip(0.35 * variation * rng.standard_normal(), -1, 1))
    unit = 0.262 * height * float(np.clip(1 + 0.04 * variation * rng.standard_normal(), 0.88, 1.12))
    x0 = width / 2 + 0.02 * variation * width * float(np.clip(rng.standard_normal(), -2, 2))
    y0 = 0.475 * height + 0.01 * variation * height * float(np.clip(rng.standard_normal(), -2, 2))

    background = Canvas(_draw_wall(actor, size, brightness), unit, (x0, y0))
    _draw_shoulders(background, actor, brightness)
    painter = HeadPainter(actor, unit * _OVERSAMPLING, light, brightness, rng)
    # One image of camera noise, shifted by a random offset in each frame.
    grain_shape = (height + _GRAIN_SHIFT, width + _GRAIN_SHIFT, 1)
    grain = np.repeat(0.8 * rng.standard_normal(grain_shape, dtype=np.float32), 3, axis=2)
    for i in range(len(performance.times)):
        c = performance.frame(i)
        head = painter.paint(c)
        pose = _pose(c, unit, (x0, y0), painter)
        posed = cv2.warpAffine(head, pose, (width, height), flags=cv2.INTER_LINEAR)
        *colors, cover = cv2.split(posed)
        clear = np.float32(1) - cover * np.float32(1 / 255)
        image = cv2.merge([clear, clear, clear])
        image *= background.image
        image += cv2.merge(colors)
        dx, dy = rng.integers(_GRAIN_SHIFT, size=2)
        image += grain[dy : dy + height, dx : dx + width]
        yield cv2.convertScaleAbs(image)  # rounds and saturates


def _pose(
    c: dict[str, float], unit: float, position: tuple[float, float], painter: HeadPainter
) -> np.ndarray:
    """Computes the pose of the head, which rotates around the neck.

    Args:
      c: Controls by name, from expression.Performance.frame.
      unit: Pixels of the frame per face unit.
      position: Position (x, y) of the head's origin in the frame, in pixels.
      painter: Painter of the head.

    Returns:
      float [2, 3], the affine matrix from pixels of the head's image to pixels of the frame.
    """
    size = (1 + 0.06 * float(np.clip(c["lean"], -1.5, 1.5))) / _OVERSAMPLING
    angle = 0.14 * float(np.clip(c["roll"], -1.5, 1.5))
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    pivot = np.add(painter.origin, (0, 1.1 * painter.scale))
    target = np.add(position, (0, 1.1 * unit))
    target += unit * np.array([0.10 * c["yaw"], 0.09 * c["pitch"] + 0.05 * c["lean"]])
    return np.concatenate([turn, (target - turn @ pivot)[:, None]], axis=1)

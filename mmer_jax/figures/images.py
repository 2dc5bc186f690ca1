"""Figures 4 and 7: face frames of a clip, and the optical flow from the frame before each of them.

Faces are cropped and flow is computed in the same way as when a dataset is built.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmer_jax import errors
from mmer_jax.datasets import clips
from mmer_jax.figures import canvas
from mmer_jax.media import faces, flow, video

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 6  # panels in a row of a figure


@dataclasses.dataclass(frozen=True)
class Faces:
    """The face crops of selected frames of a clip.

    Attributes:
      count: Number of frames in the clip.
      crops: Frame index -> face crop, uint8 [s, s, 3], RGB.
      times: Frame index -> time of the frame in seconds.
      found: Whether a detector found the face; if not, the crop is the middle of the image.
    """

    count: int
    crops: dict[int, np.ndarray]
    times: dict[int, float]
    found: bool


def spread_frames(count: int, n: int, first: int = 0) -> list[int]:
    """Returns at most `n` frame indices spread evenly over a clip.

    Args:
      count: Number of frames in the clip.
      n: Maximum number of indices. The clip is divided into `n` equal intervals and the middle
        frame of each is returned; duplicates, as in short clips, are dropped.
      first: Lower bound; smaller indices are replaced by it.

    Returns:
      The indices, from 0, in ascending order and without duplicates.
    """
    return sorted({max(first, (2 * i + 1) * count // (2 * n)) for i in range(n)})


def read_faces(path: Path, n: int, options: clips.Options, with_previous: bool = False) -> Faces:
    """Reads the face in at most `n` frames of a clip, spread evenly over the clip, without frame 0.

    Args:
      path: Path of a video.
      n: Maximum number of frames; see `spread_frames`.
      options: Build options; only the face detector, its model and the face margin are used.
      with_previous: Whether to read also the frame before each of these frames.

    Raises:
      UserError: The clip cannot be read or has fewer than two frames; the message has the path.
    """

    def choose(count: int) -> list[int]:
        chosen = spread_frames(count, n, first=1) if count > 1 else []
        return [*chosen, *(i - 1 for i in chosen if with_previous)]

    try:
        detector = faces.make_detector(options.detector, options.detector_model)
        frames = video.read_frames(
            path, lambda count: [*choose(count), *spread_frames(count, clips.FACE_FRAMES)]
        )
        if frames.count < 2:
            raise errors.ClipError("too short", f"flow needs two frames, found {frames.count}")
    except errors.ClipError as error:
        raise errors.UserError(f"{path}: {error}") from error
    images = [frames.images[i] for i in spread_frames(frames.count, clips.FACE_FRAMES)]
    square = faces.face_square(images, detector, options.face_margin)
    crops = {i: faces.crop(frames.images[i], square.box, clips.SIZE) for i in choose(frames.count)}
    return Faces(frames.count, crops, frames.times, square.found)


def draw_frames(path: Path, n: int = 2 * COLUMNS, options: clips.Options | None = None) -> "Figure":
    """Draws figure 4: a sequence of face frames, each with its index and time.

    Args:
      path: Path of a video.
      n: Maximum number of frames; short clips give fewer.
      options: Options of face detection and cropping; None for the defaults.

    Raises:
      UserError: See `read_faces`.
    """
    clip = read_faces(path, n, options or clips.Options())
    numbers = sorted(clip.crops)
    figure, panels = _make_grid(-(-len(numbers) // COLUMNS), min(COLUMNS, len(numbers)))
    figure.suptitle(_title(path, clip))
    for axes in panels.flat[len(numbers) :]:
        axes.remove()
    for axes, i in zip(panels.flat, numbers, strict=False):
        canvas.show_image(axes, clip.crops[i], _frame_title(clip, i))
    return figure


def draw_flow(path: Path, n: int = COLUMNS - 1, options: clips.Options | None = None) -> "Figure":
    """Draws figure 7: face frames, and below each the optical flow from the previous frame.

    The last column holds the color key.

    Args:
      path: Path of a video.
      n: Maximum number of frames; short clips give fewer.
      options: Options of face detection, cropping and flow images; None for the defaults.

    Raises:
      UserError: See `read_faces`.
    """
    options = options or clips.Options()
    clip = read_faces(path, n, options, with_previous=True)
    numbers = spread_frames(clip.count, n, first=1)
    figure, panels = _make_grid(2, len(numbers) + 1)
    figure.suptitle(_title(path, clip))
    for above, below, i in zip(*panels, numbers, strict=False):
        field = flow.dense_flow(clip.crops[i - 1], clip.crops[i])
        canvas.show_image(above, clip.crops[i], _frame_title(clip, i))
        fastest = options.flow_scale or float(np.linalg.norm(field, axis=-1).max())
        canvas.show_image(
            below, flow.flow_image(field, options.flow_scale), f"flow, frames {i - 1}–{i}"
        )
        below.set_xlabel(f"brightest: {fastest:.1f} px per frame", fontsize="x-small")
    panels[0, -1].remove()
    canvas.show_image(panels[1, -1], draw_color_key(), "key")
    panels[1, -1].set_xlabel("direction of motion;\nbrighter is faster", fontsize="x-small")
    return figure


def draw_color_key(size: int = 96) -> np.ndarray:
    """Draws the color key of flow images: a disk with the colors of motion away from its center.

    Args:
      size: Side of the image in pixels.

    Returns:
      uint8 [size, size, 3] RGB, black outside the disk.
    """
    coordinates = np.linspace(-1, 1, size, dtype=np.float32)
    outward = np.stack(np.meshgrid(coordinates, coordinates), axis=-1)
    inside = np.linalg.norm(outward, axis=-1, keepdims=True) <= 1
    return flow.flow_image(np.where(inside, outward, np.float32(0)), 1.0)


def _make_grid(rows: int, columns: int) -> tuple["Figure", np.ndarray]:
    figure = canvas.make_figure(1.5 * columns, 1.75 * rows + 0.3)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _frame_title(clip: Faces, i: int) -> str:
    return f"frame {i}, {clip.times[i]:.2f} s"


def _title(path: Path, clip: Faces) -> str:
    return f"{path.stem}, {clip.count} frames" + ("" if clip.found else ", no face found")

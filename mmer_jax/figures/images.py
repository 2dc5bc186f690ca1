"""Figures 4 and 7: frames of a clip, and the optical flow into them.

The crop and the flow are made as they are where data sets are built.
"""

import dataclasses
from pathlib import Path

import numpy as np

from mmer_jax import errors
from mmer_jax.datasets import clips
from mmer_jax.figures import canvas
from mmer_jax.media import faces, flow, video

COLUMNS = 6


@dataclasses.dataclass(frozen=True)
class Faces:
    """The face in some frames of a clip.

    Attributes:
      count: how many frames the clip holds.
      crops: frame number -> uint8 [s, s, 3] RGB.
      times: frame number -> seconds.
      found: whether a detector found the face; if not, the crop is the middle of the image.
    """

    count: int
    crops: dict[int, np.ndarray]
    times: dict[int, float]
    found: bool


def spread(count: int, n: int, first: int = 0) -> list[int]:
    """Up to n frames of a clip of `count`: the middles of equal parts, from `first` on."""
    return sorted({max(first, (2 * i + 1) * count // (2 * n)) for i in range(n)})


def read(path: Path, n: int, options: clips.Options, before: bool = False) -> Faces:
    """The face in up to n frames of a clip, frame 0 left out, spread over its length.

    Args:
      path: a video.
      n: how many.
      options: detector, its model and the margin are heeded.
      before: also the frame before each.

    Raises:
      UserError: the clip cannot be read or is too short; the message names the file.
    """

    def wanted(count: int) -> list[int]:
        chosen = spread(count, n, first=1) if count > 1 else []
        return [*chosen, *(i - 1 for i in chosen if before)]

    try:
        detector = faces.make_detector(options.detector, options.detector_model)
        seen = video.read_frames(path, lambda c: [*wanted(c), *spread(c, clips.FACE_FRAMES)])
        if seen.count < 2:
            raise errors.ClipError("too short", f"flow needs two frames, found {seen.count}")
    except errors.ClipError as problem:
        raise errors.UserError(f"{path}: {problem}") from problem
    looked_at = [seen.images[i] for i in spread(seen.count, clips.FACE_FRAMES)]
    square = faces.face_square(looked_at, detector, options.face_margin)
    crops = {i: faces.crop(seen.images[i], square.box, clips.SIZE) for i in wanted(seen.count)}
    return Faces(seen.count, crops, seen.times, square.found)


def frames(path: Path, n: int = 2 * COLUMNS, options: clips.Options | None = None):
    """Figure 4: a sequence of face frames, each with its number and time. A matplotlib Figure."""
    seen = read(path, n, options or clips.Options())
    numbers = sorted(seen.crops)
    made, panels = _grid(-(-len(numbers) // COLUMNS), min(COLUMNS, len(numbers)))
    made.suptitle(_title(path, seen))
    for axes in panels.flat[len(numbers) :]:
        axes.remove()
    for axes, i in zip(panels.flat, numbers, strict=False):
        canvas.show(axes, seen.crops[i], _when(seen, i))
    return made


def flows(path: Path, n: int = COLUMNS - 1, options: clips.Options | None = None):
    """Figure 7: face frames, and under each the flow from the frame before. A matplotlib Figure.

    The last column holds the key to the colors.
    """
    options = options or clips.Options()
    seen = read(path, n, options, before=True)
    numbers = spread(seen.count, n, first=1)
    made, panels = _grid(2, len(numbers) + 1)
    made.suptitle(_title(path, seen))
    for above, below, i in zip(*panels, numbers, strict=False):
        moved = flow.dense_flow(seen.crops[i - 1], seen.crops[i])
        canvas.show(above, seen.crops[i], _when(seen, i))
        fastest = options.flow_scale or float(np.linalg.norm(moved, axis=-1).max())
        canvas.show(below, flow.flow_image(moved, options.flow_scale), "flow into it")
        below.set_xlabel(f"brightest: {fastest:.1f} px a frame", fontsize="x-small")
    panels[0, -1].remove()
    canvas.show(panels[1, -1], color_key(), "key")
    panels[1, -1].set_xlabel("direction of motion;\nbrighter is faster", fontsize="x-small")
    return made


def color_key(size: int = 96) -> np.ndarray:
    """What color motion away from the middle gets: uint8 [size, size, 3], black outside."""
    place = np.linspace(-1, 1, size, dtype=np.float32)
    outward = np.stack(np.meshgrid(place, place), axis=-1)
    inside = np.linalg.norm(outward, axis=-1, keepdims=True) <= 1
    return flow.flow_image(np.where(inside, outward, np.float32(0)), 1.0)


def _grid(rows: int, columns: int):
    made = canvas.figure(1.5 * columns, 1.75 * rows + 0.3)
    return made, made.subplots(rows, columns, squeeze=False)


def _when(seen: Faces, i: int) -> str:
    return f"frame {i}, {seen.times[i]:.2f} s"


def _title(path: Path, seen: Faces) -> str:
    return f"{path.stem}, {seen.count} frames" + ("" if seen.found else ", no face found")

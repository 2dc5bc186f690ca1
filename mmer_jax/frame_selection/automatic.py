"""Frames picked without anybody looking: those that differ most from how their clip begins.

A clip begins with a neutral face more often than not (section 7.3, figure 4). For each frame t >= 1

    distance(t) = |a(t) - mean a| / sd(a) + |m(t) - mean m| / sd(m)

with the means over the clip's first frames t = 1..BEGINNING and the standard deviations over all of
its frames. Here a(t) is the appearance: the root mean square difference between the face in frame t
and the mean face of the frames 0..BEGINNING, both gray, SIZE x SIZE pixels, of mean 0 and standard
deviation 1, so that brighter or darker light is no difference. And m(t) is the motion: the mean
length of the optical flow into frame t, in pixels of such an image. A term whose deviation is 0 (a
still image) counts nothing.

The frames with the largest distance are taken, each at least `apart` frames from those taken
before. Nothing here knows the clip's label.
"""

import functools
import os
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from mmer_jax import errors
from mmer_jax.corpora.recordings import Recording
from mmer_jax.datasets import clips, frame_lists
from mmer_jax.frame_selection import recordings_of
from mmer_jax.media import flow

SIZE = 64  # side of the compared faces
BEGINNING = 5  # frames
COLUMNS = (*frame_lists.PICKS, "distance")


def pick(
    recordings: Sequence[Recording],
    path: str | os.PathLike,
    per_clip: int = 7,
    apart: int = 3,
    options: clips.Options | None = None,
    workers: int | None = None,
) -> int:
    """Writes a list of picked frames (see datasets.frame_lists), `distance` beside each.

    Args:
      recordings: of which frames are picked.
      path: the CSV file to write.
      per_clip: frames of a clip; a short one gives fewer. The paper's 1254 are about 7 a clip.
      apart: the least distance between two of them, in frames.
      options: how faces are found.
      workers: processes; None for one a core.

    Returns:
      how many frames were picked.

    Raises:
      UserError: an amount below 1; no recording can be used; the file cannot be written.
    """
    if per_clip < 1 or apart < 1:
        raise errors.UserError(f"per_clip and apart must be from 1, found {per_clip} and {apart}")
    options = options or clips.Options()
    options.check()
    work = functools.partial(pick_of_clip, per_clip=per_clip, apart=apart, options=options)
    rows = [
        row
        for picked in recordings_of.each(work, recordings, "picking frames", workers)
        for row in picked
    ]
    frame_lists.write(path, COLUMNS, rows)
    return len(rows)


def pick_of_clip(
    recording: Recording, per_clip: int, apart: int, options: clips.Options
) -> list[tuple[str, int, float]]:
    """A worker's task: (clip, frame, distance) of the picked frames, in the order of frames.

    Raises:
      ClipError: the recording cannot be used, or has no label and so is in no built set.
    """
    name = recording.facts()["clip"]
    _, crops = clips.read_face_frames(recording.source(), options, SIZE)
    distance = distances(face for _, _, face in crops)
    return [(name, t, round(float(distance[t]), 4)) for t in farthest(distance, per_clip, apart)]


def distances(faces: Iterable[np.ndarray]) -> np.ndarray:
    """How far each frame of a clip is from its beginning: the formula above.

    Args:
      faces: uint8 [s, s, 3] RGB, in order, at least two.

    Returns:
      float64 [n]; the first is 0, since nothing leads into it.
    """
    looks, motion, before = [], [0.0], None
    for face in faces:
        looks.append(_standardized(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float64)))
        if before is not None:
            motion.append(float(np.linalg.norm(flow.dense_flow(before, face), axis=-1).mean()))
        before = face
    first = np.mean(looks[: BEGINNING + 1], axis=0)
    appearance = np.sqrt(np.mean((np.stack(looks) - first) ** 2, axis=(1, 2)))
    distance = np.zeros(len(looks))
    for values in (appearance[1:], np.array(motion[1:])):
        deviation = values.std()
        if deviation > 0:
            distance[1:] += np.abs(values - values[:BEGINNING].mean()) / deviation
    return distance


def farthest(distance: np.ndarray, count: int, apart: int) -> list[int]:
    """The frames of the largest distances, but frame 0, of equal ones the earlier; ascending.

    Args:
      distance: float [n].
      count: how many; fewer if the clip has no more that are far enough from each other.
      apart: the least difference between two frame numbers.
    """
    taken: list[int] = []
    for frame in np.argsort(-distance[1:], kind="stable") + 1:
        if len(taken) < count and all(abs(frame - other) >= apart for other in taken):
            taken.append(int(frame))
    return sorted(taken)


def _standardized(image: np.ndarray) -> np.ndarray:
    deviation = image.std()
    return (image - image.mean()) / deviation if deviation > 0 else np.zeros_like(image)

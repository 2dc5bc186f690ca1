"""Automatic frame picks: the frames that differ most from the beginning of their clip.

Most clips begin with a neutral face (section 7.3, figure 4). For each frame t >= 1

    distance(t) = |a(t) - mean a| / sd(a) + |m(t) - mean m| / sd(m)

with the means over the clip's first frames t = 1..BEGINNING and the standard deviations over all of
its frames. a(t) is the appearance: the root mean square difference between the face in frame t and
the mean face of the frames 0..BEGINNING, where each face is gray, SIZE x SIZE pixels, standardized
to mean 0 and standard deviation 1, so that lighting does not count. m(t) is the motion: the mean
magnitude of the optical flow into frame t, in pixels of such an image. A term whose standard
deviation is 0 (a still image) is 0.

The frames with the largest distances are picked in descending order of distance, each at least
`apart` frames from all frames picked before. Labels are not used.
"""

import functools
import os
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from mmer_jax import errors
from mmer_jax.corpora.recordings import Recording
from mmer_jax.datasets import clips, frame_lists
from mmer_jax.frame_selection import processing
from mmer_jax.media import flow

SIZE = 64  # side of the compared faces in pixels
BEGINNING = 5  # number of frames that count as the beginning of a clip, besides frame 0
COLUMNS = (*frame_lists.PICKS, "distance")


def pick(
    recordings: Sequence[Recording],
    path: str | os.PathLike,
    per_clip: int = 7,
    apart: int = 3,
    options: clips.Options | None = None,
    workers: int | None = None,
) -> int:
    """Picks frames of recordings and writes a list of them, with the column `distance`.

    The format of the list is described in datasets.frame_lists.

    Args:
      recordings: Recordings whose frames are picked.
      path: Path of the CSV file.
      per_clip: Number of frames per clip; short clips give fewer. The paper's 1254 frames are about
        7 per clip.
      apart: Smallest difference between the frame indices of two picks of a clip.
      options: Options of face detection and cropping; None for the defaults.
      workers: Number of processes; None for one per core.

    Returns:
      The number of picked frames.

    Raises:
      UserError: `per_clip` or `apart` is below 1, no recording is usable, or the file cannot be
        written.
    """
    if per_clip < 1 or apart < 1:
        raise errors.UserError(
            f"per_clip and apart must be 1 or more, found {per_clip} and {apart}"
        )
    options = options or clips.Options()
    options.check()
    work = functools.partial(pick_from_clip, per_clip=per_clip, apart=apart, options=options)
    rows = [
        row
        for clip_rows in processing.map_recordings(work, recordings, "picking frames", workers)
        for row in clip_rows
    ]
    frame_lists.write(path, COLUMNS, rows)
    return len(rows)


def pick_from_clip(
    recording: Recording, per_clip: int, apart: int, options: clips.Options
) -> list[tuple[str, int, float]]:
    """Picks the frames of one clip, in a worker process.

    Args:
      recording: The recording.
      per_clip: See `pick`.
      apart: See `pick`.
      options: See `pick`.

    Returns:
      (name of the clip, frame index, distance) of each picked frame, in ascending order of frames.

    Raises:
      ClipError: The recording is not usable, or has no label, so that builds leave it out.
    """
    name = recording.facts()["clip"]
    _, crops = clips.read_face_frames(recording.source(), options, SIZE)
    distance = compute_distances(face for _, _, face in crops)
    return [
        (name, t, round(float(distance[t]), 4)) for t in find_farthest(distance, per_clip, apart)
    ]


def compute_distances(faces: Iterable[np.ndarray]) -> np.ndarray:
    """Computes the distance of each frame of a clip from the beginning of the clip.

    The docstring of the module gives the formula.

    Args:
      faces: At least two images, uint8 [s, s, 3] RGB, in the order of frames.

    Returns:
      Distances, float64 [n]; 0 for the first frame, which has no optical flow.
    """
    standardized, motion, previous = [], [0.0], None
    for face in faces:
        gray = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float64)
        standardized.append(_standardize(gray))
        if previous is not None:
            motion.append(float(np.linalg.norm(flow.dense_flow(previous, face), axis=-1).mean()))
        previous = face
    reference = np.mean(standardized[: BEGINNING + 1], axis=0)
    appearance = np.sqrt(np.mean((np.stack(standardized) - reference) ** 2, axis=(1, 2)))
    distance = np.zeros(len(standardized))
    for values in (appearance[1:], np.array(motion[1:])):
        std = values.std()
        if std > 0:
            distance[1:] += np.abs(values - values[:BEGINNING].mean()) / std
    return distance


def find_farthest(distance: np.ndarray, count: int, apart: int) -> list[int]:
    """Finds the frames with the largest distances, frame 0 excluded.

    Args:
      distance: Distance of each frame from the beginning of its clip, float [n].
      count: Maximum number of frames; fewer are returned if no further frame is far enough from
        those found.
      apart: Smallest difference between two frame indices.

    Returns:
      Frame indices in ascending order. Of frames with equal distances the earlier one is preferred.
    """
    frames: list[int] = []
    for frame in np.argsort(-distance[1:], kind="stable") + 1:
        if len(frames) < count and all(abs(frame - other) >= apart for other in frames):
            frames.append(int(frame))
    return sorted(frames)


def _standardize(image: np.ndarray) -> np.ndarray:
    """Scales an image to mean 0 and standard deviation 1; a constant image becomes 0."""
    std = image.std()
    return (image - image.mean()) / std if std > 0 else np.zeros_like(image)

"""Frame selection: which frames of a clip become examples."""

from collections.abc import Callable, Mapping

import numpy as np

from mmer_jax import errors

STRIDE = 10  # frames per block of "every_tenth"


def choose_frames(
    count: int,
    n: int,
    method: str,
    rng: np.random.Generator,
    scores: Mapping[int, float] | None = None,
) -> list[int]:
    """Selects frames of a clip.

    Frame 0 is never selected, since it has no previous frame to compute optical flow from.

    Args:
      count: Number of frames in the clip.
      n: Number of frames to select.
      method: Name of the method, a key of CHOICES.
      rng: Generator for random selection.
      scores: Frame index -> score, for the method "scored", which selects the frames with the
        highest scores. Frames without a score are not selected.

    Returns:
      n frame indices in 1..count-1, ascending and distinct. If the clip has fewer than n frames
      that can be selected, indices are repeated.

    Raises:
      ClipError: "too short" if the clip has fewer than two frames; "no scores" if "scored" finds no
        frame of the clip with a score.
      UserError: If `method` is unknown.
    """
    if method not in CHOICES:
        raise errors.unknown("choice of frames", method, CHOICES)
    if count < 2:
        raise errors.ClipError("too short", f"flow needs two frames, the clip has {count}")
    # NaN for frames without a score.
    frame_scores = np.array([(scores or {}).get(i, np.nan) for i in range(1, count)])
    return sorted(int(i) + 1 for i in CHOICES[method](count - 1, n, rng, frame_scores))


def _random(available: int, n: int, rng: np.random.Generator, scores: np.ndarray) -> np.ndarray:
    distinct = rng.permutation(available)[:n]
    repeated = rng.integers(available, size=n - len(distinct))
    return np.concatenate([distinct, repeated])


def _uniform(available: int, n: int, rng: np.random.Generator, scores: np.ndarray) -> np.ndarray:
    """Selects the middle of each of n equal sections of the clip."""
    return (np.arange(n) * 2 + 1) * available // (2 * n)


def _every_tenth(
    available: int, n: int, rng: np.random.Generator, scores: np.ndarray
) -> np.ndarray:
    """Implements "random extraction of a frame every ten ones" (section 7.3 of the paper).

    One frame is drawn at random from each block of ten consecutive frames, including the shorter
    last block, and n of these frames are drawn. In a clip with fewer than n blocks, the missing
    frames are drawn from the frames that are not selected yet.
    """
    starts = range(0, available, STRIDE)
    candidates = [rng.integers(start, min(start + STRIDE, available)) for start in starts]
    drawn = rng.permutation(candidates)[:n]
    others = rng.permutation(np.setdiff1d(np.arange(available), drawn))[: n - len(drawn)]
    repeated = rng.integers(available, size=n - len(drawn) - len(others))
    return np.concatenate([drawn, others, repeated])


def _scored(available: int, n: int, rng: np.random.Generator, scores: np.ndarray) -> np.ndarray:
    """Selects the n frames with the highest scores; of equal scores, the earlier frame.

    If fewer than n frames have a score, they are repeated, those with the highest scores first.
    """
    best = np.argsort(-scores, kind="stable")[: np.isfinite(scores).sum()]  # NaN is sorted last
    if not len(best):
        raise errors.ClipError("no scores", "no frame of the clip has a score")
    return np.resize(best[:n], n)


# Name of a method -> function (available, n, rng, scores) -> n indices in 0..available-1, where
# index i is frame i + 1 of the clip. `available` is the number of frames that can be selected;
# `scores` is float [available], NaN for a frame without a score.
CHOICES: dict[str, Callable[[int, int, np.random.Generator, np.ndarray], np.ndarray]] = {
    "random": _random,
    "uniform": _uniform,
    "every_tenth": _every_tenth,
    "scored": _scored,
}
NEEDS_SCORES = ("scored",)  # methods that need scores

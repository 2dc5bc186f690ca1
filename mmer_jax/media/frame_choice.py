"""Which frames of a clip become examples."""

from collections.abc import Callable, Mapping

import numpy as np

from mmer_jax import errors

STRIDE = 10  # of every_tenth


def choose_frames(
    count: int,
    n: int,
    how: str,
    rng: np.random.Generator,
    scores: Mapping[int, float] | None = None,
) -> list[int]:
    """Chooses `n` frames of a clip of `count`; never frame 0, since no flow leads into it.

    Args:
      count: number of frames in the clip.
      n: how many are wanted.
      how: one of CHOICES.
      rng: where random choices come from.
      scores: frame number -> score; for `scored`, which takes the largest. A frame without one is
        not chosen.

    Returns:
      n frame numbers in 1..count-1, ascending and distinct; a clip with fewer repeats some.

    Raises:
      ClipError: "too short", a clip of fewer than two frames; "no scores" of a frame that there is.
      UserError: an unknown way of choosing.
    """
    if how not in CHOICES:
        raise errors.unknown("choice of frames", how, CHOICES)
    if count < 2:
        raise errors.ClipError("too short", f"flow needs two frames, the clip has {count}")
    known = np.array([(scores or {}).get(i, np.nan) for i in range(1, count)])
    return sorted(int(i) + 1 for i in CHOICES[how](count - 1, n, rng, known))


def _random(available: int, n: int, rng: np.random.Generator, scores: np.ndarray) -> np.ndarray:
    distinct = rng.permutation(available)[:n]
    repeated = rng.integers(available, size=n - len(distinct))
    return np.concatenate([distinct, repeated])


def _uniform(available: int, n: int, rng: np.random.Generator, scores: np.ndarray) -> np.ndarray:
    """The middle of each of n equal parts of the clip."""
    return (np.arange(n) * 2 + 1) * available // (2 * n)


def _every_tenth(
    available: int, n: int, rng: np.random.Generator, scores: np.ndarray
) -> np.ndarray:
    """Section 7.3's "random extraction of a frame every ten ones".

    Each ten consecutive frames give one at random, the rest at the end too; n of these are drawn. A
    clip with too few tens gets what is wanting from its other frames.
    """
    starts = range(0, available, STRIDE)
    one_of_each = [rng.integers(start, min(start + STRIDE, available)) for start in starts]
    drawn = rng.permutation(one_of_each)[:n]
    others = rng.permutation(np.setdiff1d(np.arange(available), drawn))[: n - len(drawn)]
    repeated = rng.integers(available, size=n - len(drawn) - len(others))
    return np.concatenate([drawn, others, repeated])


def _scored(available: int, n: int, rng: np.random.Generator, scores: np.ndarray) -> np.ndarray:
    """The n largest scores; of equal ones the earlier frame's. Too few are repeated, best first."""
    best = np.argsort(-scores, kind="stable")[: np.isfinite(scores).sum()]  # nan comes last
    if not len(best):
        raise errors.ClipError("no scores", "not one of its frames has a score")
    return np.resize(best[:n], n)


# (available, n, rng, scores: float [available], nan where there is none) -> n numbers in
# 0..available-1.
CHOICES: dict[str, Callable[[int, int, np.random.Generator, np.ndarray], np.ndarray]] = {
    "random": _random,
    "uniform": _uniform,
    "every_tenth": _every_tenth,
    "scored": _scored,
}
NEEDS_SCORES = ("scored",)

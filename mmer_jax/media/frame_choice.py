"""Which frames of a clip become examples."""

from collections.abc import Callable

import numpy as np

from mmer_jax import errors


def choose_frames(count: int, n: int, how: str, rng: np.random.Generator) -> list[int]:
    """Chooses `n` frames of a clip of `count`; never frame 0, since no flow leads into it.

    Args:
      count: number of frames in the clip.
      n: how many are wanted.
      how: one of CHOICES.
      rng: where random choices come from.

    Returns:
      n frame numbers in 1..count-1, ascending and distinct; a clip with fewer repeats some.

    Raises:
      ClipError: "too short", a clip of fewer than two frames.
      UserError: an unknown way of choosing.
    """
    if how not in CHOICES:
        raise errors.unknown("choice of frames", how, CHOICES)
    if count < 2:
        raise errors.ClipError("too short", f"flow needs two frames, the clip has {count}")
    return sorted(int(i) + 1 for i in CHOICES[how](count - 1, n, rng))


def _random(available: int, n: int, rng: np.random.Generator) -> np.ndarray:
    distinct = rng.permutation(available)[:n]
    repeated = rng.integers(available, size=n - len(distinct))
    return np.concatenate([distinct, repeated])


def _uniform(available: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """The middle of each of n equal parts of the clip."""
    return (np.arange(n) * 2 + 1) * available // (2 * n)


# (available, n, rng) -> n numbers in 0..available-1.
CHOICES: dict[str, Callable[[int, int, np.random.Generator], np.ndarray]] = {
    "random": _random,
    "uniform": _uniform,
}

"""Whether two networks that were tested on the same clips differ by more than luck."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

EXACT_UP_TO = 12  # units whose 2^n signs are all gone through
RESAMPLES = 100_000
_AT_ONCE = 10_000


class McNemar(NamedTuple):
    """McNemar's test.

    Attributes:
      only_first, only_second: how many clips only the first, or only the second, was right about.
      p: two-sided.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """McNemar's exact test of two networks' decisions about the same clips.

    McNemar, Note on the sampling error of the difference between correlated proportions or
    percentages, Psychometrika 12 (1947); exact: were they equally good, a clip that one of them
    alone is right about would be either's with probability 1/2. It takes clips as independent,
    which clips of one person are not: `permutation` does not.

    Args:
      first, second: bool [n], whether each was right about a clip.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape:
        raise ValueError(f"decisions about {first.shape} and {second.shape} clips are not paired")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    p = stats.binomtest(only_first, differing).pvalue if differing else 1.0
    return McNemar(only_first, only_second, float(p))


def permutation(differences: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided p of the sum of the units' differences, under exchange of the two networks.

    Were both networks equally good, a subject's decisions of one could be the other's: the sign of
    each subject's difference is a toss of a coin. Subjects may differ in their number of clips, and
    a subject's clips may depend on one another in any way.

    Args:
      differences: float [units], what each subject adds to the difference of the accuracies.
      resamples: how many tosses are drawn, if there are more than EXACT_UP_TO units; else all 2^n
        are gone through. What was found counts as one of them (Phipson and Smyth, 2010,
        doi:10.2202/1544-6115.1585), so p is never 0.
      seed: of the draw.
    """
    differences = np.asarray(differences, np.float64)
    units = len(differences)
    # Sums of the same numbers in another order may differ in their last bits.
    reached = np.abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    if units <= EXACT_UP_TO:
        tosses = np.arange(2**units)[:, None] >> np.arange(units) & 1
        return float(np.mean(np.abs((1 - 2 * tosses) @ differences) >= reached))
    rng = np.random.default_rng(seed)
    found = 0
    for done in range(0, resamples, _AT_ONCE):
        size = (min(_AT_ONCE, resamples - done), units)
        signs = 1 - 2 * rng.integers(0, 2, size, dtype=np.int8)
        found += int((np.abs(signs @ differences) >= reached).sum())
    return (found + 1) / (resamples + 1)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction for several tests: adjusted p, in the order given.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6 (1979). The k-th smallest of m is multiplied by m - k + 1, and none is below a
    smaller one's. Rejecting where the adjusted p is below 0.05 keeps the probability of any false
    rejection below 0.05, whatever the tests have to do with one another.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.asarray(p, np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted.tolist()

"""Paired significance tests for two networks that were tested on the same clips."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

EXACT_UP_TO = 12  # Number of groups up to which all 2^n sign patterns are enumerated.
RESAMPLES = 100_000
_CHUNK = 10_000  # Resamples that are drawn at a time, to bound memory.


class McNemar(NamedTuple):
    """Result of McNemar's test.

    Attributes:
      only_first: Number of clips that only the first network classified correctly.
      only_second: Number of clips that only the second network classified correctly.
      p: Two-sided p-value.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Performs McNemar's exact test on two networks' predictions for the same clips.

    McNemar, Note on the sampling error of the difference between correlated proportions or
    percentages, Psychometrika 12 (1947). Exact version: under the null hypothesis, a clip that only
    one network classifies correctly is either network's with probability 1/2. The test assumes
    independent clips, which clips of one person are not; `permutation` does not assume it.

    Args:
      first: bool [n], whether the first network classified each clip correctly.
      second: bool [n], whether the second network classified each clip correctly.

    Raises:
      ValueError: The arrays differ in shape.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape:
        raise ValueError(f"predictions of shapes {first.shape} and {second.shape} are not paired")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    p = stats.binomtest(only_first, differing).pvalue if differing else 1.0
    return McNemar(only_first, only_second, float(p))


def permutation(differences: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Performs a paired permutation test that exchanges two networks for whole groups.

    Under the null hypothesis the two networks' predictions for the clips of a subject can be
    exchanged, so the sign of the difference for each subject is random. Subjects may differ in
    their number of clips, and the clips of a subject need not be independent.

    Args:
      differences: float [groups], contribution of each group (subject) to the difference of the
        accuracies.
      resamples: Number of random sign patterns, if there are more than EXACT_UP_TO groups. The
        observed pattern is counted as one of them, so p is never 0 (Phipson and Smyth, 2010,
        doi:10.2202/1544-6115.1585). For fewer groups all 2^n patterns are enumerated.
      seed: Seed of the random sign patterns.

    Returns:
      The two-sided p-value of the sum of the differences.
    """
    differences = np.asarray(differences, np.float64)
    groups = len(differences)
    # The tolerance is needed because sums of the same numbers in another order may differ in the
    # last bits.
    threshold = np.abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    if groups <= EXACT_UP_TO:
        flips = np.arange(2**groups)[:, None] >> np.arange(groups) & 1
        return float(np.mean(np.abs((1 - 2 * flips) @ differences) >= threshold))
    rng = np.random.default_rng(seed)
    extreme = 0
    for done in range(0, resamples, _CHUNK):
        size = (min(_CHUNK, resamples - done), groups)
        signs = 1 - 2 * rng.integers(0, 2, size, dtype=np.int8)
        extreme += int((np.abs(signs @ differences) >= threshold).sum())
    return (extreme + 1) / (resamples + 1)


def holm(p: Sequence[float]) -> list[float]:
    """Adjusts p-values for multiple comparisons by Holm's method.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6 (1979). The k-th smallest of m p-values is multiplied by m - k + 1, and then raised
    to the largest adjusted value before it. Rejecting the hypotheses whose adjusted p is below 0.05
    keeps the family-wise error rate below 0.05 for any dependence between the tests.

    Args:
      p: p-values, in any order.

    Returns:
      The adjusted p-values, in the order of `p`.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.asarray(p, np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted.tolist()

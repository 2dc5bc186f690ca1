"""Paired tests against SciPy and closed forms; Holm's method against values by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from mmer_jax.evaluation import significance


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 1), (3, 3), (12, 30), (0, 10)])
def test_mcnemar_in_closed_form(b, c):
    first = np.array([True] * (b + 4) + [False] * (c + 3))
    second = np.array([False] * b + [True] * (4 + c) + [False] * 3)
    result = significance.mcnemar(first, second)
    assert (result.only_first, result.only_second) == (b, c)
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert result.p == pytest.approx(min(1, 2 * tail))
    assert significance.mcnemar(second, first).p == pytest.approx(result.p)


def test_mcnemar_requires_paired_predictions():
    with pytest.raises(ValueError, match="not paired"):
        significance.mcnemar(np.ones(3), np.ones(4))


@pytest.mark.parametrize("groups", [2, 5, 9])
@pytest.mark.parametrize("seed", range(3))
def test_exact_permutation_test_against_scipy(groups, seed):
    differences = np.random.default_rng(seed).normal(0.5, 1, groups)
    # SciPy exchanges the members of a pair; paired with zero, that flips the sign of a difference.
    expected = stats.permutation_test(
        (differences, np.zeros(groups)), lambda a, b: np.sum(a) - np.sum(b),
        permutation_type="samples", n_resamples=np.inf,
    )  # fmt: skip
    assert significance.permutation(differences) == pytest.approx(expected.pvalue)


def test_the_smallest_p_is_two_in_all_sign_patterns():
    assert significance.permutation(np.full(5, 0.1)) == 2 / 2**5
    assert significance.permutation(-np.full(12, 0.1)) == 2 / 2**12
    assert significance.permutation(np.zeros(5)) == significance.permutation(np.zeros(20)) == 1
    assert significance.permutation(np.array([0.3])) == 1


def test_random_permutations_agree_with_the_exact_test(monkeypatch):
    differences = np.random.default_rng(3).normal(0.35, 1, 12)
    exact = significance.permutation(differences)
    monkeypatch.setattr(significance, "EXACT_UP_TO", 0)
    random = significance.permutation(differences, resamples=20_000)
    assert 0.01 < exact < 0.9
    assert random == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))
    assert significance.permutation(differences, resamples=20_000) == random  # Seeded.


def test_p_of_random_permutations_is_never_zero():
    assert significance.permutation(np.full(40, 1.0), resamples=999) == 1 / 1000


def test_the_false_positive_rate_is_the_significance_level():
    """Under the null hypothesis p is at most 0.05 in about 5% of all cases."""
    rng = np.random.default_rng(0)
    p_values = [significance.permutation(rng.normal(size=8)) for _ in range(800)]
    assert 0.02 < np.mean(np.array(p_values) <= 0.05) < 0.08


def test_holm_by_hand():
    # Sorted 0.005, 0.01, 0.03, 0.04; times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04. The last is raised.
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([0.5, 0.6]) == [1, 1]
    assert significance.holm([0.02]) == [0.02]
    assert significance.holm([]) == []
    assert significance.holm([0.01, 0.01]) == pytest.approx([0.02, 0.02])

"""Bootstrap confidence intervals of metrics, with a bootstrap over subjects.

The bootstrap resamples whole groups (subjects), because the clips of one subject are not
independent. Seeds are repetitions of one experiment on one sample of subjects: each resample draws
subjects once for all seeds, and the value of a resample is the mean of the metric over seeds.
Networks are not trained again, so an interval describes the variation due to the choice of test
subjects, not due to training.
"""

import dataclasses
import statistics
from collections.abc import Callable, Sequence

import numpy as np

from mmer_jax.evaluation import calibration
from mmer_jax.results.predictions import Predictions

RESAMPLES = 10_000
_CHUNK = 1_000  # Resamples that are evaluated at a time, to bound memory.


@dataclasses.dataclass(frozen=True)
class Statistic:
    """A metric that is a function of sums over examples.

    A resample only adds up the sums of the groups that it draws.

    Attributes:
      contributions: Function of labels, int [n], and probabilities, float [n, classes], that
        returns the terms that each example adds to the sums, float [n, ...].
      from_sums: Function of sums, float [resamples, ...], that returns the metric, float
        [resamples]; NaN if there are no examples.
    """

    contributions: Callable[[np.ndarray, np.ndarray], np.ndarray]
    from_sums: Callable[[np.ndarray], np.ndarray]

    def __call__(self, examples: Predictions) -> float:
        """Computes the metric of the predictions for all examples."""
        sums = self.contributions(examples.label, examples.probabilities).sum(axis=0)
        return float(self.from_sums(sums[None])[0])


@dataclasses.dataclass(frozen=True)
class Interval:
    """A metric with a confidence interval.

    Attributes:
      per_seed: One value of the metric per seed.
      low: Lower end of the confidence interval of the mean over seeds.
      high: Upper end of the confidence interval of the mean over seeds.
    """

    per_seed: tuple[float, ...]
    low: float
    high: float

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.per_seed)

    @property
    def spread(self) -> float | None:
        """The sample standard deviation over seeds; None with one seed."""
        return statistics.stdev(self.per_seed) if len(self.per_seed) > 1 else None


def bootstrap(
    statistic: Statistic,
    tests: Sequence[Predictions],
    groups: Sequence[np.ndarray],
    *,
    resamples: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Computes the percentile bootstrap interval of the mean of a statistic over seeds.

    Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13. With few groups the
    interval is too narrow.

    Args:
      statistic: The metric, a value of STATISTICS.
      tests: One test set per seed: predictions for the test examples of all folds. The clips may
        differ between seeds.
      groups: One array per seed: group label of each example, str [n], such as the `labels` of
        `aggregation.groups`.
      resamples: Number of resamples, RESAMPLES by default. Each draws groups with replacement, as
        many as there are.
      confidence: Confidence level, in (0, 1).
      seed: Seed of the resampling. Calls with equal seeds and groups draw the same resamples.

    Raises:
      ValueError: `tests` is empty, or a test set has no examples.
    """
    if not tests or not all(len(test.label) for test in tests):
        raise ValueError("no examples to compute a statistic of")
    contributions = [statistic.contributions(test.label, test.probabilities) for test in tests]
    return bootstrap_sums(
        statistic.from_sums,
        contributions,
        groups,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )


def bootstrap_sums(
    from_sums: Callable[[np.ndarray], np.ndarray],
    contributions: Sequence[np.ndarray],
    groups: Sequence[np.ndarray],
    *,
    resamples: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Computes the bootstrap interval of the mean over seeds of a function of sums over examples.

    Args:
      from_sums: Function of sums, float [resamples, ...], that returns values, float [resamples].
      contributions: One array per seed: the terms that each example adds to the sums, float
        [n, ...].
      groups: One array per seed: group label of each example, str [n].
      resamples: Number of resamples (see `bootstrap`).
      confidence: Confidence level, in (0, 1).
      seed: Seed of the resampling (see `bootstrap`).
    """
    resamples = RESAMPLES if resamples is None else resamples
    names = np.unique(np.concatenate(groups))
    group_sums = [
        _sum_by_group(names, terms, labels)
        for terms, labels in zip(contributions, groups, strict=True)
    ]
    rng = np.random.default_rng(seed)
    values = []
    for start in range(0, resamples, _CHUNK):
        # How often a group is drawn in n draws from n groups with replacement is multinomial.
        size = min(_CHUNK, resamples - start)
        times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=size)
        seed_values = [from_sums(np.tensordot(times, sums, axes=1)) for sums in group_sums]
        # A value is NaN if none of the drawn subjects were tested with a seed: the mean ignores it.
        values.append(np.nanmean(seed_values, axis=0))
    quantiles = np.array([1 - confidence, 1 + confidence]) / 2
    low, high = np.quantile(np.concatenate(values), quantiles)
    per_seed = (float(from_sums(sums.sum(axis=0)[None])[0]) for sums in group_sums)
    return Interval(tuple(per_seed), float(low), float(high))


def _sum_by_group(names: np.ndarray, terms: np.ndarray, labels: np.ndarray) -> np.ndarray:
    sums = np.zeros((len(names), *terms.shape[1:]))
    np.add.at(sums, np.searchsorted(names, labels), terms)
    return sums


# Statistics. The sums of `_confusion_terms` are confusion matrices, float [..., classes, classes].


def _confusion_terms(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    classes = np.eye(probabilities.shape[1])
    return classes[labels][:, :, None] * classes[probabilities.argmax(axis=1)][:, None, :]


def _true_positives(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(part: np.ndarray, total: np.ndarray, if_empty: float = np.nan) -> np.ndarray:
    return np.divide(part, total, out=np.full(np.shape(total), if_empty), where=total > 0)


def _accuracy(counts: np.ndarray) -> np.ndarray:
    return _ratio(_true_positives(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def _unweighted_average_recall(counts: np.ndarray) -> np.ndarray:
    totals = counts.sum(axis=-1)
    recalls = _ratio(_true_positives(counts), totals, 0.0)
    return _ratio(recalls.sum(axis=-1), (totals > 0).sum(axis=-1))


def _macro_f1(counts: np.ndarray) -> np.ndarray:
    both = counts.sum(axis=-1) + counts.sum(axis=-2)
    f1 = _ratio(2 * _true_positives(counts), both, 0.0)
    return _ratio(f1.sum(axis=-1), (both > 0).sum(axis=-1))


def _loss_terms(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    # The same terms as in metrics.cross_entropy, whose docstring gives the reason for clipping.
    true = probabilities.astype(np.float64)[np.arange(len(labels)), labels]
    return _with_count(-np.log(np.clip(true, np.finfo(np.float32).eps, 1.0)))


def _brier_terms(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return _with_count(calibration.squared_distances(labels, probabilities))


def _with_count(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=1)


def mean_of_sums(sums: np.ndarray) -> np.ndarray:
    """Computes means from sums.

    Args:
      sums: float [..., 2], the sum of values and their count.

    Returns:
      float [...], sum / count; NaN for a count of 0.
    """
    return _ratio(sums[..., 0], sums[..., 1])


def _calibration_error(sums: np.ndarray) -> np.ndarray:
    # 0 / 0 is NaN, if none of the drawn subjects were tested with a seed.
    with np.errstate(invalid="ignore"):
        return calibration.error_from_sums(sums)


# Name of a metric -> statistic.
STATISTICS = {
    "accuracy": Statistic(_confusion_terms, _accuracy),
    "unweighted_average_recall": Statistic(_confusion_terms, _unweighted_average_recall),
    "macro_f1": Statistic(_confusion_terms, _macro_f1),
    "negative_log_likelihood": Statistic(_loss_terms, mean_of_sums),
    "expected_calibration_error": Statistic(calibration.bin_sums, _calibration_error),
    "brier_score": Statistic(_brier_terms, mean_of_sums),
}

"""Confidence intervals of metrics: the jackknife over groups of examples, which are subjects.

The clips of one subject are not independent, so subjects are the sample: one at a time is left out
with all its examples, and the standard error follows from how much the metric changes. Seeds are
repetitions of one experiment on one sample of subjects: a subject is left out of all seeds at once,
and the metric is its mean over seeds. Networks are not trained again, so an interval describes the
variation due to the choice of test subjects, not due to training.

With few subjects the normal distribution makes intervals too narrow, and so do bootstrap
percentiles: of nominal 95% they cover about 75% with three subjects and 84% with five. The quantile
here is that of Student's t distribution with one degree of freedom less than there are subjects
(Tukey 1958; Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 11). The interval
is computed on the logit scale of the metric's range, on which metrics near the end of their range
are less skewed, and the ends of the interval remain in the range.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special, stats

from mmer_jax.evaluation import calibration
from mmer_jax.results.predictions import Predictions


@dataclasses.dataclass(frozen=True)
class Statistic:
    """A metric that is a function of sums over examples.

    Attributes:
      contributions: Function of labels, int [n], and probabilities, float [n, classes], that
        returns the terms that each example adds to the sums, float [n, ...].
      from_sums: Function of sums, float [m, ...], that returns the metric, float [m]; NaN if there
        are no examples.
      bounds: Smallest and largest possible value; the latter may be infinite.
    """

    contributions: Callable[[np.ndarray, np.ndarray], np.ndarray]
    from_sums: Callable[[np.ndarray], np.ndarray]
    bounds: tuple[float, float] = (0.0, 1.0)

    def __call__(self, examples: Predictions) -> float:
        """Computes the metric of the predictions for all examples."""
        sums = self.contributions(examples.label, examples.probabilities).sum(axis=0)
        return float(self.from_sums(sums[None])[0])


@dataclasses.dataclass(frozen=True)
class Interval:
    """A metric with a confidence interval.

    Attributes:
      per_seed: One value of the metric per seed.
      low: Lower end of the confidence interval of the mean over seeds; NaN if no interval can be
        computed, because there is only one group, or all groups have the same result.
      high: Upper end of the confidence interval of the mean over seeds, or NaN.
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

    @property
    def ends(self) -> tuple[float, float] | None:
        """Lower and upper end of the interval; None if no interval can be computed."""
        return None if math.isnan(self.low) else (self.low, self.high)

    def format_ends(self, format_value: Callable[[float], str], separator: str = "-") -> str:
        """Formats the ends of the interval, as in "58.1-66.9"; "no interval" if there are none."""
        return separator.join(map(format_value, self.ends)) if self.ends else "no interval"


def jackknife(
    statistic: Statistic,
    tests: Sequence[Predictions],
    groups: Sequence[np.ndarray],
    confidence: float = 0.95,
) -> Interval:
    """Computes the mean of a statistic over seeds with its jackknife interval.

    Args:
      statistic: The metric, a value of STATISTICS.
      tests: One test set per seed: predictions for the test examples of all folds. The clips may
        differ between seeds.
      groups: One array per seed: group label of each example, str [n], such as the `labels` of
        `aggregation.groups`.
      confidence: Confidence level, in (0, 1).

    Raises:
      ValueError: `tests` is empty, or a test set has no examples.
    """
    if not tests or not all(len(test.label) for test in tests):
        raise ValueError("no examples to compute a statistic of")
    contributions = [statistic.contributions(test.label, test.probabilities) for test in tests]
    return _jackknife(statistic.from_sums, contributions, groups, statistic.bounds, confidence)


def jackknife_difference(
    differences: Sequence[np.ndarray], groups: Sequence[np.ndarray], confidence: float = 0.95
) -> Interval:
    """Computes the mean over seeds of a mean difference, with its jackknife interval.

    Args:
      differences: One array per seed: difference of each example, float [n] in -1..1.
      groups: One array per seed: group label of each example, str [n].
      confidence: Confidence level, in (0, 1).
    """
    contributions = [_with_count(values) for values in differences]
    return _jackknife(_mean_of_sums, contributions, groups, (-1.0, 1.0), confidence)


def _jackknife(
    from_sums: Callable[[np.ndarray], np.ndarray],
    contributions: Sequence[np.ndarray],
    groups: Sequence[np.ndarray],
    bounds: tuple[float, float],
    confidence: float,
) -> Interval:
    names = np.unique(np.concatenate(groups))
    per_seed, without = [], []
    for terms, labels in zip(contributions, groups, strict=True):
        sums = np.zeros((len(names), *terms.shape[1:]))
        np.add.at(sums, np.searchsorted(names, labels), terms)
        total = sums.sum(axis=0, keepdims=True)
        value, *values = from_sums(np.concatenate([total, total - sums]))
        per_seed.append(float(value))
        without.append(values)
    if len(names) < 2:
        return Interval(tuple(per_seed), math.nan, math.nan)
    # A seed that tested one subject only has no value without it: the mean ignores that seed.
    means = np.nanmean(without, axis=0)
    error = math.sqrt((len(names) - 1) * np.var(means))
    quantile = stats.t.ppf((1 + confidence) / 2, len(names) - 1)
    return Interval(tuple(per_seed), *_ends(float(np.mean(per_seed)), quantile * error, bounds))


def _ends(value: float, half: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Returns the ends of an interval around a value; NaN if the interval has no width.

    Args:
      value: Value of the metric.
      half: Half of the width of the interval to first order: quantile times standard error.
      bounds: Range of the metric. The interval is symmetric on the scale of log(value - low), less
        log(high - value) if `high` is finite.
    """
    low, high = bounds
    if half <= 1e-9 or not low < value < high:
        return math.nan, math.nan
    if math.isinf(high):
        factor = math.exp(half / (value - low))
        return low + (value - low) / factor, low + (value - low) * factor
    share = (value - low) / (high - low)
    half = half / (high - low) / (share * (1 - share))
    ends = low + (high - low) * special.expit(special.logit(share) + np.array([-half, half]))
    return float(ends[0]), float(ends[1])


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


def _mean_of_sums(sums: np.ndarray) -> np.ndarray:
    """Computes means from sums of values and their counts, float [..., 2]; NaN for a count of 0."""
    return _ratio(sums[..., 0], sums[..., 1])


def _calibration_error(sums: np.ndarray) -> np.ndarray:
    # 0 / 0 is NaN, if the only subject of a seed is left out.
    with np.errstate(invalid="ignore"):
        return calibration.error_from_sums(sums)


# Name of a metric -> statistic.
STATISTICS = {
    "accuracy": Statistic(_confusion_terms, _accuracy),
    "unweighted_average_recall": Statistic(_confusion_terms, _unweighted_average_recall),
    "macro_f1": Statistic(_confusion_terms, _macro_f1),
    "negative_log_likelihood": Statistic(_loss_terms, _mean_of_sums, (0.0, math.inf)),
    "expected_calibration_error": Statistic(calibration.bin_sums, _calibration_error),
    "brier_score": Statistic(_brier_terms, _mean_of_sums, (0.0, 2.0)),
}

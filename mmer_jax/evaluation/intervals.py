"""Bootstrap intervals that resample subjects: other people might have been recorded.

All clips of a person who is drawn come along, for they are right or wrong together. Seeds are
repetitions of one experiment on one sample of people: each resample draws its people once, and its
figure is the mean over seeds of what each seed's networks make of them. Networks are not trained
again: the interval says how the figure would move with other people, not with other training.
"""

import dataclasses
import statistics
from collections.abc import Callable, Sequence

import numpy as np

from mmer_jax.evaluation import calibration
from mmer_jax.results.predictions import Examples

RESAMPLES = 10_000
_AT_ONCE = 1_000  # resamples, so that thousands of clips fit into memory


@dataclasses.dataclass(frozen=True)
class Statistic:
    """A figure of merit that follows from sums over examples, so that resampling is adding up.

    Attributes:
      of_examples: labels int [n] and probabilities float [n, classes] -> what each example adds,
        float [n, ...].
      of_sums: such sums, float [resamples, ...] -> the figure of each, float [resamples]; NaN where
        no example was summed.
    """

    of_examples: Callable[[np.ndarray, np.ndarray], np.ndarray]
    of_sums: Callable[[np.ndarray], np.ndarray]

    def __call__(self, examples: Examples) -> float:
        """The figure itself, of all examples."""
        sums = self.of_examples(examples.label, examples.probabilities).sum(axis=0)
        return float(self.of_sums(sums[None])[0])


@dataclasses.dataclass(frozen=True)
class Interval:
    """A figure and how well it is known.

    Attributes:
      per_seed: the figure of each seed's examples.
      low, high: ends of the percentile interval of their mean.
    """

    per_seed: tuple[float, ...]
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Over seeds."""
        return statistics.fmean(self.per_seed)

    @property
    def spread(self) -> float | None:
        """The sample standard deviation over seeds; None with one seed."""
        return statistics.stdev(self.per_seed) if len(self.per_seed) > 1 else None


def bootstrap(
    statistic: Statistic,
    tests: Sequence[Examples],
    units: Sequence[np.ndarray],
    *,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The percentile interval of a statistic's mean over seeds.

    Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13. With few units it is
    too narrow.

    Args:
      statistic: one of STATISTICS.
      tests: one a seed, its folds pooled. Seeds may have tested other clips.
      units: one array a seed, str [n]: what each example is drawn with, as clips.units gives it.
      resamples: how many times units are drawn, with replacement, as many as there are.
      confidence: of the interval, in (0, 1).
      seed: of the draw. Calls with one seed and the same units draw the same.

    Raises:
      ValueError: no test, or one without an example.
    """
    if not tests or not all(len(test.label) for test in tests):
        raise ValueError("no example: nothing to measure")
    adds = [statistic.of_examples(test.label, test.probabilities) for test in tests]
    return bootstrap_sums(
        statistic.of_sums, adds, units, resamples=resamples, confidence=confidence, seed=seed
    )


def bootstrap_sums(
    of_sums: Callable[[np.ndarray], np.ndarray],
    adds: Sequence[np.ndarray],
    units: Sequence[np.ndarray],
    *,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """`bootstrap` of any figure of sums: `adds` is what each example adds, one [n, ...] a seed."""
    names = np.unique(np.concatenate(units))
    by_unit = [_summed(names, given, to) for given, to in zip(adds, units, strict=True)]
    rng = np.random.default_rng(seed)
    values = []
    for done in range(0, resamples, _AT_ONCE):
        # How often each unit is drawn. Drawing n of n with replacement is a multinomial.
        size = min(_AT_ONCE, resamples - done)
        times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=size)
        of_seeds = [of_sums(np.tensordot(times, sums, axes=1)) for sums in by_unit]
        # A seed that tested none of the people drawn has nothing to say about them.
        values.append(np.nanmean(of_seeds, axis=0))
    ends = np.array([1 - confidence, 1 + confidence]) / 2
    low, high = np.quantile(np.concatenate(values), ends)
    whole = (float(of_sums(sums.sum(axis=0)[None])[0]) for sums in by_unit)
    return Interval(tuple(whole), float(low), float(high))


def _summed(names: np.ndarray, adds: np.ndarray, units: np.ndarray) -> np.ndarray:
    sums = np.zeros((len(names), *adds.shape[1:]))
    np.add.at(sums, np.searchsorted(names, units), adds)
    return sums


# Figures. Sums of counts are confusion matrices, float [..., classes, classes].


def _counts(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    classes = np.eye(probabilities.shape[1])
    return classes[labels][:, :, None] * classes[probabilities.argmax(axis=1)][:, None, :]


def _right(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _share(part: np.ndarray, whole: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), otherwise), where=whole > 0)


def _accuracy(counts: np.ndarray) -> np.ndarray:
    return _share(_right(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def _unweighted_average_recall(counts: np.ndarray) -> np.ndarray:
    totals = counts.sum(axis=-1)
    return _share(_share(_right(counts), totals, 0.0).sum(axis=-1), (totals > 0).sum(axis=-1))


def _macro_f1(counts: np.ndarray) -> np.ndarray:
    both = counts.sum(axis=-1) + counts.sum(axis=-2)
    return _share(_share(2 * _right(counts), both, 0.0).sum(axis=-1), (both > 0).sum(axis=-1))


def _losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    # As metrics.cross_entropy, whose docstring says why the probability is clipped.
    true = probabilities.astype(np.float64)[np.arange(len(labels)), labels]
    return _with_count(-np.log(np.clip(true, np.finfo(np.float32).eps, 1.0)))


def _squares(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return _with_count(calibration.squared_distances(labels, probabilities))


def _with_count(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=1)


def mean_of_sums(sums: np.ndarray) -> np.ndarray:
    """Sums of (value, weight), float [..., 2] -> the weighted mean [...]."""
    return _share(sums[..., 0], sums[..., 1])


def _calibration_error(sums: np.ndarray) -> np.ndarray:
    # A seed that tested none of the people drawn: 0 / 0.
    with np.errstate(invalid="ignore"):
        return calibration.error_of_sums(sums)


STATISTICS = {
    "accuracy": Statistic(_counts, _accuracy),
    "unweighted_average_recall": Statistic(_counts, _unweighted_average_recall),
    "macro_f1": Statistic(_counts, _macro_f1),
    "negative_log_likelihood": Statistic(_losses, mean_of_sums),
    "expected_calibration_error": Statistic(calibration.bin_sums, _calibration_error),
    "brier_score": Statistic(_squares, mean_of_sums),
}

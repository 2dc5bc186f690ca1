"""Bootstrap intervals against SciPy; statistics against `metrics` and `calibration`."""

import numpy as np
import pytest
import sklearn.metrics
from scipy import stats

from mmer_jax.evaluation import calibration, intervals, metrics
from mmer_jax.results.predictions import Predictions

NAMES = list(intervals.STATISTICS)


def draw(seed=0, n=240, subjects=12, classes=4):
    """Draws examples of subjects with different accuracies; returns them with their groups."""
    rng = np.random.default_rng(seed)
    subject = rng.integers(0, subjects, n)
    labels = rng.integers(0, classes, n)
    ease = np.random.default_rng(99).uniform(0, 3, subjects)
    logits = rng.normal(size=(n, classes)) + ease[subject, None] * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    examples = Predictions([f"c{i}" for i in range(n)], np.zeros(n), labels, probabilities)
    return examples, np.array([f"s{i:02d}" for i in subject])


def compute(name: str, labels, probabilities) -> float:
    """Computes a statistic with `metrics` or `calibration`."""
    counts = metrics.confusion(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    if name in ("accuracy", "unweighted_average_recall", "macro_f1"):
        return getattr(metrics, name)(counts)
    if name == "negative_log_likelihood":
        return metrics.cross_entropy(labels, probabilities)
    return getattr(calibration, name)(labels, probabilities)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_statistics_equal_metrics_and_calibration(name, seed):
    examples, groups = draw(seed, n=30)
    expected = compute(name, examples.label, examples.probabilities)
    statistic = intervals.STATISTICS[name]
    assert statistic(examples) == pytest.approx(expected)
    interval = intervals.bootstrap(statistic, [examples], [groups], resamples=50)
    assert interval.per_seed == pytest.approx((expected,)) and interval.spread is None
    assert interval.low < interval.mean < interval.high


def test_classes_without_examples_count_as_in_scikit_learn():
    examples = Predictions(["a", "b", "c"], [0] * 3, [0, 0, 2], np.eye(5)[[0, 1, 2]])
    statistics = intervals.STATISTICS
    balanced = sklearn.metrics.recall_score([0, 0, 2], [0, 1, 2], average=None, labels=[0, 2])
    assert statistics["unweighted_average_recall"](examples) == pytest.approx(balanced.mean())
    f1 = sklearn.metrics.f1_score([0, 0, 2], [0, 1, 2], average="macro")
    assert statistics["macro_f1"](examples) == pytest.approx(f1)


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_against_scipy(name):
    """SciPy resamples subject numbers; the statistic is computed on all clips of those drawn."""
    examples, groups = draw()
    members = [np.flatnonzero(groups == s) for s in np.unique(groups)]

    def statistic(drawn):
        indices = np.concatenate([members[i] for i in drawn.astype(int)])
        return compute(name, examples.label[indices], examples.probabilities[indices])

    expected = stats.bootstrap(
        (np.arange(len(members)),), statistic, vectorized=False, n_resamples=4000,
        method="percentile", rng=np.random.default_rng(1),
    )  # fmt: skip
    interval = intervals.bootstrap(
        intervals.STATISTICS[name], [examples], [groups], resamples=20_000
    )
    width = interval.high - interval.low
    np.testing.assert_allclose(
        [interval.low, interval.high], expected.confidence_interval, atol=0.06 * width
    )


def test_several_seeds_against_scipy():
    """Seeds have the same subjects and different clips of them."""
    seeds = [draw(seed) for seed in range(3)]
    names = np.unique(seeds[0][1])

    def statistic(drawn):
        values = []
        for examples, groups in seeds:
            indices = np.concatenate([np.flatnonzero(groups == names[int(i)]) for i in drawn])
            correct = examples.probabilities.argmax(axis=1) == examples.label
            values.append(correct[indices].mean())
        return np.mean(values)

    expected = stats.bootstrap(
        (np.arange(len(names)),), statistic, vectorized=False, n_resamples=3000,
        method="percentile", rng=np.random.default_rng(1),
    )  # fmt: skip
    interval = intervals.bootstrap(
        intervals.STATISTICS["accuracy"], [e for e, _ in seeds], [g for _, g in seeds]
    )
    width = interval.high - interval.low
    np.testing.assert_allclose(
        [interval.low, interval.high], expected.confidence_interval, atol=0.06 * width
    )
    accuracies = [(e.probabilities.argmax(1) == e.label).mean() for e, _ in seeds]
    assert interval.mean == pytest.approx(np.mean(accuracies))
    assert interval.spread == pytest.approx(np.std(accuracies, ddof=1))


def test_an_interval_over_subjects_is_wider_than_one_over_clips():
    """All clips of a subject are classified alike, so that only the subjects are independent."""
    subject = np.repeat(np.arange(12), 50)
    correct = subject % 2
    probabilities = np.where(correct[:, None] == 1, [0.9, 0.1], [0.1, 0.9])
    clips = [f"c{i}" for i in range(600)]
    examples = Predictions(clips, np.zeros(600), np.zeros(600), probabilities)
    by_subject = intervals.bootstrap(
        intervals.STATISTICS["accuracy"], [examples], [np.array([f"s{s}" for s in subject])]
    )
    by_clip = intervals.bootstrap(
        intervals.STATISTICS["accuracy"], [examples], [examples.clip], resamples=2000
    )
    assert by_subject.high - by_subject.low > 5 * (by_clip.high - by_clip.low)
    # Half of the 12 subjects are classified correctly: the accuracy is binomial, divided by 12.
    expected = stats.binom(12, 0.5).ppf([0.025, 0.975]) / 12
    np.testing.assert_allclose([by_subject.low, by_subject.high], expected)
    low, high = metrics.wilson_interval(300, 600)
    np.testing.assert_allclose([by_clip.low, by_clip.high], [low, high], atol=0.005)


def test_the_seed_determines_the_interval():
    examples, groups = draw()
    runs = [
        intervals.bootstrap(
            intervals.STATISTICS["macro_f1"], [examples], [groups], resamples=1500, seed=seed
        )
        for seed in (0, 0, 1)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_a_seed_without_any_of_the_drawn_subjects_is_ignored():
    """Each seed has one of two subjects, so a resample of one subject has one seed's value."""
    correct = Predictions(["a"], [0], [0], [[0.9, 0.1]])
    wrong = Predictions(["b"], [0], [0], [[0.1, 0.9]])
    for name in NAMES:
        interval = intervals.bootstrap(
            intervals.STATISTICS[name], [correct, wrong], [np.array(["s1"]), np.array(["s2"])]
        )
        ends = sorted(intervals.STATISTICS[name](e) for e in (correct, wrong))
        assert [interval.low, interval.high] == pytest.approx(ends)


def test_no_examples_is_an_error():
    empty = Predictions([], [], [], np.zeros((0, 3)))
    for tests, groups in (([], []), ([empty], [empty.clip])):
        with pytest.raises(ValueError, match="no example"):
            intervals.bootstrap(intervals.STATISTICS["accuracy"], tests, groups)

"""Jackknife intervals against SciPy and by simulation; statistics against `metrics`."""

import numpy as np
import pytest
import sklearn.metrics
from scipy import special, stats

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
    interval = intervals.jackknife(statistic, [examples], [groups])
    assert interval.per_seed == pytest.approx((expected,)) and interval.spread is None
    assert interval.low < interval.mean < interval.high


def test_classes_without_examples_count_as_in_scikit_learn():
    examples = Predictions(["a", "b", "c"], [0] * 3, [0, 0, 2], np.eye(5)[[0, 1, 2]])
    statistics = intervals.STATISTICS
    balanced = sklearn.metrics.recall_score([0, 0, 2], [0, 1, 2], average=None, labels=[0, 2])
    assert statistics["unweighted_average_recall"](examples) == pytest.approx(balanced.mean())
    f1 = sklearn.metrics.f1_score([0, 0, 2], [0, 1, 2], average="macro")
    assert statistics["macro_f1"](examples) == pytest.approx(f1)


def logit_interval(value, error, df, low=0.0, high=1.0):
    """The delta method on the logit scale of a range, with the quantile of Student's t."""
    share = (value - low) / (high - low)
    center, width = np.log(share / (1 - share)), error / (high - low) / (share * (1 - share))
    ends = center + stats.t(df).ppf([0.025, 0.975]) * width
    return low + (high - low) / (1 + np.exp(-ends))


def of_means(values):
    """Predictions of groups with equal numbers of examples, and these groups."""
    n, groups = 20, len(values)
    correct = np.concatenate([np.arange(n) < round(n * value) for value in values])
    probabilities = np.where(correct[:, None], [0.9, 0.1], [0.1, 0.9])
    clips = [f"c{i}" for i in range(n * groups)]
    examples = Predictions(clips, np.zeros(n * groups), np.zeros(n * groups), probabilities)
    return examples, np.repeat([f"s{i}" for i in range(groups)], n)


@pytest.mark.parametrize("values", [(0.5, 0.7, 0.9), (0.1, 0.2, 0.2, 0.6, 0.4), (1, 0.95)])
def test_equal_groups_have_the_t_interval_of_their_means(values):
    """With as many clips from each subject the accuracy is the mean over subjects."""
    examples, groups = of_means(values)
    interval = intervals.jackknife(intervals.STATISTICS["accuracy"], [examples], [groups])
    expected = logit_interval(np.mean(values), stats.sem(values), len(values) - 1)
    assert interval.ends == pytest.approx(tuple(expected))
    # Near the middle of the range the interval is the usual one.
    values = (0.45, 0.5, 0.55)
    examples, groups = of_means(values)
    interval = intervals.jackknife(intervals.STATISTICS["accuracy"], [examples], [groups])
    usual = stats.t(2, 0.5, stats.sem(values)).interval(0.95)
    assert interval.ends == pytest.approx(usual, abs=0.005)


def test_a_difference_has_the_interval_of_a_paired_t_test():
    differences = np.array([0.02, 0.05, -0.01, 0.04])
    groups = np.array(["a", "b", "c", "d"])
    interval = intervals.jackknife_difference([differences], [groups])
    usual = stats.ttest_1samp(differences, 0).confidence_interval()
    assert interval.mean == pytest.approx(0.025)
    assert interval.ends == pytest.approx((usual.low, usual.high), abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_error_is_that_of_leaving_out_one_subject_at_a_time(name):
    """Tukey's pseudovalues, of a metric that is the mean of two seeds."""
    seeds = [draw(seed) for seed in range(2)]
    subjects = np.unique(seeds[0][1])

    def mean_without(subject):
        values = []
        for examples, groups in seeds:
            kept = groups != subject
            values.append(compute(name, examples.label[kept], examples.probabilities[kept]))
        return np.mean(values)

    full, n = mean_without(None), len(subjects)
    pseudovalues = [n * full - (n - 1) * mean_without(subject) for subject in subjects]
    statistic = intervals.STATISTICS[name]
    interval = intervals.jackknife(statistic, *zip(*seeds, strict=True))
    assert interval.mean == pytest.approx(full)
    low, high = statistic.bounds
    if np.isinf(high):
        ratio = np.exp(stats.t(n - 1).ppf(0.975) * stats.sem(pseudovalues) / full)
        expected = full / ratio, full * ratio
    else:
        expected = logit_interval(full, stats.sem(pseudovalues), n - 1, low, high)
    assert interval.ends == pytest.approx(tuple(expected))


def test_subjects_and_not_clips_are_the_sample():
    """All clips of a subject are classified alike, so that only the subjects are independent."""
    examples, groups = of_means([0, 1] * 6)
    accuracy = intervals.STATISTICS["accuracy"]
    by_subject = intervals.jackknife(accuracy, [examples], [groups])
    by_clip = intervals.jackknife(accuracy, [examples], [examples.clip])
    by_each = intervals.jackknife(accuracy, [of_means([0, 1] * 6)[0]], [groups])
    assert by_subject.high - by_subject.low > 4 * (by_clip.high - by_clip.low)
    assert by_each == by_subject


def test_no_interval_from_one_group_or_from_groups_without_a_difference():
    accuracy = intervals.STATISTICS["accuracy"]
    for values in ((0.5,), (1, 1, 1), (0.7, 0.7)):
        examples, groups = of_means(values)
        interval = intervals.jackknife(accuracy, [examples], [groups])
        assert interval.mean == pytest.approx(values[0]) and interval.ends is None
        assert interval.format_ends(str) == "no interval"
    same = intervals.jackknife_difference([np.zeros(6)], [np.arange(6).astype(str)])
    assert same.mean == 0 and same.ends is None


def test_a_seed_that_tested_one_subject_only_has_no_value_without_it():
    seeds = (
        Predictions(["a"], [0], [0], [[0.6, 0.4]]),
        Predictions(["b", "c"], [0, 0], [0, 0], [[0.2, 0.8], [0.4, 0.6]]),
    )
    groups = np.array(["s1"]), np.array(["s2", "s3"])
    for name in NAMES:
        interval = intervals.jackknife(intervals.STATISTICS[name], seeds, groups)
        assert np.isfinite(interval.mean) and len(interval.per_seed) == 2
    # Accuracy 1 and 0, mean 0.5; 0 without s1, 0.5 without s2 or s3.
    interval = intervals.jackknife(intervals.STATISTICS["accuracy"], seeds, groups)
    error = np.sqrt(2 / 3 * np.sum((np.array([0, 0.5, 0.5]) - 1 / 3) ** 2))
    assert interval.ends == pytest.approx(tuple(logit_interval(0.5, error, 2)))


def simulate_subjects(rng, subjects, clips, classes, skill, networks=2):
    """Draws predictions of networks for subjects who differ in skill and in what is confused.

    Returns:
      Labels, int [subjects, clips], and probabilities, [networks, subjects, clips, classes]. The
      networks' errors are correlated: they see the same clips.
    """
    shape = (networks, subjects, clips, classes)
    labels = np.tile(np.arange(clips) % classes, (subjects, 1))
    ease = skill + 0.5 * rng.normal(size=(subjects, 1, 1))
    ease = ease + 0.15 * rng.normal(size=(networks, subjects, 1, 1))
    bias = 0.5 * rng.normal(size=(subjects, 1, classes))
    bias = bias + 0.3 * rng.normal(size=(networks, subjects, 1, classes))
    noise = 0.8 * rng.normal(size=shape[1:]) + 0.6 * rng.normal(size=shape)
    logits = 1.5 * (ease * np.eye(classes)[labels] + bias + noise)
    return labels, special.softmax(logits, axis=-1)


@pytest.mark.parametrize("skill", [0.8, 2.8])  # accuracy about 0.4 and 0.86
@pytest.mark.parametrize("subjects", [3, 5, 18])
def test_coverage_of_intervals_over_few_subjects(subjects, skill):
    """95% intervals hold what many subjects have in about 95% of the samples of few subjects.

    Of the ECE, which is biased upwards for few clips, they hold the mean over samples.
    """
    rng, samples, clips = np.random.default_rng(subjects), 400, 40
    truth, found = {}, {name: [] for name in (*NAMES, "difference")}
    labels, probabilities = simulate_subjects(rng, 4000, clips, 5, skill)
    for name in NAMES:
        truth[name] = np.mean(
            [compute(name, labels.ravel(), p.reshape(-1, 5)) for p in probabilities]
        )
    truth["difference"] = 0.0  # The two networks differ by chance alone.
    group = np.repeat(np.arange(subjects).astype(str), clips)
    for _ in range(samples):
        labels, probabilities = simulate_subjects(rng, subjects, clips, 5, skill)
        tests = [
            Predictions(group, 0 * labels.ravel(), labels.ravel(), p.reshape(-1, 5))
            for p in probabilities
        ]
        for name in NAMES:
            statistic = intervals.STATISTICS[name]
            found[name].append(intervals.jackknife(statistic, tests, [group, group]))
        correct = [t.probabilities.argmax(axis=1) == t.label for t in tests]
        difference = correct[0].astype(float) - correct[1]
        found["difference"].append(intervals.jackknife_difference([difference], [group]))
    truth["expected_calibration_error"] = np.mean(
        [interval.mean for interval in found["expected_calibration_error"]]
    )
    coverage = {
        name: np.mean([i.low <= truth[name] <= i.high for i in drawn if i.ends])
        for name, drawn in found.items()
    }
    assert min(coverage.values()) > 0.91 and max(coverage.values()) < 0.99, coverage
    assert np.mean(list(coverage.values())) > 0.93, coverage


def test_no_examples_is_an_error():
    empty = Predictions([], [], [], np.zeros((0, 3)))
    for tests, groups in (([], []), ([empty], [empty.clip])):
        with pytest.raises(ValueError, match="no example"):
            intervals.jackknife(intervals.STATISTICS["accuracy"], tests, groups)

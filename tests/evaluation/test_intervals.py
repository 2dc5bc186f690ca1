"""Bootstrap intervals against scipy's; figures against metrics, which has scikit-learn's."""

import numpy as np
import pytest
import sklearn.metrics
from scipy import stats

from mmer_jax.evaluation import calibration, intervals, metrics
from mmer_jax.results.predictions import Examples

NAMES = list(intervals.STATISTICS)


def draw(seed=0, n=240, subjects=12, classes=4):
    """Examples of people who are understood more or less well; and who each example is of."""
    rng = np.random.default_rng(seed)
    who = rng.integers(0, subjects, n)
    labels = rng.integers(0, classes, n)
    ease = np.random.default_rng(99).uniform(0, 3, subjects)
    logits = rng.normal(size=(n, classes)) + ease[who, None] * np.eye(classes)[labels]
    said = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    examples = Examples([f"c{i}" for i in range(n)], np.zeros(n), labels, said)
    return examples, np.array([f"s{i:02d}" for i in who])


def of_all(name: str, labels, said) -> float:
    """The figure by metrics, calibration or scikit-learn."""
    counts = metrics.confusion(labels, said.argmax(axis=1), said.shape[1])
    if name in ("accuracy", "unweighted_average_recall", "macro_f1"):
        return getattr(metrics, name)(counts)
    if name == "negative_log_likelihood":
        return metrics.cross_entropy(labels, said)
    return getattr(calibration, name)(labels, said)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_metrics(name, seed):
    examples, units = draw(seed, n=30)
    expected = of_all(name, examples.label, examples.probabilities)
    statistic = intervals.STATISTICS[name]
    assert statistic(examples) == pytest.approx(expected)
    found = intervals.bootstrap(statistic, [examples], [units], resamples=50)
    assert found.per_seed == pytest.approx((expected,)) and found.spread is None
    assert found.low < found.mean < found.high


def test_classes_that_a_resample_lacks_count_as_scikit_learn_counts_them():
    examples = Examples(["a", "b", "c"], [0] * 3, [0, 0, 2], np.eye(5)[[0, 1, 2]])
    statistics = intervals.STATISTICS
    balanced = sklearn.metrics.recall_score([0, 0, 2], [0, 1, 2], average=None, labels=[0, 2])
    assert statistics["unweighted_average_recall"](examples) == pytest.approx(balanced.mean())
    f1 = sklearn.metrics.f1_score([0, 0, 2], [0, 1, 2], average="macro")
    assert statistics["macro_f1"](examples) == pytest.approx(f1)


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_against_scipy(name):
    """scipy draws numbers of subjects; the figure is then made of all clips of those drawn."""
    examples, units = draw()
    members = [np.flatnonzero(units == s) for s in np.unique(units)]

    def statistic(drawn):
        rows = np.concatenate([members[i] for i in drawn.astype(int)])
        return of_all(name, examples.label[rows], examples.probabilities[rows])

    expected = stats.bootstrap(
        (np.arange(len(members)),), statistic, vectorized=False, n_resamples=4000,
        method="percentile", rng=np.random.default_rng(1),
    )  # fmt: skip
    found = intervals.bootstrap(intervals.STATISTICS[name], [examples], [units], resamples=20_000)
    width = found.high - found.low
    np.testing.assert_allclose(
        [found.low, found.high], expected.confidence_interval, atol=0.06 * width
    )


def test_several_seeds_against_scipy():
    """The same people for all seeds; seeds tested other clips of them."""
    seeds = [draw(seed) for seed in range(3)]
    names = np.unique(seeds[0][1])

    def statistic(drawn):
        values = []
        for examples, units in seeds:
            rows = np.concatenate([np.flatnonzero(units == names[int(i)]) for i in drawn])
            right = examples.probabilities.argmax(axis=1) == examples.label
            values.append(right[rows].mean())
        return np.mean(values)

    expected = stats.bootstrap(
        (np.arange(len(names)),), statistic, vectorized=False, n_resamples=3000,
        method="percentile", rng=np.random.default_rng(1),
    )  # fmt: skip
    found = intervals.bootstrap(
        intervals.STATISTICS["accuracy"], [e for e, _ in seeds], [u for _, u in seeds]
    )
    width = found.high - found.low
    np.testing.assert_allclose(
        [found.low, found.high], expected.confidence_interval, atol=0.06 * width
    )
    accuracies = [(e.probabilities.argmax(1) == e.label).mean() for e, _ in seeds]
    assert found.mean == pytest.approx(np.mean(accuracies))
    assert found.spread == pytest.approx(np.std(accuracies, ddof=1))


def test_clips_of_one_person_are_no_independent_evidence():
    """Twelve people, all clips of each right or all wrong: far wider than clips would have it."""
    who = np.repeat(np.arange(12), 50)
    right = who % 2
    said = np.where(right[:, None] == 1, [0.9, 0.1], [0.1, 0.9])
    examples = Examples([f"c{i}" for i in range(600)], np.zeros(600), np.zeros(600), said)
    by_subject = intervals.bootstrap(
        intervals.STATISTICS["accuracy"], [examples], [np.array([f"s{w}" for w in who])]
    )
    by_clip = intervals.bootstrap(
        intervals.STATISTICS["accuracy"], [examples], [examples.clip], resamples=2000
    )
    assert by_subject.high - by_subject.low > 5 * (by_clip.high - by_clip.low)
    # Of 12 people half are right: the share is a binomial's, divided by 12.
    expected = stats.binom(12, 0.5).ppf([0.025, 0.975]) / 12
    np.testing.assert_allclose([by_subject.low, by_subject.high], expected)
    low, high = metrics.wilson_interval(300, 600)
    np.testing.assert_allclose([by_clip.low, by_clip.high], [low, high], atol=0.005)


def test_one_seed_of_the_draw_is_one_interval():
    examples, units = draw()
    runs = [
        intervals.bootstrap(
            intervals.STATISTICS["macro_f1"], [examples], [units], resamples=1500, seed=seed
        )
        for seed in (0, 0, 1)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_a_seed_that_tested_none_of_those_drawn_does_not_count():
    """Each seed tested one of two people: resamples of one person have one seed's figure."""
    right = Examples(["a"], [0], [0], [[0.9, 0.1]])
    wrong = Examples(["b"], [0], [0], [[0.1, 0.9]])
    for name in NAMES:
        found = intervals.bootstrap(
            intervals.STATISTICS[name], [right, wrong], [np.array(["s1"]), np.array(["s2"])]
        )
        ends = sorted(intervals.STATISTICS[name](e) for e in (right, wrong))
        assert [found.low, found.high] == pytest.approx(ends)


def test_nothing_measured_is_an_error():
    none = Examples([], [], [], np.zeros((0, 3)))
    for tests, units in (([], []), ([none], [none.clip])):
        with pytest.raises(ValueError, match="no example"):
            intervals.bootstrap(intervals.STATISTICS["accuracy"], tests, units)

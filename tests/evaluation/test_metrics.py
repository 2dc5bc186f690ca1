"""Metrics against scikit-learn or SciPy, on random inputs and edge cases."""

import numpy as np
import pytest
import sklearn.metrics

from mmer_jax.evaluation import metrics


def draw(seed: int, n: int = 200, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Draws labels, which lack a class for odd seeds, and softmax outputs."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(rng.permutation(classes)[: classes - seed % 2], n)
    logits = rng.normal(0, 2, (n, classes))
    logits[np.arange(n), labels] += rng.uniform(0, 3)
    exponentials = np.exp(logits)
    return labels, (exponentials / exponentials.sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_against_scikit_learn(seed):
    labels, probabilities = draw(seed, n=17 + 40 * seed)
    predicted = probabilities.argmax(1)
    counts = metrics.confusion(labels, predicted, 5)
    np.testing.assert_array_equal(
        counts, sklearn.metrics.confusion_matrix(labels, predicted, labels=range(5))
    )
    assert metrics.accuracy(counts) == pytest.approx(
        sklearn.metrics.accuracy_score(labels, predicted)
    )
    assert metrics.unweighted_average_recall(counts) == pytest.approx(
        sklearn.metrics.balanced_accuracy_score(labels, predicted)
    )
    assert metrics.macro_f1(counts) == pytest.approx(
        sklearn.metrics.f1_score(labels, predicted, average="macro")
    )
    recall = sklearn.metrics.recall_score(
        labels, predicted, average=None, labels=range(5), zero_division=np.nan
    )
    np.testing.assert_allclose(metrics.per_class_recall(counts), recall)
    precision = sklearn.metrics.precision_score(
        labels, predicted, average=None, labels=range(5), zero_division=np.nan
    )
    np.testing.assert_allclose(metrics.per_class_precision(counts), precision)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(1, keepdims=True)  # scikit-learn warns about float32's rounding.
    assert metrics.cross_entropy(labels, probabilities) == pytest.approx(
        sklearn.metrics.log_loss(labels, exact, labels=range(5)), rel=1e-5
    )


def test_measure_returns_the_metric_fields_of_a_record():
    labels, probabilities = draw(0)
    measured = metrics.measure(labels, probabilities)
    correct = int((probabilities.argmax(1) == labels).sum())
    assert measured["accuracy"] == correct / 200
    assert sum(map(sum, measured["confusion"])) == 200
    assert all(type(n) is int for line in measured["confusion"] for n in line)


def test_a_confident_mistake_does_not_make_the_loss_infinite():
    loss = metrics.cross_entropy(np.array([1]), np.array([[1.0, 0.0]], np.float32))
    assert loss == pytest.approx(-np.log(np.finfo(np.float32).eps))


def test_a_class_without_examples_has_no_recall_and_does_not_count():
    counts = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 3]])
    np.testing.assert_array_equal(metrics.per_class_recall(counts), [0.75, np.nan, 0.75])
    assert metrics.unweighted_average_recall(counts) == 0.75


def test_the_first_of_equal_probabilities_is_predicted():
    measured = metrics.measure(np.array([0, 1]), np.full((2, 4), 0.25, np.float32))
    assert measured["confusion"][0][0] == measured["confusion"][1][0] == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.confusion(np.array([0, 5]), np.array([0, 1]), 5),
        lambda: metrics.confusion(np.array([0, -1]), np.array([0, 1]), 5),
        lambda: metrics.confusion(np.array([0]), np.array([0, 1]), 5),
        lambda: metrics.measure(np.zeros(0, int), np.zeros((0, 3))),
        lambda: metrics.measure(np.zeros(3, int), np.zeros((2, 3))),
        lambda: metrics.measure(np.zeros(2, int), np.full((2, 3), np.nan)),
        lambda: metrics.accuracy(np.zeros((3, 3))),
        lambda: metrics.accuracy(np.ones((2, 3))),
    ],
)
def test_invalid_arguments_are_errors(call):
    with pytest.raises(ValueError):
        call()

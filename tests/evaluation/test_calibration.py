"""Calibration against closed forms, scikit-learn and values computed by hand."""

import numpy as np
import pytest
import sklearn.metrics
from scipy import optimize
from sklearn.calibration import calibration_curve

from mmer_jax.evaluation import calibration, metrics


def draw(n=500, classes=4, sharpness=1.0, seed=0):
    """Draws labels from random probabilities; returns them with logits scaled by `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, classes))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random(n)[:, None] > truth.cumsum(axis=1)).sum(axis=1)
    scaled = np.exp(sharpness * logits)
    return labels, (scaled / scaled.sum(axis=1, keepdims=True)).astype(np.float32)


def test_expected_calibration_error_by_hand():
    # Two examples of confidence 0.9, one of them correct, and a correct one of confidence 0.6:
    # (2 |0.5 - 0.9| + |1 - 0.6|) / 3.
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    error = calibration.expected_calibration_error(labels, probabilities)
    assert error == pytest.approx((2 * 0.4 + 0.4) / 3)
    bins = calibration.reliability(labels, probabilities, bins=10)
    # Bins are (low, high]: 0.9 belongs to 0.8..0.9.
    assert bins.count.tolist() == [0] * 5 + [1, 0, 0, 2, 0]
    assert bins.accuracy[[5, 8]].tolist() == [1, 0.5] and np.isnan(bins.accuracy[0])
    np.testing.assert_allclose(bins.confidence[[5, 8]], [0.6, 0.9])
    np.testing.assert_allclose(bins.edges * 10, range(11))


def test_bins_against_scikit_learn():
    labels, probabilities = draw(sharpness=2)
    correct = probabilities.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(
        correct, probabilities.max(axis=1).clip(0, 1), n_bins=15
    )
    bins = calibration.reliability(labels, probabilities)
    filled = bins.count > 0
    np.testing.assert_allclose(bins.accuracy[filled], accuracy)
    np.testing.assert_allclose(bins.confidence[filled], confidence, rtol=1e-6)
    assert bins.count.sum() == 500
    weights = bins.count[filled] / 500
    assert calibration.expected_calibration_error(labels, probabilities) == pytest.approx(
        (weights * np.abs(accuracy - confidence)).sum()
    )


def test_confident_predictions_are_calibrated_only_if_correct():
    # Slightly above 1, which softmax in float32 can be.
    confident = np.eye(3, dtype=np.float32) + np.float32(1e-7)
    correct = calibration.expected_calibration_error(np.arange(3), confident)
    assert correct == pytest.approx(0, abs=1e-6)
    wrong = calibration.expected_calibration_error(np.array([1, 2, 0]), confident)
    assert wrong == pytest.approx(1, abs=1e-6)


def test_brier_against_scikit_learn():
    labels, probabilities = draw(classes=2)
    binary = sklearn.metrics.brier_score_loss(labels, probabilities[:, 1])
    assert calibration.brier_score(labels, probabilities) == pytest.approx(2 * binary)
    labels, probabilities = draw(classes=5)
    squares = sklearn.metrics.mean_squared_error(np.eye(5)[labels], probabilities) * 5
    assert calibration.brier_score(labels, probabilities) == pytest.approx(squares)


@pytest.mark.parametrize(("confidence", "accuracy"), [(0.99, 0.8), (0.6, 0.9), (0.75, 0.75)])
def test_temperature_against_the_closed_form(confidence, accuracy):
    """Two classes with constant confidence: logit(confidence) / temperature = logit(accuracy)."""
    labels = (np.arange(100) >= 100 * accuracy).astype(int)
    probabilities = np.tile([confidence, 1 - confidence], (100, 1))
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731
    temperature = calibration.fit_temperature(labels, probabilities)
    assert temperature == pytest.approx(logit(confidence) / logit(accuracy), rel=1e-4)
    scaled = calibration.apply_temperature(probabilities, temperature)
    np.testing.assert_allclose(scaled[:, 0], accuracy, rtol=1e-4)
    assert calibration.expected_calibration_error(labels, scaled) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature_recovers_the_scale_of_the_logits(sharpness):
    labels, probabilities = draw(n=20_000, sharpness=sharpness)
    temperature = calibration.fit_temperature(labels, probabilities)
    assert temperature == pytest.approx(sharpness, rel=0.05)
    scaled = calibration.apply_temperature(probabilities, temperature)
    np.testing.assert_array_equal(scaled.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    # Not worse than the optimum of a general optimizer for metrics.cross_entropy.
    best = optimize.minimize(
        lambda t: metrics.cross_entropy(labels, calibration.apply_temperature(probabilities, t[0])),
        [1.0],
    )
    assert metrics.cross_entropy(labels, scaled) <= best.fun + 1e-6


def test_temperature_of_a_perfect_and_of_an_uninformative_network():
    labels, one_hot = np.arange(3), np.eye(3)
    assert calibration.fit_temperature(labels, one_hot) == 1  # The loss is already minimal.
    assert calibration.fit_temperature(labels, np.full((3, 3), 1 / 3)) == 1
    perfect = calibration.fit_temperature(labels, 0.8 * one_hot + 0.2 / 3)
    assert calibration.MIN_TEMPERATURE <= perfect < 0.1
    always_wrong = calibration.fit_temperature(np.array([1, 2, 0]), one_hot)
    assert always_wrong == pytest.approx(calibration.MAX_TEMPERATURE, rel=1e-3)
    with pytest.raises(ValueError, match="no example"):
        calibration.fit_temperature(np.zeros(0, int), np.zeros((0, 3)))

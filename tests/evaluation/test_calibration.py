"""Calibration against closed forms, scikit-learn and counts by hand."""

import numpy as np
import pytest
import sklearn.metrics
from scipy import optimize
from sklearn.calibration import calibration_curve

from mmer_jax.evaluation import calibration, metrics


def draw(n=500, classes=4, sharpness=1.0, seed=0):
    """Probabilities that are the truth, their logits then multiplied; labels drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, classes))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random(n)[:, None] > truth.cumsum(axis=1)).sum(axis=1)
    said = np.exp(sharpness * logits)
    return labels, (said / said.sum(axis=1, keepdims=True)).astype(np.float32)


def test_the_error_by_hand():
    # Two examples of confidence 0.9, one right; one of 0.6, right: (2 |0.5 - 0.9| + |1 - 0.6|) / 3.
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    found = calibration.expected_calibration_error(labels, probabilities)
    assert found == pytest.approx((2 * 0.4 + 0.4) / 3)
    bins = calibration.reliability(labels, probabilities, bins=10)
    assert bins.count.tolist() == [
        0,
        0,
        0,
        0,
        0,
        1,
        0,
        0,
        2,
        0,
    ]  # (low, high]: 0.9 is in 0.8 to 0.9
    assert bins.accuracy[[5, 8]].tolist() == [1, 0.5] and np.isnan(bins.accuracy[0])
    np.testing.assert_allclose(bins.confidence[[5, 8]], [0.6, 0.9])


def test_bins_against_scikit_learn():
    labels, probabilities = draw(sharpness=2)
    right = probabilities.argmax(axis=1) == labels
    share, confidence = calibration_curve(right, probabilities.max(axis=1).clip(0, 1), n_bins=15)
    bins = calibration.reliability(labels, probabilities)
    full = bins.count > 0
    np.testing.assert_allclose(bins.accuracy[full], share)
    np.testing.assert_allclose(bins.confidence[full], confidence, rtol=1e-6)
    assert bins.count.sum() == 500
    weights = bins.count[full] / 500
    assert calibration.expected_calibration_error(labels, probabilities) == pytest.approx(
        (weights * np.abs(share - confidence)).sum()
    )


def test_sure_and_right_is_calibrated_and_sure_and_wrong_is_not():
    sure = np.eye(3, dtype=np.float32) + np.float32(1e-7)  # above 1, as softmax in float32 can be
    assert calibration.expected_calibration_error(np.arange(3), sure) == pytest.approx(0, abs=1e-6)
    wrong = calibration.expected_calibration_error(np.array([1, 2, 0]), sure)
    assert wrong == pytest.approx(1, abs=1e-6)


def test_brier_against_scikit_learn():
    labels, probabilities = draw(classes=2)
    binary = sklearn.metrics.brier_score_loss(labels, probabilities[:, 1])
    assert calibration.brier_score(labels, probabilities) == pytest.approx(2 * binary)
    labels, probabilities = draw(classes=5)
    squares = sklearn.metrics.mean_squared_error(np.eye(5)[labels], probabilities) * 5
    assert calibration.brier_score(labels, probabilities) == pytest.approx(squares)


@pytest.mark.parametrize(("confidence", "share"), [(0.99, 0.8), (0.6, 0.9), (0.75, 0.75)])
def test_temperature_against_the_closed_form(confidence, share):
    """Of two classes, always equally sure: logit(confidence) / temperature is logit(share)."""
    labels = (np.arange(100) >= 100 * share).astype(int)
    probabilities = np.tile([confidence, 1 - confidence], (100, 1))
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731
    found = calibration.fit_temperature(labels, probabilities)
    assert found == pytest.approx(logit(confidence) / logit(share), rel=1e-4)
    scaled = calibration.at_temperature(probabilities, found)
    np.testing.assert_allclose(scaled[:, 0], share, rtol=1e-4)
    assert calibration.expected_calibration_error(labels, scaled) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature_takes_exaggeration_back(sharpness):
    labels, said = draw(n=20_000, sharpness=sharpness)
    found = calibration.fit_temperature(labels, said)
    assert found == pytest.approx(sharpness, rel=0.05)
    scaled = calibration.at_temperature(said, found)
    np.testing.assert_array_equal(scaled.argmax(axis=1), said.argmax(axis=1))
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    # No worse than the best of a general search by metrics.cross_entropy.
    best = optimize.minimize(
        lambda t: metrics.cross_entropy(labels, calibration.at_temperature(said, t[0])), [1.0]
    )
    assert metrics.cross_entropy(labels, scaled) <= best.fun + 1e-6


def test_temperature_of_a_network_without_mistakes_and_of_one_without_worth():
    labels, said = np.arange(3), np.eye(3)
    assert calibration.fit_temperature(labels, said) == 1  # nothing is left to gain
    assert calibration.fit_temperature(labels, np.full((3, 3), 1 / 3)) == 1
    found = calibration.fit_temperature(labels, 0.8 * said + 0.2 / 3)
    assert calibration.COLDEST <= found < 0.1
    found = calibration.fit_temperature(np.array([1, 2, 0]), said)
    assert found == pytest.approx(calibration.HOTTEST, rel=1e-3)
    with pytest.raises(ValueError, match="no example"):
        calibration.fit_temperature(np.zeros(0, int), np.zeros((0, 3)))

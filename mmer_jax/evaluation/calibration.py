"""Calibration: whether predicted probabilities match observed frequencies. NumPy, in float64.

Throughout, labels are int [n] in 0..classes-1 and probabilities are float [n, classes], whose rows
sum to 1. The negative log-likelihood is `metrics.cross_entropy`.
"""

import dataclasses

import numpy as np
from scipy import optimize, special

BINS = 15

# Bounds of the fitted temperature. The optimum is 0 for a network that classifies every example
# correctly, and infinite for one whose confidence is uninformative.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 100.0


@dataclasses.dataclass(frozen=True, eq=False)
class Bins:
    """Reliability diagram: statistics of examples that are binned by the network's confidence.

    Confidence is the largest of an example's probabilities.

    Attributes:
      edges: float64 [bins + 1], equally spaced in 0..1.
      count: int64 [bins], number of examples.
      confidence: float64 [bins], mean confidence; NaN for an empty bin.
      accuracy: float64 [bins], share of correct predictions; NaN for an empty bin.
    """

    edges: np.ndarray
    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> Bins:
    """Computes a reliability diagram with `bins` bins of equal width, each (low, high]."""
    count, confidence, correct = bin_sums(labels, probabilities, bins).sum(axis=0).T
    with np.errstate(invalid="ignore"):
        return Bins(
            np.linspace(0, 1, bins + 1), count.astype(np.int64), confidence / count, correct / count
        )


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> float:
    """Computes the expected calibration error (ECE), in 0..1.

    The mean absolute difference of accuracy and confidence over the bins, weighted by their counts
    (Guo et al., On calibration of modern neural networks, ICML 2017, equation 3). It depends on the
    number of bins and is biased upwards for few examples.
    """
    return float(error_from_sums(bin_sums(labels, probabilities, bins).sum(axis=0)))


def bin_sums(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Computes the contribution of each example to the bins of a reliability diagram.

    Sums over any set of examples suffice for a reliability diagram and its ECE.

    Returns:
      float64 [n, bins, 3]. In an example's bin the last axis holds 1, its confidence, and 1 for a
      correct or 0 for a wrong prediction; the other bins are 0.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    # Probabilities in float32 can be slightly above 1.
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    sums = np.zeros((len(labels), bins, 3))
    sums[np.arange(len(labels)), index] = np.stack(
        [np.ones(len(labels)), confidence, correct], axis=1
    )
    return sums


def error_from_sums(sums: np.ndarray) -> np.ndarray:
    """Computes the ECE from summed `bin_sums`: float64 [..., bins, 3] -> [...].

    A bin's |accuracy - confidence| times its share of the examples equals |number of correct
    predictions - sum of confidences| divided by the number of examples.
    """
    distances = np.abs(sums[..., 2] - sums[..., 1]).sum(axis=-1)
    return distances / sums[..., 0].sum(axis=-1)


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Computes the Brier score, in 0..2: the mean over examples of `squared_distances`.

    This is the original multi-class definition, which sums over classes (Brier, Verification of
    forecasts expressed in terms of probability, Monthly Weather Review 78, 1950).
    """
    return float(squared_distances(labels, probabilities).mean())


def squared_distances(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Computes the squared distance of each example's probabilities to its one-hot label.

    Returns:
      float64 [n], in 0..2.
    """
    probabilities = np.asarray(probabilities, np.float64)
    return ((probabilities - np.eye(probabilities.shape[1])[np.asarray(labels)]) ** 2).sum(axis=1)


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Fits the temperature that minimizes the negative log-likelihood.

    Temperature scaling as in Guo et al. (2017), section 4.2.

    Args:
      labels: True classes of validation examples. To fit on test examples would be a choice made on
        test data.
      probabilities: Predictions for the same examples.

    Returns:
      Temperature in MIN_TEMPERATURE..MAX_TEMPERATURE: above 1 for an overconfident network, below 1
      for an underconfident one, exactly 1 if no other temperature is better.

    Raises:
      ValueError: There are no examples.
    """
    logits, labels = _logits(probabilities), np.asarray(labels)
    if not len(labels):
        raise ValueError("no examples to fit a temperature on")
    label_logits = logits[np.arange(len(labels)), labels]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float(np.mean(special.logsumexp(logits * scale, axis=1) - label_logits * scale))

    # Convex in 1 / temperature, hence with a single minimum.
    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    result = optimize.minimize_scalar(
        loss, bounds=bounds, method="bounded", options={"xatol": 1e-8}
    )
    return float(np.exp(result.x)) if result.fun < loss(0.0) - 1e-12 else 1.0


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divides the logits of predictions by a temperature, which keeps the predicted classes.

    Returns:
      float64 [n, classes], probabilities.
    """
    return special.softmax(_logits(probabilities) / temperature, axis=1)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Returns logits up to an additive constant per example, which softmax ignores."""
    # The smallest probabilities are rounded to 0 in float32.
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny))

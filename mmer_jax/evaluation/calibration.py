"""Calibration: whether predicted probabilities match observed frequencies. NumPy, in float64.

In all functions, `labels` is int [n] in 0..classes-1, the true classes, and `probabilities` is
float [n, classes], the predicted probabilities of the same examples; they sum to 1 over the
classes. The negative log-likelihood is `metrics.cross_entropy`.
"""

import dataclasses

import numpy as np
from scipy import optimize, special

BINS = 15  # default number of bins of a reliability diagram

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
    """Computes a reliability diagram.

    Args:
      labels: int [n], true classes.
      probabilities: float [n, classes].
      bins: Number of bins of equal width in 0..1, each an interval (low, high].
    """
    count, confidence, correct = bin_sums(labels, probabilities, bins).sum(axis=0).T
    with np.errstate(invalid="ignore"):
        return Bins(
            np.linspace(0, 1, bins + 1), count.astype(np.int64), confidence / count, correct / count
        )


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> float:
    """Computes the expected calibration error (ECE), in 0..1.

    The ECE is the mean over the bins of |accuracy - confidence|, weighted by the number of examples
    in each bin (Guo et al., On calibration of modern neural networks, ICML 2017, equation 3). It
    depends on the number of bins and is biased upwards for few examples.

    Args:
      labels: int [n], true classes.
      probabilities: float [n, classes].
      bins: Number of bins of equal width in 0..1.
    """
    return float(error_from_sums(bin_sums(labels, probabilities, bins).sum(axis=0)))


def bin_sums(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Computes the contribution of each example to the bins of a reliability diagram.

    The sums of these contributions over a set of examples suffice to compute the reliability
    diagram and the ECE of the set.

    Args:
      labels: int [n], true classes.
      probabilities: float [n, classes].
      bins: Number of bins of equal width in 0..1.

    Returns:
      float64 [n, bins, 3]. In the bin of an example, the last axis holds 1, the confidence, and 1
      for a correct or 0 for a wrong prediction; all other bins are 0.
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
    """Computes the expected calibration error from summed contributions.

    In each bin, |accuracy - confidence| times the share of the examples equals |number of correct
    predictions - sum of confidences| divided by the number of all examples.

    Args:
      sums: float64 [..., bins, 3], sums of `bin_sums` over examples.

    Returns:
      float64 [...].
    """
    distances = np.abs(sums[..., 2] - sums[..., 1]).sum(axis=-1)
    return distances / sums[..., 0].sum(axis=-1)


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Computes the Brier score, in 0..2: the mean of `squared_distances` over examples.

    This is the original multi-class definition, which sums over classes (Brier, Verification of
    forecasts expressed in terms of probability, Monthly Weather Review 78, 1950).

    Args:
      labels: int [n], true classes.
      probabilities: float [n, classes].
    """
    return float(squared_distances(labels, probabilities).mean())


def squared_distances(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Computes the squared distance of each example's probabilities to its one-hot label.

    Args:
      labels: int [n], true classes.
      probabilities: float [n, classes].

    Returns:
      float64 [n], in 0..2.
    """
    probabilities = np.asarray(probabilities, np.float64)
    return ((probabilities - np.eye(probabilities.shape[1])[np.asarray(labels)]) ** 2).sum(axis=1)


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Fits the temperature that minimizes the negative log-likelihood.

    Temperature scaling is described by Guo et al. (2017), section 4.2.

    Args:
      labels: int [n], true classes of validation examples. Test examples must not be used: the
        temperature would be a choice made on test data.
      probabilities: float [n, classes], predictions for the same examples.

    Returns:
      The temperature, in MIN_TEMPERATURE..MAX_TEMPERATURE: above 1 for an overconfident network,
      below 1 for an underconfident one, exactly 1 if no other temperature is better.

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

    # The loss is convex in 1 / temperature and therefore has a single minimum.
    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    result = optimize.minimize_scalar(
        loss, bounds=bounds, method="bounded", options={"xatol": 1e-8}
    )
    return float(np.exp(result.x)) if result.fun < loss(0.0) - 1e-12 else 1.0


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divides the logits of predictions by a temperature. The predicted classes stay the same.

    Args:
      probabilities: float [n, classes].
      temperature: Temperature above 0, from `fit_temperature`.

    Returns:
      float64 [n, classes], scaled probabilities.
    """
    return special.softmax(_logits(probabilities) / temperature, axis=1)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Returns logits up to an additive constant per example, which softmax ignores."""
    # The smallest probabilities are rounded to 0 in float32.
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny))

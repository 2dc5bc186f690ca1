"""Whether a network is as often right as it is sure. All in numpy float64.

Labels are int [n] in 0..classes-1, probabilities float [n, classes] with rows that sum to one. The
negative log-likelihood is metrics.cross_entropy.
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize, special

BINS = 15

# Between these the temperature is looked for. A network that is right about every example would
# have 0, and one whose sureness is worth nothing would have no end.
COLDEST, HOTTEST = 0.05, 100.0


class Bins(NamedTuple):
    """A reliability diagram: examples sorted into bins by how sure the network was of them.

    Attributes:
      edges: float64 [bins + 1], 0..1, equally spaced.
      count: int64 [bins].
      confidence: float64 [bins], the mean of the largest probability; NaN for an empty bin.
      accuracy: float64 [bins], the share that was right; NaN for an empty bin.
    """

    edges: np.ndarray
    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> Bins:
    """Sorts examples into `bins` equal bins of the largest probability, (low, high] each."""
    count, confidence, right = bin_sums(labels, probabilities, bins).sum(axis=0).T
    with np.errstate(invalid="ignore"):
        return Bins(
            np.linspace(0, 1, bins + 1), count.astype(np.int64), confidence / count, right / count
        )


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> float:
    """The mean distance of accuracy and confidence over the bins, weighted by their counts; 0..1.

    Guo et al., On calibration of modern neural networks, ICML 2017, equation 3. It depends on the
    number of bins, and few examples make it larger than it is.
    """
    return float(error_of_sums(bin_sums(labels, probabilities, bins).sum(axis=0)))


def bin_sums(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> np.ndarray:
    """What each example adds to the bins, float64 [n, bins, 3]: 1, its confidence, whether right.

    Sums over any examples are all that a reliability diagram and its error need.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    # float32 probabilities may be a little above 1.
    at = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    sums = np.zeros((len(labels), bins, 3))
    sums[np.arange(len(labels)), at] = np.stack([np.ones(len(labels)), confidence, right], axis=1)
    return sums


def error_of_sums(sums: np.ndarray) -> np.ndarray:
    """The expected calibration error of summed `bin_sums`, float64 [..., bins, 3] -> [...].

    |accuracy - confidence| times the bin's share is |right - confidence sum| / examples.
    """
    distances = np.abs(sums[..., 2] - sums[..., 1]).sum(axis=-1)
    return distances / sums[..., 0].sum(axis=-1)


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over examples of the summed squared distance to the truth, 0..2, as Brier (1950)."""
    return float(squared_distances(labels, probabilities).mean())


def squared_distances(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Each example's squared distance to the truth, float64 [n], 0..2."""
    probabilities = np.asarray(probabilities, np.float64)
    return ((probabilities - np.eye(probabilities.shape[1])[np.asarray(labels)]) ** 2).sum(axis=1)


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature that makes the negative log-likelihood least (Guo et al., 2017, section 4.2).

    Args:
      labels, probabilities: of validation examples. Fitted on test examples it would be a choice
        made on test data.

    Returns:
      above 1 for a network that is too sure, below 1 for one that is not sure enough; between
      COLDEST and HOTTEST, and 1 where none is better.

    Raises:
      ValueError: no example.
    """
    logits, labels = _logits(probabilities), np.asarray(labels)
    if not len(labels):
        raise ValueError("no example: no temperature can be fitted")
    at_label = logits[np.arange(len(labels)), labels]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float(np.mean(special.logsumexp(logits * scale, axis=1) - at_label * scale))

    # Convex in 1 / temperature, so there is one lowest point.
    bounds = (np.log(COLDEST), np.log(HOTTEST))
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x)) if found.fun < loss(0.0) - 1e-12 else 1.0


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities at another temperature, float64 [n, classes]; the decisions stay."""
    return special.softmax(_logits(probabilities) / temperature, axis=1)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits up to a constant, which softmax takes away again."""
    # float32 has rounded the least probabilities to 0.
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny))

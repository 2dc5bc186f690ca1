"""Figures of merit, from labels, probabilities and counts. All in numpy float64.

Everything that can be is computed from a confusion matrix, int64 [classes, classes], rows the true
class and columns the predicted one, because that is what a record keeps: figures can be pooled over
folds and recomputed without a single prediction.
"""

import statistics

import numpy as np


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts, int64 [classes, classes]: rows are the true class, columns the predicted one.

    Args:
      labels: int [n], the true class in 0..classes-1.
      predicted: int [n], the predicted class in 0..classes-1.
      classes: how many there are, whether they occur or not.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.shape != predicted.shape or labels.ndim != 1:
        raise ValueError(
            f"expected two lists of one length, found {labels.shape}, {predicted.shape}"
        )
    for name, values in (("labels", labels), ("predicted", predicted)):
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise ValueError(f"{name} outside 0..{classes - 1}: {values.min()}..{values.max()}")
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels.astype(np.int64), predicted.astype(np.int64)), 1)
    return counts


def accuracy(counts: np.ndarray) -> float:
    """Share of examples on the diagonal of a confusion matrix, 0..1."""
    counts = _checked(counts)
    return float(np.trace(counts) / counts.sum())


def per_class_recall(counts: np.ndarray) -> np.ndarray:
    """Share of each true class that was found, float64 [classes]; NaN for a class without any."""
    counts = _checked(counts)
    totals = counts.sum(axis=1)
    return np.divide(
        np.diag(counts),
        totals,
        out=np.full(len(counts), np.nan),
        where=totals > 0,
        dtype=np.float64,
    )


def per_class_precision(counts: np.ndarray) -> np.ndarray:
    """Share of each predicted class that was right, float64 [classes]; NaN for one never named."""
    return per_class_recall(np.transpose(counts))


def unweighted_average_recall(counts: np.ndarray) -> float:
    """Mean recall over the classes that occur, 0..1 (scikit-learn's balanced accuracy)."""
    return float(np.nanmean(per_class_recall(counts)))


def macro_f1(counts: np.ndarray) -> float:
    """Mean F1 over the classes that occur or are predicted, 0..1 (scikit-learn's macro average).

    F1 of a class is 2 tp / (2 tp + fp + fn), which is 2 tp / (row sum + column sum).
    """
    counts = _checked(counts)
    both = counts.sum(axis=1) + counts.sum(axis=0)
    present = both > 0
    return float(np.mean(2 * np.diag(counts)[present] / both[present]))


def cross_entropy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative log of the true class's probability, in nats.

    Args:
      labels: int [n].
      probabilities: float [n, classes], rows that sum to one. A probability that float32 rounded
        to zero counts as float32's epsilon, as in scikit-learn's log_loss, so that one confident
        mistake doesn't make the mean infinite.
    """
    labels, probabilities = _examples(labels, probabilities)
    true = probabilities[np.arange(len(labels)), labels]
    return float(-np.mean(np.log(np.clip(true, np.finfo(np.float32).eps, 1.0))))


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion: (low, high), each in 0..1.

    Wilson, Probable inference, the law of succession, and statistical inference, Journal of the
    American Statistical Association 22 (1927). With p = correct / total and z the normal quantile:
    (p + z^2/2n -+ z sqrt(p (1 - p) / n + z^2/4n^2)) / (1 + z^2/n). It takes examples as
    independent.
    """
    if not 0 <= correct <= total or total == 0:
        raise ValueError(f"{correct} correct of {total} is no proportion")
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / total
    center = share + z**2 / (2 * total)
    half = z * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    return float(max(0.0, (center - half) / scale)), float(min(1.0, (center + half) / scale))


def measure(labels: np.ndarray, probabilities: np.ndarray) -> dict:
    """The metric fields of a record from one set of predictions.

    Args:
      labels: int [n], n > 0.
      probabilities: float [n, classes]. The prediction is the largest; of equals the first.

    Returns:
      accuracy, accuracy_interval (Wilson, 95%), unweighted_average_recall, macro_f1, loss and
      confusion, as plain Python numbers and lists.
    """
    labels, probabilities = _examples(labels, probabilities)
    counts = confusion(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    return {
        "accuracy": accuracy(counts),
        "accuracy_interval": list(wilson_interval(int(np.trace(counts)), len(labels))),
        "unweighted_average_recall": unweighted_average_recall(counts),
        "macro_f1": macro_f1(counts),
        "loss": cross_entropy(labels, probabilities),
        "confusion": counts.tolist(),
    }


def _checked(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"expected a square matrix of counts, found shape {counts.shape}")
    if not counts.sum():
        raise ValueError("no example was counted: nothing to measure")
    return counts


def _examples(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            f"expected labels [n] and probabilities [n, classes], found {labels.shape} and "
            f"{probabilities.shape}"
        )
    if not len(labels):
        raise ValueError("no example: nothing to measure")
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities that are not finite")
    return labels, probabilities

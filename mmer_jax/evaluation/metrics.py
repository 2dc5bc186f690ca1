"""Classification metrics from labels, probabilities and confusion matrices. NumPy, in float64.

Wherever possible a metric is computed from the confusion matrix `counts`, int64 [classes, classes]:
`counts[i, j]` is the number of examples of class i that are predicted as class j. Records store
this matrix, so metrics can be pooled over folds and recomputed without predictions. Functions of a
confusion matrix raise a ValueError if the matrix is not square or counts no examples.
"""

from typing import Any

import numpy as np


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Computes the confusion matrix.

    Args:
      labels: int [n], true classes in 0..classes-1.
      predicted: int [n], predicted classes in 0..classes-1.
      classes: Number of classes, including those that do not occur.

    Returns:
      int64 [classes, classes], counts; rows are true classes, columns predicted ones.

    Raises:
      ValueError: The arrays differ in shape, are not one-dimensional, or hold values outside
        0..classes-1.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.shape != predicted.shape or labels.ndim != 1:
        raise ValueError(
            f"expected labels and predictions of one shape [n], found {labels.shape} and "
            f"{predicted.shape}"
        )
    for name, values in (("labels", labels), ("predicted", predicted)):
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise ValueError(
                f"expected {name} in 0..{classes - 1}, found {values.min()}..{values.max()}"
            )
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels.astype(np.int64), predicted.astype(np.int64)), 1)
    return counts


def accuracy(counts: np.ndarray) -> float:
    """Computes the accuracy, in 0..1, from a confusion matrix."""
    counts = _check_counts(counts)
    return float(np.trace(counts) / counts.sum())


def per_class_recall(counts: np.ndarray) -> np.ndarray:
    """Computes the recall of each class, in 0..1, from a confusion matrix.

    Returns:
      float64 [classes]; NaN for a class without examples.
    """
    counts = _check_counts(counts)
    totals = counts.sum(axis=1)
    return np.divide(
        np.diag(counts),
        totals,
        out=np.full(len(counts), np.nan),
        where=totals > 0,
        dtype=np.float64,
    )


def per_class_precision(counts: np.ndarray) -> np.ndarray:
    """Computes the precision of each class, in 0..1, from a confusion matrix.

    Returns:
      float64 [classes]; NaN for a class that is never predicted.
    """
    return per_class_recall(np.transpose(counts))


def unweighted_average_recall(counts: np.ndarray) -> float:
    """Computes the unweighted average recall (UAR), in 0..1, from a confusion matrix.

    The UAR is the mean recall over the classes that occur; scikit-learn calls it balanced accuracy.
    """
    return float(np.nanmean(per_class_recall(counts)))


def macro_f1(counts: np.ndarray) -> float:
    """Computes the macro-averaged F1 score, in 0..1, from a confusion matrix.

    The F1 score of a class is 2 tp / (2 tp + fp + fn), which is 2 tp / (row sum + column sum). The
    mean is taken over the classes that occur or are predicted, as in scikit-learn.
    """
    counts = _check_counts(counts)
    both = counts.sum(axis=1) + counts.sum(axis=0)
    present = both > 0
    return float(np.mean(2 * np.diag(counts)[present] / both[present]))


def cross_entropy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Computes the mean cross-entropy (negative log-likelihood), in nats.

    Args:
      labels: int [n], true classes.
      probabilities: float [n, classes], whose rows sum to 1. The probability of the true class is
        clipped to float32's epsilon, as in scikit-learn's log_loss, so that one confident mistake
        does not make the mean infinite.

    Raises:
      ValueError: There are no examples, the shapes do not match, or a probability is not finite.
    """
    labels, probabilities = _check_examples(labels, probabilities)
    true = probabilities[np.arange(len(labels)), labels]
    return float(-np.mean(np.log(np.clip(true, np.finfo(np.float32).eps, 1.0))))


def measure(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Computes the metric fields of a record from one set of predictions.

    Args:
      labels: int [n], true classes; n > 0.
      probabilities: float [n, classes]. The predicted class is the first of the most probable ones.

    Returns:
      A dict with the keys accuracy, unweighted_average_recall, macro_f1, loss (mean cross-entropy
      in nats) and confusion, as plain Python numbers and lists.

    Raises:
      ValueError: There are no examples, the shapes do not match, or a probability is not finite.
    """
    labels, probabilities = _check_examples(labels, probabilities)
    counts = confusion(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    return {
        "accuracy": accuracy(counts),
        "unweighted_average_recall": unweighted_average_recall(counts),
        "macro_f1": macro_f1(counts),
        "loss": cross_entropy(labels, probabilities),
        "confusion": counts.tolist(),
    }


def _check_counts(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"expected a square confusion matrix, found shape {counts.shape}")
    if not counts.sum():
        raise ValueError("the confusion matrix counts no examples")
    return counts


def _check_examples(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            f"expected labels [n] and probabilities [n, classes], found {labels.shape} and "
            f"{probabilities.shape}"
        )
    if not len(labels):
        raise ValueError("no examples to compute metrics of")
    if not np.isfinite(probabilities).all():
        raise ValueError("expected finite probabilities, found NaN or infinity")
    return labels, probabilities

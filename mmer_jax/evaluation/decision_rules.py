"""Decision-level fusion: one decision from the posteriors of separately trained networks.

Fixed rules (Kittler et al., 1998, doi:10.1109/34.667881) take the test posteriors as they are. What
is fitted (weights, classifiers on the joined posteriors) is fitted on posteriors of examples that
the networks were not trained on: those of training examples are near 1 and teach nothing.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import optimize
from sklearn import (
    calibration,
    linear_model,
    model_selection,
    neighbors,
    pipeline,
    preprocessing,
    svm,
)

from mmer_jax import errors

# Posteriors of several networks, by row -> one posterior. All float64 [n, classes].
Combiner = Callable[[Mapping[str, np.ndarray]], np.ndarray]

_TINY = 1e-12  # the least probability whose logarithm is taken


def mean(posteriors: Mapping[str, np.ndarray]) -> np.ndarray:
    """The mean of the posteriors."""
    return _stacked(posteriors).mean(axis=0)


def product(posteriors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Their product, made to sum to 1."""
    return _softmax(np.log(_stacked(posteriors).clip(_TINY)).sum(axis=0))


def maximum(posteriors: Mapping[str, np.ndarray]) -> np.ndarray:
    """For each class the largest of its posteriors, made to sum to 1."""
    largest = _stacked(posteriors).max(axis=0)
    return largest / largest.sum(axis=1, keepdims=True)


def majority(posteriors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Shares of the votes; where votes are equal, the mean posterior decides."""
    stacked = _stacked(posteriors)
    votes = (stacked.argmax(axis=2)[..., None] == np.arange(stacked.shape[2])).mean(axis=0)
    # Less than any difference between two shares, and a share still: rows sum to 1.
    weight = 1 / (2 * len(stacked) + 1)
    return (1 - weight) * votes + weight * stacked.mean(axis=0)


def weighted(posteriors: Mapping[str, np.ndarray], labels: np.ndarray) -> Combiner:
    """The weighted mean whose negative log-likelihood is least; weights are shares."""
    order, stacked = list(posteriors), _stacked(posteriors)
    of_label = stacked[:, np.arange(len(labels)), labels]  # [networks, n]

    def loss(free):
        return -np.log((_softmax(free[None])[0] @ of_label).clip(_TINY)).mean()

    found = optimize.minimize(loss, np.zeros(len(order)), method="Nelder-Mead")
    weights = _softmax(found.x[None])[0]
    return lambda p: np.tensordot(weights, _stacked({row: p[row] for row in order}), axes=1)


def _classifier(make: Callable[[np.ndarray], object]) -> Callable[..., Combiner]:
    """A method that fits scikit-learn's classifier on the joined, standardized posteriors."""

    def fit(posteriors: Mapping[str, np.ndarray], labels: np.ndarray) -> Combiner:
        order = list(posteriors)
        classes = next(iter(posteriors.values())).shape[1]
        fitted = pipeline.make_pipeline(preprocessing.StandardScaler(), make(np.asarray(labels)))
        fitted.fit(np.concatenate([posteriors[row] for row in order], axis=1), labels)

        def combine(p: Mapping[str, np.ndarray]) -> np.ndarray:
            said = fitted.predict_proba(np.concatenate([p[row] for row in order], axis=1))
            # A class that the fit has not seen has probability 0.
            whole = np.zeros((len(said), classes))
            whole[:, fitted.classes_] = said
            return whole

        return combine

    return fit


def _svm(kernel: str) -> Callable[[np.ndarray], object]:
    def make(labels):
        # Probabilities by Platt's scaling, on parts of what is fitted that each fit has not seen.
        folds = min(5, np.unique(labels, return_counts=True)[1].min())
        parts = model_selection.StratifiedKFold(max(2, folds), shuffle=True, random_state=0)
        return calibration.CalibratedClassifierCV(svm.SVC(kernel=kernel), cv=parts, ensemble=False)

    return make


# posteriors -> posterior.
RULES: dict[str, Combiner] = {
    "mean": mean,
    "product": product,
    "maximum": maximum,
    "majority": majority,
}
# (posteriors, labels) -> what combines others.
FITTED: dict[str, Callable[..., Combiner]] = {
    "weighted": weighted,
    "logistic": _classifier(lambda labels: linear_model.LogisticRegression(max_iter=1000)),
    "linear_svm": _classifier(_svm("linear")),
    "rbf_svm": _classifier(_svm("rbf")),
    "knn": _classifier(
        lambda labels: neighbors.KNeighborsClassifier(n_neighbors=min(15, len(labels)))
    ),
}
METHODS = (*RULES, *FITTED)


def check(method: str) -> None:
    """Raises a UserError for an unknown method, with the known ones."""
    if method not in METHODS:
        raise errors.unknown("fusion method", method, METHODS)


def fit(
    method: str, posteriors: Mapping[str, np.ndarray] | None, labels: np.ndarray | None
) -> Combiner:
    """What combines posteriors by a method.

    Args:
      method: one of METHODS.
      posteriors: for each network float [n, classes], of examples that it was not trained on; the
        RULES take none.
      labels: int [n], their classes.

    Returns:
      a function: for each network float [m, classes] -> float64 [m, classes], rows sum to 1.

    Raises:
      UserError: an unknown method.
    """
    check(method)
    if method in RULES:
        return RULES[method]
    exact = {row: np.asarray(p, np.float64) for row, p in posteriors.items()}
    return FITTED[method](exact, np.asarray(labels))


def _stacked(posteriors: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.stack([np.asarray(p, np.float64) for p in posteriors.values()])


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)

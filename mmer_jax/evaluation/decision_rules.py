"""Late fusion (decision level): combines the posteriors of separately trained networks.

Fixed rules (Kittler et al., 1998, doi:10.1109/34.667881) combine the test posteriors directly.
Fitted methods (a weighted mean, and classifiers stacked on the concatenated posteriors) are fitted
on held-out examples that the networks were not trained on, since posteriors of training examples
are close to 0 or 1 and therefore uninformative.
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

# (Row -> posteriors of its network) -> combined posteriors. All are float64 [n, classes].
Combiner = Callable[[Mapping[str, np.ndarray]], np.ndarray]

_TINY = 1e-12  # Lower bound of probabilities before their logarithm is taken.


def mean(posteriors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the mean of the posteriors."""
    return _stacked(posteriors).mean(axis=0)


def product(posteriors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the product of the posteriors, normalized to sum to 1."""
    return _softmax(np.log(_stacked(posteriors).clip(_TINY)).sum(axis=0))


def maximum(posteriors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns each class's largest posterior, normalized to sum to 1."""
    largest = _stacked(posteriors).max(axis=0)
    return largest / largest.sum(axis=1, keepdims=True)


def majority(posteriors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns each class's share of the votes; the mean posterior breaks ties."""
    stacked = _stacked(posteriors)
    votes = (stacked.argmax(axis=2)[..., None] == np.arange(stacked.shape[2])).mean(axis=0)
    # Below any difference between two shares of the votes. Rows still sum to 1.
    weight = 1 / (2 * len(stacked) + 1)
    return (1 - weight) * votes + weight * stacked.mean(axis=0)


def weighted(posteriors: Mapping[str, np.ndarray], labels: np.ndarray) -> Combiner:
    """Fits a weighted mean of the posteriors that minimizes the negative log-likelihood.

    The weights are non-negative and sum to 1.

    Args:
      posteriors: Row -> float64 [n, classes], posteriors of held-out examples.
      labels: int [n], true classes of these examples.
    """
    order, stacked = list(posteriors), _stacked(posteriors)
    label_posteriors = stacked[:, np.arange(len(labels)), labels]  # [networks, n]

    def loss(weight_logits):
        weights = _softmax(weight_logits[None])[0]
        return -np.log((weights @ label_posteriors).clip(_TINY)).mean()

    result = optimize.minimize(loss, np.zeros(len(order)), method="Nelder-Mead")
    weights = _softmax(result.x[None])[0]
    return lambda p: np.tensordot(weights, _stacked({row: p[row] for row in order}), axes=1)


def _classifier(make: Callable[[np.ndarray], object]) -> Callable[..., Combiner]:
    """Returns a method that fits a classifier on concatenated, standardized posteriors.

    Args:
      make: Labels -> unfitted scikit-learn classifier.
    """

    def fit(posteriors: Mapping[str, np.ndarray], labels: np.ndarray) -> Combiner:
        order = list(posteriors)
        classes = next(iter(posteriors.values())).shape[1]
        fitted = pipeline.make_pipeline(preprocessing.StandardScaler(), make(np.asarray(labels)))
        fitted.fit(np.concatenate([posteriors[row] for row in order], axis=1), labels)

        def combine(p: Mapping[str, np.ndarray]) -> np.ndarray:
            probabilities = fitted.predict_proba(np.concatenate([p[row] for row in order], axis=1))
            # A class without examples among those the classifier was fitted on has probability 0.
            all_classes = np.zeros((len(probabilities), classes))
            all_classes[:, fitted.classes_] = probabilities
            return all_classes

        return combine

    return fit


def _svm(kernel: str) -> Callable[[np.ndarray], object]:
    def make(labels):
        # Probabilities by Platt scaling, cross-validated on the examples that are fitted on.
        folds = max(2, min(5, np.unique(labels, return_counts=True)[1].min()))
        cv = model_selection.StratifiedKFold(folds, shuffle=True, random_state=0)
        return calibration.CalibratedClassifierCV(svm.SVC(kernel=kernel), cv=cv, ensemble=False)

    return make


# Fixed rules.
RULES: dict[str, Combiner] = {
    "mean": mean,
    "product": product,
    "maximum": maximum,
    "majority": majority,
}
# Methods with parameters: (posteriors, labels) of held-out examples -> fitted combiner.
FITTED: dict[str, Callable[..., Combiner]] = {
    "weighted": weighted,
    "logistic": _classifier(lambda labels: linear_model.LogisticRegression(max_iter=1000)),
    "linear_svm": _classifier(_svm("linear")),
    "rbf_svm": _classifier(_svm("rbf")),
    "knn": _classifier(
        lambda labels: neighbors.KNeighborsClassifier(n_neighbors=min(15, len(labels)))
    ),
}


def register(name: str, rule: Combiner) -> None:
    """Registers a fixed rule as a method of late fusion.

    Args:
      name: Name of the method in `config.fusion.method`.
      rule: (Row -> float64 [n, classes]) -> float64 [n, classes], whose rows sum to 1.

    Raises:
      ValueError: Another method has the name.
    """
    if name in FITTED or RULES.get(name, rule) is not rule:
        raise ValueError(f"the fusion method {name!r} is taken")
    RULES[name] = rule


def methods() -> tuple[str, ...]:
    """Returns the names of all methods, the fixed rules first."""
    return (*RULES, *FITTED)


def check(method: str) -> None:
    """Raises a UserError that lists the known methods, if `method` is not one of them."""
    if method not in methods():
        raise errors.unknown("fusion method", method, methods())


def fit(
    method: str, posteriors: Mapping[str, np.ndarray] | None, labels: np.ndarray | None
) -> Combiner:
    """Returns the combiner of a late-fusion method, fitted if the method has parameters.

    Args:
      method: One of `methods()`.
      posteriors: Row -> float [n, classes], posteriors of held-out examples that the row's network
        was not trained on. Ignored by RULES.
      labels: int [n], true classes of these examples. Ignored by RULES.

    Returns:
      A function: (row -> float [m, classes]) -> float64 [m, classes], whose rows sum to 1.

    Raises:
      UserError: The method is unknown.
      ValueError: The method has parameters, and there are no posteriors or labels to fit them on.
    """
    check(method)
    if method in RULES:
        return RULES[method]
    if posteriors is None or labels is None:
        raise ValueError(f"fusion method {method!r} needs held-out posteriors and labels")
    exact = {row: np.asarray(p, np.float64) for row, p in posteriors.items()}
    return FITTED[method](exact, np.asarray(labels))


def _stacked(posteriors: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.stack([np.asarray(p, np.float64) for p in posteriors.values()])


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)

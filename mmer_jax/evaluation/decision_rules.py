"""Late fusion (decision level): combines the posteriors of separately trained networks.

Fixed rules (Kittler et al., 1998, doi:10.1109/34.667881) combine the test posteriors directly.
Fitted methods (a weighted mean, and classifiers stacked on the concatenated posteriors) are fitted
on held-out examples that the networks were not trained on, since posteriors of training examples
are close to 0 or 1 and therefore uninformative.

In all functions, `posteriors` maps the name of a config row to the posteriors of its network, float
[n, classes].
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

# Function of the posteriors of several networks, config row -> float64 [n, classes], that returns
# combined posteriors, float64 [n, classes]. All sum to 1 over the classes.
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
    """Returns the share of the networks that predict each class; the mean posterior breaks ties."""
    stacked = _stacked(posteriors)
    votes = (stacked.argmax(axis=2)[..., None] == np.arange(stacked.shape[2])).mean(axis=0)
    # The weight is smaller than any difference between two shares of the votes, so that the mean
    # only breaks ties. The result still sums to 1 over the classes.
    weight = 1 / (2 * len(stacked) + 1)
    return (1 - weight) * votes + weight * stacked.mean(axis=0)


def weighted(posteriors: Mapping[str, np.ndarray], labels: np.ndarray) -> Combiner:
    """Fits a weighted mean of the posteriors that minimizes the negative log-likelihood.

    The weights are non-negative and sum to 1.

    Args:
      posteriors: Config row -> float64 [n, classes], posteriors of held-out examples.
      labels: int [n], true classes of the held-out examples.

    Returns:
      A combiner with fixed weights.
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
    """Returns a method of late fusion that stacks a classifier on the posteriors.

    The classifier is fitted on the standardized posteriors of all networks, concatenated.

    Args:
      make: Function of labels, int [n], that returns an unfitted scikit-learn classifier.

    Returns:
      A function of held-out posteriors and labels that returns a combiner (see `fit`).
    """

    def fit(posteriors: Mapping[str, np.ndarray], labels: np.ndarray) -> Combiner:
        order = list(posteriors)
        classes = next(iter(posteriors.values())).shape[1]
        fitted = pipeline.make_pipeline(preprocessing.StandardScaler(), make(np.asarray(labels)))
        fitted.fit(np.concatenate([posteriors[row] for row in order], axis=1), labels)

        def combine(p: Mapping[str, np.ndarray]) -> np.ndarray:
            probabilities = fitted.predict_proba(np.concatenate([p[row] for row in order], axis=1))
            # The classifier does not know a class without held-out examples: its probability is 0.
            all_classes = np.zeros((len(probabilities), classes))
            all_classes[:, fitted.classes_] = probabilities
            return all_classes

        return combine

    return fit


def _svm(kernel: str) -> Callable[[np.ndarray], object]:
    def make(labels):
        # Probabilities by Platt scaling, which is fitted by cross-validation on the same examples.
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
      rule: Function of a dict, config row -> float64 [n, classes], that returns float64 [n,
        classes] with sums of 1 over the classes.

    Raises:
      ValueError: Another method has the name.
    """
    if name in FITTED or RULES.get(name, rule) is not rule:
        raise ValueError(f"the fusion method {name!r} is taken")
    RULES[name] = rule


def methods() -> tuple[str, ...]:
    """Returns the names of all methods of late fusion: the fixed rules, then the fitted methods."""
    return (*RULES, *FITTED)


def check(method: str) -> None:
    """Checks that a method of late fusion exists.

    Args:
      method: Name of the method.

    Raises:
      UserError: `method` is unknown; the message lists the known methods.
    """
    if method not in methods():
        raise errors.unknown("fusion method", method, methods())


def fit(
    method: str, posteriors: Mapping[str, np.ndarray] | None, labels: np.ndarray | None
) -> Combiner:
    """Returns the combiner of a late-fusion method, fitted if the method has parameters.

    Args:
      method: One of `methods()`.
      posteriors: Config row -> float [n, classes], posteriors of held-out examples that the network
        of this row was not trained on. The fixed rules ignore it; None is valid for them.
      labels: int [n], true classes of the held-out examples. The fixed rules ignore it.

    Returns:
      A function of a dict, config row -> float [m, classes], that returns float64 [m, classes] with
      sums of 1 over the classes.

    Raises:
      UserError: `method` is unknown.
      ValueError: The method has parameters, and `posteriors` or `labels` is None.
    """
    check(method)
    if method in RULES:
        return RULES[method]
    if posteriors is None or labels is None:
        raise ValueError(f"fusion method {method!r} needs held-out posteriors and labels")
    exact = {row: np.asarray(p, np.float64) for row, p in posteriors.items()}
    return FITTED[method](exact, np.asarray(labels))


def _stacked(posteriors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Stacks the posteriors of all networks, float64 [networks, n, classes]."""
    return np.stack([np.asarray(p, np.float64) for p in posteriors.values()])


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)

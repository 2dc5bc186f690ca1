"""Late fusion (decision level) against values computed by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from mmer_jax import errors
from mmer_jax.evaluation import decision_rules
from mmer_jax.evaluation.decision_rules import FITTED, RULES

BY_HAND = {
    "face": np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]]),
    "flow": np.array([[0.1, 0.5, 0.4], [0.3, 0.4, 0.3]]),
    "mel": np.array([[0.5, 0.4, 0.1], [0.1, 0.8, 0.1]]),
}


def draw(n=400, classes=4, rows=("face", "mel"), weights=(2.0, 1.0), seed=0):
    """Draws labels and posteriors of networks whose accuracy increases with their weight."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    posteriors = {}
    for row, weight in zip(rows, weights, strict=True):
        logits = rng.normal(size=(n, classes)) + weight * np.eye(classes)[labels]
        posteriors[row] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return posteriors, labels


def test_rules_by_hand():
    np.testing.assert_allclose(decision_rules.mean(BY_HAND)[0], [0.4, 0.4, 0.2])
    products = np.array([0.03, 0.06, 0.004])
    np.testing.assert_allclose(decision_rules.product(BY_HAND)[0], products / products.sum())
    largest = np.array([0.3, 0.8, 0.6])
    np.testing.assert_allclose(decision_rules.maximum(BY_HAND)[1], largest / largest.sum())
    votes = decision_rules.majority(BY_HAND)
    assert votes[0].argmax() == 0  # Two votes against one, although the means are equal.
    one_each = {"face": BY_HAND["face"][1:], "flow": BY_HAND["flow"][1:]}
    assert decision_rules.majority(one_each)[0].argmax() == 2  # 0.6 + 0.3 against 0.2 + 0.4


@pytest.mark.parametrize("method", decision_rules.methods())
def test_posteriors_sum_to_one_and_fusion_beats_the_worse_network(method):
    fitted_on, labels = draw(seed=1)
    tested, test_labels = draw(seed=2)
    combined = decision_rules.fit(method, fitted_on, labels)(tested)
    np.testing.assert_allclose(combined.sum(axis=1), 1)
    assert (combined >= 0).all()
    accuracy = (combined.argmax(axis=1) == test_labels).mean()
    assert accuracy > (tested["mel"].argmax(axis=1) == test_labels).mean() + 0.1


@pytest.mark.parametrize("method", FITTED)
def test_combining_does_not_depend_on_the_order_of_the_networks(method):
    fitted_on, labels = draw(seed=1)
    tested, _ = draw(seed=2)
    combine = decision_rules.fit(method, fitted_on, labels)
    reordered = dict(reversed(tested.items()))
    np.testing.assert_allclose(combine(reordered), combine(tested))


def test_the_informative_network_gets_the_weight():
    rng = np.random.default_rng(0)
    good, labels = draw(rows=("face",), weights=(3.0,))
    noise = rng.dirichlet(np.ones(4), len(labels))
    combine = decision_rules.fit("weighted", {**good, "mel": noise}, labels)
    one_hot = {"face": np.eye(4)[[0]], "mel": np.eye(4)[[1]]}
    assert combine(one_hot)[0, 0] > 0.9
    # No weights of a grid are better.
    mixtures = [w * good["face"] + (1 - w) * noise for w in np.linspace(0, 1, 101)]
    losses = [-np.log(m[np.arange(len(labels)), labels]).mean() for m in mixtures]
    combined = combine({**good, "mel": noise})
    assert -np.log(combined[np.arange(len(labels)), labels]).mean() <= min(losses) + 1e-4


@pytest.mark.parametrize(
    ("method", "classifier"),
    [("logistic", LogisticRegression(max_iter=1000)), ("knn", KNeighborsClassifier(15))],
)
def test_classifiers_equal_scikit_learn_on_concatenated_posteriors(method, classifier):
    fitted_on, labels = draw(seed=1)
    tested, _ = draw(seed=2)
    concatenate = lambda p: np.concatenate([p["face"], p["mel"]], axis=1)  # noqa: E731
    scale = StandardScaler().fit(concatenate(fitted_on))
    classifier.fit(scale.transform(concatenate(fitted_on)), labels)
    expected = classifier.predict_proba(scale.transform(concatenate(tested)))
    combined = decision_rules.fit(method, fitted_on, labels)(tested)
    np.testing.assert_allclose(combined, expected, atol=1e-8)


def test_a_class_without_fitted_examples_has_probability_zero():
    fitted_on, labels = draw(seed=1)
    kept = labels != 2
    without_class = {row: p[kept] for row, p in fitted_on.items()}
    combined = decision_rules.fit("logistic", without_class, labels[kept])(fitted_on)
    assert combined.shape[1] == 4 and not combined[:, 2].any()


def test_an_unknown_method_is_an_error_that_lists_the_known_ones():
    assert decision_rules.methods() == (*RULES, *FITTED)
    with pytest.raises(errors.UserError, match="unknown fusion method 'bayes'; known: mean, prod"):
        decision_rules.fit("bayes", None, None)


def test_a_registered_rule_is_a_method(monkeypatch):
    monkeypatch.setattr(decision_rules, "RULES", dict(RULES))
    first = lambda posteriors: next(iter(posteriors.values()))  # noqa: E731
    decision_rules.register("first", first)
    np.testing.assert_array_equal(
        decision_rules.fit("first", None, None)({"a": BY_HAND["face"]}), BY_HAND["face"]
    )
    with pytest.raises(ValueError, match="'logistic' is taken"):
        decision_rules.register("logistic", first)

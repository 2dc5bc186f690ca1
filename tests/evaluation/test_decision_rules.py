"""Decision-level fusion against cases worked by hand and against scikit-learn itself."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from mmer_jax import errors
from mmer_jax.evaluation import decision_rules
from mmer_jax.evaluation.decision_rules import FITTED, METHODS, RULES

BY_HAND = {
    "face": np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]]),
    "flow": np.array([[0.1, 0.5, 0.4], [0.3, 0.4, 0.3]]),
    "mel": np.array([[0.5, 0.4, 0.1], [0.1, 0.8, 0.1]]),
}


def posteriors(n=400, classes=4, rows=("face", "mel"), sure=(2.0, 1.0), seed=0):
    """Posteriors of networks that are right the oftener the surer; and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    found = {}
    for row, weight in zip(rows, sure, strict=True):
        logits = rng.normal(size=(n, classes)) + weight * np.eye(classes)[labels]
        found[row] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return found, labels


def test_rules_by_hand():
    np.testing.assert_allclose(decision_rules.mean(BY_HAND)[0], [0.4, 0.4, 0.2])
    products = np.array([0.03, 0.06, 0.004])
    np.testing.assert_allclose(decision_rules.product(BY_HAND)[0], products / products.sum())
    largest = np.array([0.3, 0.8, 0.6])
    np.testing.assert_allclose(decision_rules.maximum(BY_HAND)[1], largest / largest.sum())
    votes = decision_rules.majority(BY_HAND)
    assert votes[0].argmax() == 0  # two against one, though the means are equal
    one_each = {"face": BY_HAND["face"][1:], "flow": BY_HAND["flow"][1:]}
    assert decision_rules.majority(one_each)[0].argmax() == 2  # 0.6 + 0.3 against 0.2 + 0.4


@pytest.mark.parametrize("method", METHODS)
def test_rows_sum_to_one_and_two_networks_are_better_than_the_worse(method):
    fitted_on, labels = posteriors(seed=1)
    tested, truth = posteriors(seed=2)
    combined = decision_rules.fit(method, fitted_on, labels)(tested)
    np.testing.assert_allclose(combined.sum(axis=1), 1)
    assert (combined >= 0).all()
    accuracy = (combined.argmax(axis=1) == truth).mean()
    assert accuracy > (tested["mel"].argmax(axis=1) == truth).mean() + 0.1


@pytest.mark.parametrize("method", FITTED)
def test_the_order_of_the_networks_does_not_matter_when_combining(method):
    fitted_on, labels = posteriors(seed=1)
    tested, _ = posteriors(seed=2)
    combine = decision_rules.fit(method, fitted_on, labels)
    backwards = dict(reversed(tested.items()))
    np.testing.assert_allclose(combine(backwards), combine(tested))


def test_weights_go_to_the_network_that_knows():
    rng = np.random.default_rng(0)
    good, labels = posteriors(rows=("face",), sure=(3.0,))
    noise = rng.dirichlet(np.ones(4), len(labels))
    combine = decision_rules.fit("weighted", {**good, "mel": noise}, labels)
    one_hot = {"face": np.eye(4)[[0]], "mel": np.eye(4)[[1]]}
    assert combine(one_hot)[0, 0] > 0.9
    # On a grid of weights none is better.
    mixture = [w * good["face"] + (1 - w) * noise for w in np.linspace(0, 1, 101)]
    losses = [-np.log(m[np.arange(len(labels)), labels]).mean() for m in mixture]
    found = combine({**good, "mel": noise})
    assert -np.log(found[np.arange(len(labels)), labels]).mean() <= min(losses) + 1e-4


@pytest.mark.parametrize(
    ("method", "classifier"),
    [("logistic", LogisticRegression(max_iter=1000)), ("knn", KNeighborsClassifier(15))],
)
def test_stackers_are_scikit_learns_on_joined_posteriors(method, classifier):
    fitted_on, labels = posteriors(seed=1)
    tested, _ = posteriors(seed=2)
    join = lambda p: np.concatenate([p["face"], p["mel"]], axis=1)  # noqa: E731
    scale = StandardScaler().fit(join(fitted_on))
    classifier.fit(scale.transform(join(fitted_on)), labels)
    expected = classifier.predict_proba(scale.transform(join(tested)))
    found = decision_rules.fit(method, fitted_on, labels)(tested)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_a_class_that_was_never_seen_has_probability_zero():
    fitted_on, labels = posteriors(seed=1)
    seen = labels != 2
    some = {row: p[seen] for row, p in fitted_on.items()}
    combined = decision_rules.fit("logistic", some, labels[seen])(fitted_on)
    assert combined.shape[1] == 4 and not combined[:, 2].any()


def test_an_unknown_method_names_the_known():
    assert set(METHODS) == set(RULES) | set(FITTED)
    with pytest.raises(errors.UserError, match="unknown fusion method 'bayes'; known: mean, prod"):
        decision_rules.fit("bayes", None, None)

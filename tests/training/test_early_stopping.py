"""Early stopping: the best epoch is kept, training ends, and a run that was stopped goes on."""

import dataclasses
import os
import signal

import jax
import numpy as np
import pytest

from mmer_jax import errors, training
from mmer_jax.training import checkpoints, early_stopping, preemption


@pytest.fixture
def config(small_config):
    """Two epochs of patience, and a rate at which the validation subset is soon at its best."""
    small_config.early_stopping.patience = 2
    small_config.optimizer.learning_rate = 3e-2
    return small_config


@pytest.fixture
def validation(task):
    """Examples that other labels stand beside: learning the task makes their loss grow."""
    _, examples = task
    wrong = np.where(np.arange(len(examples)) % 3, examples.label, (examples.label + 1) % 3)
    return dataclasses.replace(examples, label=wrong.astype(np.int32))


@pytest.fixture
def run(train, task, validation):
    """A function (config, folder, budget) -> result, evaluations by epoch."""

    def run(config, folder, budget, **kwargs):
        return train(config, task, folder, (budget,), subsets={"validation": validation}, **kwargs)

    return run


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def entries(losses, accuracies=None):
    return [
        {"epoch": i, "validation_loss": loss, "validation_accuracy": accuracy}
        for i, (loss, accuracy) in enumerate(zip(losses, accuracies or losses, strict=True), 1)
    ]


def test_patience_counts_epochs_since_the_best(config):
    history = entries([3.0, 1.0, 2.0, 1.0, 0.5], [0.1, 0.2, 0.3, 0.3, 0.1])
    best = [early_stopping.best_epoch(config, history[:n]) for n in range(1, 6)]
    assert best == [1, 2, 2, 2, 5]  # of equals the earliest
    over = [early_stopping.is_over(config, history[:n]) for n in range(1, 6)]
    assert over == [False, False, False, True, False]
    assert early_stopping.describe(config, history[:4]) == {"best_epoch": 2, "stopped_epoch": 4}
    config.early_stopping.monitor = "accuracy"
    assert early_stopping.best_epoch(config, history) == 3
    config.early_stopping.patience = 0
    assert early_stopping.describe(config, history) == {}


def test_the_best_epochs_network_is_what_a_run_of_so_many_epochs_gives(
    config, run, validation, tmp_path
):
    stopped, measured = run(config, tmp_path / "stopped", 30)
    losses = [entry["validation_loss"] for entry in stopped.history]
    best = int(np.argmin(losses)) + 1
    assert len(losses) == best + 2 < 30
    assert list(measured) == [30]  # one measurement, under the budget

    config.early_stopping.patience = 0
    plain, at_best = run(config, tmp_path / "plain", best)
    assert_equal(stopped.state.eval_params, plain.state.eval_params)
    assert_equal(measured[30].probabilities, at_best[best].probabilities)
    probabilities = at_best[best].probabilities["validation"]
    assert losses[best - 1] == pytest.approx(
        -np.log(probabilities[np.arange(len(probabilities)), validation.label]).mean(), rel=1e-5
    )
    assert stopped.history[best - 1]["validation_accuracy"] == pytest.approx(
        (probabilities.argmax(1) == validation.label).mean()
    )
    assert not plain.state.best_params and "validation_loss" not in plain.history[0]
    assert not plain.state.ema_params


def test_without_patience_spent_the_budget_ends_it(config, run, tmp_path):
    config.early_stopping.patience = 30
    outcome, measured = run(config, tmp_path, 12)
    assert len(outcome.history) == 12 and list(measured) == [12]
    assert early_stopping.best_epoch(config, outcome.history) < 12
    with pytest.raises(AssertionError):
        assert_equal(outcome.state.eval_params, outcome.state.latest_params)


def test_a_run_stopped_twice_goes_on_to_the_same_end(
    config, run, tmp_path, monkeypatch, without_times
):
    whole, measured = run(config, tmp_path / "whole", 30)
    best = 3 * early_stopping.best_epoch(config, whole.history)  # steps
    for steps_of_this_run in (2, best):  # in the first epoch; then after the best one
        calls = []

        def signalled(self, calls=calls, last=steps_of_this_run):
            calls.append(1)
            if len(calls) == last:
                os.kill(os.getpid(), signal.SIGTERM)
            return False

        with (
            monkeypatch.context() as patch,
            preemption.catch_signals() as stop,
            pytest.raises(training.Interrupted),
        ):
            patch.setattr(checkpoints.Checkpoints, "is_due", signalled)
            run(config, tmp_path / "cut", 30, preemption=stop)
    rest, again = run(config, tmp_path / "cut", 30)
    assert best < rest.resumed_from < int(whole.state.step)
    assert_equal(rest.state, whole.state)
    assert without_times(rest.history) == without_times(whole.history)
    assert_equal(again[30].probabilities, measured[30].probabilities)


def test_the_running_average_is_what_is_monitored_and_kept(config, run, validation, tmp_path):
    config.optimizer.ema_decay = 0.9
    outcome, measured = run(config, tmp_path / "a", 30)
    best = early_stopping.best_epoch(config, outcome.history)
    config.early_stopping.patience = 0
    plain, at_best = run(config, tmp_path / "b", best)
    assert_equal(outcome.state.eval_params, plain.state.ema_params)
    assert_equal(measured[30].probabilities, at_best[best].probabilities)
    probabilities = at_best[best].probabilities["validation"]
    own = probabilities[np.arange(len(validation)), validation.label]
    monitored = outcome.history[best - 1]["validation_loss"]
    assert monitored == pytest.approx(-np.log(own).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("patience", -1, "patience is -1; it is a number of epochs, or 0"),
        ("monitor", "recall", "unknown metric to monitor 'recall'; known: loss, accuracy"),
    ],
)
def test_what_means_nothing_is_refused(config, field, value, message):
    config.early_stopping[field] = value
    with pytest.raises(errors.UserError, match=message):
        training.check(config)

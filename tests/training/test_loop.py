"""The training loop: continuation, preemption, divergence, devices, and what it reports."""

import functools
import os
import signal

import jax
import numpy as np
import pytest

from mmer_jax import training
from mmer_jax.inference.predictor import Predictor
from mmer_jax.training import checkpoints, optimizers, preemption


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_equal_up_to_rounding(a, b):
    """Compares results whose float32 sums have another order.

    Differences of 7e-8 of a loss and 2e-7 of a parameter were seen; an update moves a parameter by
    up to 3e-3.
    """
    for ours, theirs in zip(a.history, b.history, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-5)
        assert ours["train_accuracy"] == theirs["train_accuracy"]
    assert int(a.state.step) == int(b.state.step)
    close = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5)
    jax.tree.map(close, a.state.params, b.state.params)


@pytest.fixture
def save_every_step(small_config):
    small_config.run.checkpoint_seconds = 0.0


def test_four_epochs_equal_two_then_two_bit_for_bit(
    small_config, task, tmp_path, train, save_every_step, without_times
):
    unbroken, evaluations = train(small_config, task, tmp_path / "a", (2, 4))
    half, _ = train(small_config, task, tmp_path / "b", (2,))
    rest, again = train(small_config, task, tmp_path / "b", (2, 4))
    assert (half.resumed_from, int(half.state.step), rest.resumed_from) == (0, 6, 5)
    assert int(rest.state.step) == 4 * 3
    assert_equal(unbroken.state, rest.state)
    assert_equal(evaluations[4].probabilities, again[4].probabilities)
    assert without_times(unbroken.history) == without_times(rest.history)


def test_a_signal_in_mid_epoch_saves_and_the_continuation_is_equal(
    small_config, task, tmp_path, train, save_every_step, monkeypatch
):
    unbroken, _ = train(small_config, task, tmp_path / "a", (3,))

    def send_signal_at_step_four(self):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    calls = []
    monkeypatch.setattr(checkpoints.Checkpoints, "is_due", send_signal_at_step_four)
    with (
        preemption.catch_signals() as stop,
        pytest.raises(training.Interrupted, match="SIGTERM; the state is saved") as interrupted,
    ):
        train(small_config, task, tmp_path / "b", (3,), preemption=stop)
    assert interrupted.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    rest, _ = train(small_config, task, tmp_path / "b", (3,))
    assert rest.resumed_from == 5  # of 9 steps, 3 per epoch
    assert_equal(unbroken.state, rest.state)


def test_a_signal_during_the_last_save_is_kept_for_the_caller(
    small_config, task, tmp_path, train, monkeypatch
):
    close = checkpoints.Checkpoints.close

    def send_signal(self):
        os.kill(os.getpid(), signal.SIGTERM)
        close(self)

    monkeypatch.setattr(checkpoints.Checkpoints, "close", send_signal)
    with preemption.catch_signals() as stop:
        _, evaluations = train(small_config, task, tmp_path, (1,), preemption=stop)
    assert stop.signum == signal.SIGTERM
    assert set(evaluations) == {1}


@pytest.mark.parametrize("number", [2, 4])
def test_the_number_of_devices_does_not_matter(small_config, task, tmp_path, train, number):
    """Dropout is on, and a batch of 30 does not divide by 4."""
    one, of_one = train(small_config, task, tmp_path / "1", (3,))
    devices = jax.devices()[:number]
    several, of_several = train(small_config, task, tmp_path / "n", (3,), devices=devices)
    assert len(devices) == number
    assert_equal_up_to_rounding(one, several)
    np.testing.assert_allclose(
        of_one[3].probabilities["test"], of_several[3].probabilities["test"], atol=1e-5
    )


@pytest.fixture
def every_augmentation(small_config):
    """The small config with every augmentation on."""
    counts = ("time_masks", "frequency_masks", "mixup")
    for field in (f for f in small_config.augment if f not in counts):
        small_config.augment[field] = 0.3
    small_config.augment.time_masks = small_config.augment.frequency_masks = 2
    small_config.augment.mixup, small_config.augment.modality_dropout = 1.0, 0.3
    return small_config


@pytest.mark.parametrize("number", [2, 4])
def test_augmentation_does_not_depend_on_the_number_of_devices(
    every_augmentation, task, tmp_path, train, number
):
    """Batches of 30, 30 and 15, padded to 32 on 4 devices."""
    assert all(every_augmentation.augment.values())
    one, of_one = train(every_augmentation, task, tmp_path / "1", (3,))
    devices = jax.devices()[:number]
    several, of_several = train(every_augmentation, task, tmp_path / "n", (3,), devices=devices)
    assert_equal_up_to_rounding(one, several)
    np.testing.assert_allclose(
        of_one[3].probabilities["test"], of_several[3].probabilities["test"], atol=1e-5
    )


@pytest.mark.parametrize(("before", "after"), [(4, 1), (1, 4)])
def test_a_checkpoint_continues_on_another_number_of_devices(
    small_config, task, tmp_path, train, save_every_step, before, after
):
    unbroken, _ = train(small_config, task, tmp_path / "a", (2,))
    half, _ = train(small_config, task, tmp_path / "b", (1,), devices=jax.devices()[:before])
    rest, _ = train(small_config, task, tmp_path / "b", (1, 2), devices=jax.devices()[:after])
    assert (int(half.state.step), rest.resumed_from) == (3, 2)
    assert_equal_up_to_rounding(unbroken, rest)


def test_it_learns_and_evaluates_every_example_once(small_config, task, tmp_path, train):
    small_config.run.predict_batch = 32  # does not divide 75
    result, evaluations = train(small_config, task, tmp_path, (5, 30))
    assert [e["epoch"] for e in result.history] == list(range(1, 31))
    assert set(evaluations) == {5, 30}
    p = evaluations[30].probabilities["test"]
    assert p.shape == (75, 3)
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-6)
    assert (p.argmax(-1) == task[1].label).mean() > 0.95


def test_each_epoch_has_another_order(small_config, task, tmp_path, train):
    """Of parameters that stay what they are, the gradient of a batch depends on its examples."""
    small_config.model.dropout_features = small_config.model.dropout_output = 0.0
    small_config.optimizer.learning_rate = 1e-30
    result, _ = train(small_config, task, tmp_path, (3,))
    losses, norms = ([e[k] for e in result.history] for k in ("train_loss", "grad_norm"))
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    assert np.ptp(norms) > 1e-3 * norms[0]


def test_seeds_differ(small_config, task, tmp_path, train):
    a, _ = train(small_config, task, tmp_path / "a", (1,))
    b, _ = train(small_config, task, tmp_path / "b", (1,), seed=1)
    assert a.history[0]["train_loss"] != b.history[0]["train_loss"]


def test_history_has_learning_rate_gradient_norm_and_rate(small_config, task, tmp_path, train):
    small_config.optimizer.schedule, small_config.epochs = "cosine", 4
    result, _ = train(small_config, task, tmp_path, (2,))
    rates = [e["learning_rate"] for e in result.history]
    assert rates == [optimizers.learning_rate(small_config, 3, step) for step in (2, 5)]
    assert rates[1] < rates[0] < 3e-3
    assert all(e["grad_norm"] > 0 for e in result.history)
    # The first step of the process, which compiles, is not timed.
    first, second = result.history
    assert first["steps_per_second"] == pytest.approx(2 / first["seconds"])
    assert second["steps_per_second"] == pytest.approx(3 / second["seconds"])


def test_a_loss_that_is_not_finite_stops_the_run(small_config, task, tmp_path, train):
    small_config.optimizer.learning_rate = 1e38
    with pytest.raises(training.TrainingDivergedError, match=r"at step 1\. Try a smaller") as e:
        train(small_config, task, tmp_path, (2,))
    assert "1e+38" in str(e.value)


def test_a_loss_that_is_not_finite_is_never_saved(
    small_config, task, tmp_path, train, save_every_step
):
    small_config.optimizer.learning_rate = 1e38
    with pytest.raises(training.TrainingDivergedError):
        train(small_config, task, tmp_path, (2,))
    assert [p.name for p in tmp_path.iterdir() if p.name.isdigit()] in ([], ["1"])


def test_an_output_that_is_not_finite_is_not_evaluated(
    small_config, task, tmp_path, train, monkeypatch
):
    monkeypatch.setattr(Predictor, "_apply", lambda *a: np.full((75, 3), np.nan))
    with pytest.raises(training.TrainingDivergedError, match="not finite when it was evaluated"):
        train(small_config, task, tmp_path, (1,))


def test_parameters_are_loaded_as_they_were_saved(small_config, task, tmp_path, train):
    result, _ = train(small_config, task, tmp_path / "run", (1,))
    checkpoints.save_params(tmp_path / "params", result.state.params)
    assert_equal(checkpoints.load_params(tmp_path / "params"), result.state.params)


def test_a_profile_is_written_where_it_is_asked_for(small_config, task, tmp_path, train):
    small_config.run.profile = str(tmp_path / "profile")
    train(small_config, task, tmp_path / "run", (4,))
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))

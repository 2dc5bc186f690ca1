"""The loop: continuing, stopping, diverging, devices, and what it reports."""

import functools
import os
import signal

import jax
import numpy as np
import pytest

from mmer_jax import models, training
from mmer_jax.training import checkpoints, step


def run(config, task, folder, epochs, **kwargs):
    arrays, examples = task
    measured = {}
    kwargs.setdefault("on_measure", lambda m: measured.__setitem__(m.epoch, m))
    outcome = training.train(
        config,
        models.build(config),
        arrays,
        examples,
        {"test": examples},
        seed=kwargs.pop("seed", 0),
        measure_epochs=epochs,
        folder=folder,
        **kwargs,
    )
    return outcome, measured


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_equal_but_for_rounding(a, b):
    """Outcomes; float32 sums in another order: 7e-8 of a loss and 2e-7 of a parameter were seen. An
    update moves a parameter by up to 3e-3."""
    for ours, theirs in zip(a.history, b.history, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-5)
        assert ours["train_accuracy"] == theirs["train_accuracy"]
    assert int(a.state.step) == int(b.state.step)
    close = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5)
    jax.tree.map(close, a.state.params, b.state.params)


@pytest.fixture
def one_device():
    return jax.devices()[:1]


@pytest.fixture
def saves_often(small_config):
    small_config.run.checkpoint_seconds = 0.0  # a save a chunk
    small_config.run.chunk_seconds = 1e-6  # a chunk a step


def test_four_epochs_equal_two_then_two_bit_for_bit(
    small_config, task, tmp_path, one_device, saves_often
):
    whole, measured = run(small_config, task, tmp_path / "a", (2, 4), devices_used=one_device)
    half, _ = run(small_config, task, tmp_path / "b", (2,), devices_used=one_device)
    rest, again = run(small_config, task, tmp_path / "b", (2, 4), devices_used=one_device)
    assert (half.resumed_from, int(half.state.step), rest.resumed_from) == (0, 6, 5)
    assert int(rest.state.step) == 4 * 3
    assert_equal(whole.state, rest.state)
    assert_equal(measured[4].probabilities, again[4].probabilities)
    drop = {"seconds"}
    for a, b in zip(whole.history, rest.history, strict=True):
        assert {k: v for k, v in a.items() if k not in drop} == {
            k: v for k, v in b.items() if k not in drop
        }


def test_a_signal_in_the_middle_of_an_epoch_saves_and_the_rest_is_the_same(
    small_config, task, tmp_path, one_device, saves_often, monkeypatch
):
    whole, _ = run(small_config, task, tmp_path / "a", (3,), devices_used=one_device)

    def signal_at_step_four(self):
        if not sent and len(calls) == 3:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))
        calls.append(1)
        return False

    calls, sent = [], []
    monkeypatch.setattr(checkpoints.Checkpoints, "is_due", signal_at_step_four)
    with pytest.raises(training.Interrupted, match="SIGTERM; the state is saved") as stopped:
        run(small_config, task, tmp_path / "b", (3,), devices_used=one_device)
    assert stopped.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    rest, _ = run(small_config, task, tmp_path / "b", (3,), devices_used=one_device)
    assert rest.resumed_from == 5  # of 9 steps, and of 3 an epoch
    assert_equal(whole.state, rest.state)


def test_a_signal_while_the_last_files_are_written_is_handed_on(
    small_config, task, tmp_path, one_device, monkeypatch
):
    close = checkpoints.Checkpoints.close

    def signalled(self):
        os.kill(os.getpid(), signal.SIGTERM)
        close(self)

    monkeypatch.setattr(checkpoints.Checkpoints, "close", signalled)
    outcome, measured = run(small_config, task, tmp_path, (1,), devices_used=one_device)
    assert outcome.signum == signal.SIGTERM
    assert set(measured) == {1}


@pytest.mark.parametrize("number", [2, 4])
def test_the_number_of_devices_does_not_matter(small_config, task, tmp_path, one_device, number):
    """Dropout is on, and a batch of 30 does not divide by 4."""
    one, of_one = run(small_config, task, tmp_path / "1", (3,), devices_used=one_device)
    several = jax.devices()[:number]
    more, of_more = run(small_config, task, tmp_path / "more", (3,), devices_used=several)
    assert len(several) == number
    assert_equal_but_for_rounding(one, more)
    np.testing.assert_allclose(
        of_one[3].probabilities["test"], of_more[3].probabilities["test"], atol=1e-5
    )


@pytest.mark.parametrize(("before", "after"), [(4, 1), (1, 4)])
def test_a_checkpoint_continues_on_another_number_of_devices(
    small_config, task, tmp_path, one_device, saves_often, before, after
):
    """As one device goes on without a break; dropout is on."""
    whole, _ = run(small_config, task, tmp_path / "a", (2,), devices_used=one_device)
    of = lambda number: {"devices_used": jax.devices()[:number]}  # noqa: E731
    half, _ = run(small_config, task, tmp_path / "b", (1,), **of(before))
    rest, _ = run(small_config, task, tmp_path / "b", (1, 2), **of(after))
    assert (int(half.state.step), rest.resumed_from) == (3, 2)
    assert_equal_but_for_rounding(whole, rest)


def test_it_learns_and_measures_every_example_once(small_config, task, tmp_path, one_device):
    small_config.run.predict_batch = 32  # does not divide 75
    outcome, measured = run(small_config, task, tmp_path, (5, 30), devices_used=one_device)
    assert [e["epoch"] for e in outcome.history] == list(range(1, 31))
    assert set(measured) == {5, 30}
    p = measured[30].probabilities["test"]
    assert p.shape == (75, 3)
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-6)
    assert (p.argmax(-1) == task[1].label).mean() > 0.95


def test_seeds_differ(small_config, task, tmp_path, one_device):
    a, _ = run(small_config, task, tmp_path / "a", (1,), devices_used=one_device)
    b, _ = run(small_config, task, tmp_path / "b", (1,), devices_used=one_device, seed=1)
    assert a.history[0]["train_loss"] != b.history[0]["train_loss"]


def test_a_loss_that_is_not_finite_stops_the_run(small_config, task, tmp_path, one_device):
    small_config.optimizer.learning_rate = 1e38
    with pytest.raises(training.TrainingDivergedError, match=r"at step \d+\. Try a smaller") as e:
        run(small_config, task, tmp_path, (2,), devices_used=one_device)
    assert "1e+38" in str(e.value)


def test_an_output_that_is_not_finite_is_not_measured(
    small_config, task, tmp_path, one_device, monkeypatch
):
    make_predict = step.make_predict
    nowhere = lambda *a: lambda *b: make_predict(*a)(*b) * np.nan  # noqa: E731
    monkeypatch.setattr(step, "make_predict", nowhere)
    with pytest.raises(training.TrainingDivergedError, match="not finite when it was measured"):
        run(small_config, task, tmp_path, (1,), devices_used=one_device)


def test_parameters_come_back_as_they_were_saved(small_config, task, tmp_path, one_device):
    outcome, _ = run(small_config, task, tmp_path / "run", (1,), devices_used=one_device)
    checkpoints.save_params(tmp_path / "params", outcome.state.params)
    assert_equal(checkpoints.load_params(tmp_path / "params"), outcome.state.params)

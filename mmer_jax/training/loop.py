"""The loop of one run: from examples and a seed to measured predictions and final parameters."""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from mmer_jax import errors, models
from mmer_jax.datasets.selection import Examples
from mmer_jax.training import (
    batches,
    checkpoints,
    distributed,
    early_stopping,
    feeds,
    normalization,
    optimizers,
    preemption,
    sharding,
    step,
)


class TrainingDivergedError(errors.UserError):
    """The loss stopped being a finite number."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What a run knows at one of its measured epochs.

    Attributes:
      epoch: epochs completed. Of a run that stopped early its last measured one, its budget.
      probabilities: for each measured part float32 [n, classes].
      history: one dict an epoch: epoch, train_loss, train_accuracy, seconds, and under early
        stopping validation_loss and validation_accuracy.
    """

    epoch: int
    probabilities: Mapping[str, np.ndarray]
    history: Sequence[Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
      state: the last one, on the host.
      history: one dict an epoch.
      resumed_from: the step that it started from.
      signum: a signal that asked to stop when nothing was left to do; the caller obeys it.
    """

    state: step.TrainState
    history: Sequence[Mapping[str, float]]
    resumed_from: int
    signum: int | None


def check(config) -> None:
    """Says what is wrong with a config's fields of training before anything is built; UserError."""
    optimizers.make_optimizer(config, 1)
    step.Objective.of(config)
    early_stopping.check(config)


class DeviceMemoryError(errors.UserError):
    """The images, or the network's state, do not fit into a device's memory."""


def _tells_of_full_memory(function):
    @functools.wraps(function)
    def telling(*arguments, **named):
        try:
            return function(*arguments, **named)
        except jax.errors.JaxRuntimeError as e:
            if "RESOURCE_EXHAUSTED" not in str(e):
                raise
            raise DeviceMemoryError(
                "images and network do not fit into the memory of a device: have images read "
                "while training goes on (--config.run.stream=True), or choose smaller ones "
                "(--config.data.size), smaller batches or fewer modalities"
            ) from e

    return telling


@_tells_of_full_memory
def train(
    config,
    model: nn.Module,
    arrays: Mapping[str, np.ndarray],
    train_examples: Examples,
    measured_parts: Mapping[str, Examples],
    *,
    seed: int,
    measure_epochs: Sequence[int],
    folder: pathlib.Path,
    on_measure: Callable[[Measurement], None],
    on_epoch: Callable[[Mapping[str, float]], None] = lambda epoch: None,
    on_steps: Callable[[int, float], None] = lambda steps, seconds: None,
    standard: Mapping[str, normalization.Standard] | None = None,
    devices_used: Sequence[jax.Device] | None = None,
) -> Outcome:
    """Trains one network.

    Args:
      config: of one row (see configs/base.py); `batch_size`, `optimizer`, `augment`, `loss`,
        `early_stopping` and `run` are read here. Where several processes train together all call this
        with the same arguments, and `on_measure` and `on_epoch` are called in the first alone.
      model: called as `model.apply({"params": p}, images, train=...)`.
      arrays: for each modality uint8 [m, s, s, c]; may be memory-mapped, or a pack's records.
      train_examples: what to train on.
      measured_parts: name -> examples whose probabilities are wanted, such as test and validation.
        Early stopping needs "validation".
      seed: of initialization, order and dropout.
      measure_epochs: rising; the last one ends the run.
      folder: where checkpoints of this run live; continued if it holds one.
      on_measure: called at each measured epoch. May be called again for the same epoch, with the
        same numbers, when a run was killed between this call and the next save.
      on_epoch: called after each epoch with its entry of the history.
      on_steps: called after each chunk of steps with their number and seconds.
      standard: for each modality what its images are normalized by, with a group for each image
        of `arrays`; None: images are scaled to 0..1.
      devices_used: all of this process by default.

    Raises:
      TrainingDivergedError: the loss is not finite.
      DeviceMemoryError: a device's memory is too small.
      preemption.Interrupted: SIGTERM or SIGINT came; the state was saved.
    """
    mesh = sharding.make_mesh(devices_used)
    whole, leads = sharding.replicated(mesh), distributed.leads(mesh)

    # Data: what the parts use of the images, in memory or streamed.
    parts = {"train": train_examples, **measured_parts}
    feed = feeds.make_feed(config, arrays, parts, standard or {}, mesh)

    # State: shapes first, so that a restored one goes straight to its place.
    steps_per_epoch = -(-len(train_examples) // config.batch_size)
    optimizer = optimizers.make_optimizer(config, steps_per_epoch)
    objective = step.Objective.of(config)

    init = step.make_init(
        model,
        optimizer,
        tuple(models.registry.batch_shapes(config).items()),
        mesh,
        averaged=objective.average > 0,
        keeps_best=early_stopping.is_on(config),
    )
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole),
        jax.eval_shape(init, np.uint32(seed)),
    )

    # Resume priority: 1. the newest complete checkpoint of this run; 2. initialization.
    saves = checkpoints.Checkpoints(folder, config.run.checkpoint_seconds, mesh)
    state, history = saves.restore(abstract) or (init(np.uint32(seed)), [])
    resumed_from = int(state.step)

    chunk = step.make_chunk(model, optimizer, seed, mesh, objective=objective)
    ask = functools.partial(predict_all, config, feed, step.make_predict(model, mesh), mesh)
    width = sharding.padded_size(config.batch_size, mesh)
    by_batch = sharding.by_batch(mesh, axis=1)
    pace = _Pace(config.run.chunk_seconds)
    seconds = 0.0

    # The order of operations within an epoch matters: the history moves only when the epoch is
    # whole, measuring comes before the save, and both before the next epoch's first step. A run
    # that is killed anywhere thus repeats what it did since the last save, with the same numbers.
    with preemption.noted() as asked:
        try:
            while int(state.step) < measure_epochs[-1] * steps_per_epoch:
                epoch, first = divmod(int(state.step), steps_per_epoch)
                order = batches.batches(
                    len(train_examples), config.batch_size, width, seed=(seed, step.SHUFFLE, epoch)
                )
                started = time.perf_counter()
                for window in feed.windows("train", *order, first):
                    index, weight = jax.device_put((window.index, window.weight), by_batch)
                    while first < window.last:
                        (steps,) = distributed.agreed(mesh, pace.steps)
                        last = min(first + steps, window.last)
                        here = first - window.first, last - window.first
                        state = chunk(state, window.data, index, weight, *here)
                        _check_finite(state, config)  # waits for the device
                        elapsed = time.perf_counter() - started
                        seconds += pace.count(last - first, elapsed)
                        on_steps(last - first, elapsed)
                        first = last
                        if first < steps_per_epoch:
                            _save_if_due(saves, state, history, asked, mesh)
                        started = time.perf_counter()
                history = [*history, _epoch_entry(epoch + 1, state, seconds)]
                seconds = 0.0
                ended = epoch + 1 == measure_epochs[-1]
                if early_stopping.is_on(config):
                    validation = measured_parts["validation"]
                    said = ask(state.latest_params, "validation", validation)
                    history[-1] |= early_stopping.judge(validation.label, said)
                    if early_stopping.best_epoch(config, history) == epoch + 1:
                        state = step.note_best(state)
                    ended = ended or early_stopping.is_over(config, history)
                state = state.replace(
                    loss_sum=0 * state.loss_sum, correct=0 * state.correct, seen=0 * state.seen
                )
                if leads:
                    on_epoch(history[-1])
                if ended or epoch + 1 in measure_epochs:
                    probabilities = {
                        name: ask(state.measured_params, name, part)
                        for name, part in measured_parts.items()
                    }
                    at = measure_epochs[-1] if ended else epoch + 1
                    if leads:
                        on_measure(Measurement(at, probabilities, history))
                if ended:
                    break
                _save_if_due(saves, state, history, asked, mesh)
        finally:
            saves.close()
        (signum,) = distributed.agreed(mesh, asked.received or 0)
    return Outcome(jax.device_get(state), history, resumed_from, signum or None)


def predict(
    config,
    model: nn.Module,
    arrays: Mapping[str, np.ndarray],
    parts: Mapping[str, Examples],
    params: Any,
    *,
    standard: Mapping[str, normalization.Standard] | None = None,
    devices_used: Sequence[jax.Device] | None = None,
) -> dict[str, np.ndarray]:
    """What a trained network says of examples, as `train` measures it.

    Args:
      params: tree of the model's parameters.
      config, model, arrays, parts, standard, devices_used: as in `train`, `parts` its measured
        ones.

    Returns:
      for each part probabilities, float32 [n, classes].
    """
    mesh = sharding.make_mesh(devices_used)
    feed = feeds.make_feed(config, arrays, parts, standard or {}, mesh)
    params = jax.device_put(params, sharding.replicated(mesh))
    ask = functools.partial(predict_all, config, feed, step.make_predict(model, mesh), mesh)
    return {name: ask(params, name, part) for name, part in parts.items()}


def predict_all(config, feed, predict, mesh, params, part, examples) -> np.ndarray:
    """Probabilities of a part's examples in order; the padding of the last batch is cut off."""
    n = len(examples)
    if n == 0:
        return np.zeros((0, len(config.data.emotions)), np.float32)
    width = sharding.padded_size(min(config.run.predict_batch, n), mesh)
    found = [
        np.asarray(predict(params, window.data, window.index[i]))
        for window in feed.windows(part, *batches.batches(n, width, width))
        for i in range(window.last - window.first)
    ]
    probabilities = np.concatenate(found)[:n]
    if not np.isfinite(probabilities).all():
        raise _diverged("a network's output", "when it was measured", config)
    return probabilities


def _check_finite(state, config) -> None:
    if state.diverged_at >= 0:
        raise _diverged("the loss", f"at step {int(state.diverged_at)}", config)


def _diverged(what: str, when: str, config) -> TrainingDivergedError:
    return TrainingDivergedError(
        f"{what} was not finite {when}. Try a smaller learning rate than "
        f"{config.optimizer.learning_rate:g} (--config.optimizer.learning_rate) in another "
        "--workdir."
    )


def _save_if_due(saves, state, history, asked, mesh) -> None:
    received, due = distributed.agreed(mesh, asked.received or 0, saves.is_due())
    if received:
        saves.save(state, history)
        raise preemption.Interrupted(received)
    if due:
        saves.save(state, history)


def _epoch_entry(epoch, state, seconds) -> dict[str, float]:
    seen = float(state.seen)
    return {
        "epoch": epoch,
        "train_loss": float(state.loss_sum) / seen,
        "train_accuracy": float(state.correct) / seen,
        "seconds": seconds,
    }


class _Pace:
    """How many steps a chunk may hold so that it lasts about as long as wanted."""

    def __init__(self, chunk_seconds: float):
        self._chunk_seconds = chunk_seconds
        self._warm = False
        self.steps = 1

    def count(self, steps: int, seconds: float) -> float:
        """Learns from a chunk; returns its seconds, without the first one's, which compiles."""
        if not self._warm:
            self._warm = True
            return 0.0
        self.steps = max(1, int(self._chunk_seconds * steps / max(seconds, 1e-6)))
        return seconds

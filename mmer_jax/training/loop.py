"""The training loop of one network: from examples and a seed to evaluated parameters."""

import contextlib
import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh

from mmer_jax import errors
from mmer_jax.datasets.selection import Examples
from mmer_jax.datasets.storage import ImageArray
from mmer_jax.models import registry
from mmer_jax.training import (
    checkpoints,
    distributed,
    early_stopping,
    input_pipeline,
    optimizers,
    sharding,
    step,
)
from mmer_jax.training.normalization import NO_NORMALIZATION, Normalization
from mmer_jax.training.preemption import Interrupted, Preemption

# Several processes agree on saves and stops once in so many steps; one process checks every step.
_SYNC_STEPS = 10

# The steps of a process that config.run.profile traces: those after the compilation.
_PROFILED_STEPS = range(3, 8)


class TrainingDivergedError(errors.UserError):
    """The loss or a network's output is not finite."""


class DeviceMemoryError(errors.UserError):
    """A batch, or the network's state, does not fit into a device's memory."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The predictions of a network after some epochs.

    Attributes:
      epoch: Number of epochs. For a run that stopped early it is the budget, its last one.
      probabilities: Subset -> float32 [n, classes].
      history: One dict per epoch: epoch, train_loss, train_accuracy, grad_norm, learning_rate,
        seconds, steps_per_second (0 where nothing was timed), and under early stopping
        validation_loss and validation_accuracy.
    """

    epoch: int
    probabilities: Mapping[str, np.ndarray]
    history: Sequence[Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The result of a finished run.

    Attributes:
      state: The last state, on the host.
      history: One dict per epoch, see Evaluation.
      resumed_from: The step that the run started from.
    """

    state: step.TrainState
    history: Sequence[Mapping[str, float]]
    resumed_from: int


def check(config: ml_collections.ConfigDict) -> None:
    """Checks a config's fields of training before anything is built; raises UserError."""
    optimizers.check(config)
    optimizers.make_optimizer(config, 1)
    step.Objective.from_config(config)
    early_stopping.check(config)


def _explain_full_memory(function):
    """Turns XLA's error for a full device memory into one for users."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except jax.errors.JaxRuntimeError as e:
            if "RESOURCE_EXHAUSTED" not in str(e):
                raise
            raise DeviceMemoryError(
                "network and batch do not fit into the memory of a device: choose smaller images "
                "(--config.data.size), smaller batches (--config.batch_size) or fewer modalities"
            ) from e

    return wrapper


@_explain_full_memory
def train(
    config: ml_collections.ConfigDict,
    model: nn.Module,
    arrays: Mapping[str, ImageArray],
    subsets: Mapping[str, Examples],
    *,
    seed: int,
    measure_epochs: Sequence[int],
    folder: pathlib.Path,
    evaluate: Callable[[Any, str], np.ndarray],
    normalization: Normalization = NO_NORMALIZATION,
    devices: Sequence[jax.Device] | None = None,
    preemption: Preemption | None = None,
    on_epoch: Callable[[Mapping[str, float]], None] = lambda entry: None,
    on_evaluation: Callable[[Evaluation], None] = lambda evaluation: None,
) -> TrainResult:
    """Trains one network, or continues its training.

    Processes that train together call this with the same arguments; `on_epoch` and `on_evaluation`
    are called in the primary one only.

    Args:
      config: Config of one row; `batch_size`, `optimizer`, `augment`, `loss`, `compute_dtype`,
        `early_stopping` and `run` are read.
      model: The network, called as `model.apply({"params": p}, inputs, train=...)`.
      arrays: Modality -> uint8 [m, s, s, c]; may be memory-mapped or a pack's records.
      subsets: Subset -> examples. "train" is trained on, all others are evaluated; early stopping
        needs "validation".
      seed: Seed of initialization, order, dropout and augmentation.
      measure_epochs: The epochs after which the network is evaluated, ascending; the last one ends
        the run.
      folder: Folder of the run's checkpoints; a run that has some is continued.
      evaluate: Called as `evaluate(params, subset)`; returns probabilities, float32 [n, classes].
      normalization: Normalization of the inputs.
      devices: The devices to use; all of this process by default.
      preemption: Asks the run to save and stop.
      on_epoch: Called after each epoch with its entry of the history.
      on_evaluation: Called after each evaluation. A run that is killed between this call and the
        next save calls it again for the same epoch, with the same numbers.

    Raises:
      TrainingDivergedError: The loss is not finite.
      DeviceMemoryError: The memory of a device is too small.
      Interrupted: `preemption` asked to stop; the state was saved.
    """
    mesh = sharding.make_mesh(devices)
    replicated = sharding.replicated(mesh)
    preemption = preemption or Preemption()

    # Data: batches are read while the devices compute.
    examples, evaluated = subsets["train"], [name for name in subsets if name != "train"]
    pipeline = input_pipeline.InputPipeline(arrays, normalization.groups, mesh)
    norm_stats = jax.device_put(dict(normalization.stats), replicated)
    steps_per_epoch = input_pipeline.num_batches(len(examples), config.batch_size)

    # State: shapes first, so that a restored state goes straight to its devices.
    optimizer = optimizers.make_optimizer(config, steps_per_epoch)
    objective = step.Objective.from_config(config)
    init = step.compile_init(
        model,
        optimizer,
        tuple(registry.input_shapes(config).items()),
        mesh,
        ema=objective.ema_decay > 0,
        keep_best=early_stopping.is_on(config),
    )
    abstract_state = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated),
        jax.eval_shape(init, np.uint32(seed)),
    )

    # Resume priority: 1. the newest complete checkpoint of this run; 2. initialization.
    saves = checkpoints.Checkpoints(folder, config.run.checkpoint_seconds, mesh)
    state, history = saves.restore(abstract_state) or (init(np.uint32(seed)), [])
    resumed_from = int(state.step)

    train_step = step.compile_train_step(model, optimizer, objective, mesh)
    seed_array = jax.device_put(np.uint32(seed), replicated)
    monitor = StepMonitor(config, steps_per_epoch, mesh)
    save_if_due = functools.partial(_save_if_due, saves, preemption, monitor, mesh)

    # The order of operations within an epoch matters: the history grows only when the epoch is
    # complete, evaluation comes before the save, and both before the next epoch's first step. A run
    # that is killed anywhere repeats what it did since the last save, with the same numbers.
    with contextlib.closing(saves), contextlib.closing(monitor):
        while (number := int(state.step)) < measure_epochs[-1] * steps_per_epoch:
            epoch, first = divmod(number, steps_per_epoch)
            order = input_pipeline.shuffled(len(examples), seed, epoch)
            batches = pipeline.batches(
                examples.indices, examples.label, order, config.batch_size, first
            )
            monitor.start_epoch()
            for i, batch in enumerate(batches, first):
                with jax.transfer_guard("disallow"):
                    state, loss = train_step(state, batch, norm_stats, seed_array)
                monitor.count(epoch * steps_per_epoch + i, loss)
                if i + 1 < steps_per_epoch and (i + 1) % monitor.sync_steps == 0:
                    save_if_due(state, history)
            history = [*history, monitor.end_epoch(state)]
            is_last = epoch + 1 == measure_epochs[-1]
            if early_stopping.is_on(config):
                values = evaluate(state.latest_params, "validation")
                label = subsets["validation"].label
                history[-1] |= early_stopping.validation_metrics(label, values)
                if early_stopping.best_epoch(config, history) == epoch + 1:
                    state = state.keep_best()
                is_last = is_last or early_stopping.is_over(config, history)
            state = state.reset_sums()
            if distributed.is_primary(mesh):
                on_epoch(history[-1])
            if is_last or epoch + 1 in measure_epochs:
                probabilities = {name: evaluate(state.eval_params, name) for name in evaluated}
                at = measure_epochs[-1] if is_last else epoch + 1
                if distributed.is_primary(mesh):
                    on_evaluation(Evaluation(at, probabilities, history))
            if is_last:
                break
            save_if_due(state, history)
    return TrainResult(jax.device_get(state), history, resumed_from)


def _save_if_due(saves, preemption, monitor, mesh, state, history) -> None:
    """Saves when the interval has passed or the run is asked to stop; in all processes or none.

    Raises:
      Interrupted: The run is asked to stop.
    """
    signum, is_due = distributed.sync_max(mesh, preemption.signum, saves.is_due())
    if not (signum or is_due):
        return
    with monitor.paused():
        saves.save(state, history)
    if signum:
        raise Interrupted(signum)


class StepMonitor:
    """Follows the steps of a run: checks their losses and measures their rate.

    Steps are dispatched ahead of the devices. Each step waits for the one before it, so that no
    more than two are queued and a loss that is not finite is noticed after one more step.

    Args:
      config: Config of one row; `optimizer`, `epochs` and `run.profile` are read.
      steps_per_epoch: Batches per epoch.
      mesh: The devices.

    Attributes:
      sync_steps: How often, in steps, to check for saves and stops.
    """

    def __init__(self, config: ml_collections.ConfigDict, steps_per_epoch: int, mesh: Mesh):
        self._config, self._steps_per_epoch = config, steps_per_epoch
        self._profile = config.run.profile if distributed.is_primary(mesh) else None
        self._pending: tuple[int, jax.Array] | None = None
        self._done = 0  # steps of this process
        self._timed, self._start = 0, 0.0
        self.sync_steps = _SYNC_STEPS if distributed.spans_processes(mesh) else 1

    def start_epoch(self) -> None:
        """Starts the clock of an epoch."""
        self._timed, self._start = 0, time.perf_counter()

    def count(self, number: int, loss: jax.Array) -> None:
        """Counts a step that was dispatched, and waits for the one before it.

        Args:
          number: Number of the step, from 0.
          loss: Sum of its losses.

        Raises:
          TrainingDivergedError: The loss of the step before is not finite.
        """
        self._wait()
        self._pending = (number, loss)
        self._done += 1
        if self._done == 1:  # compilation is not part of the rate
            self._wait()
            self._start = time.perf_counter()
        else:
            self._timed += 1
        if self._profile and self._done == _PROFILED_STEPS.start:
            jax.profiler.start_trace(self._profile)
        elif self._profile and self._done == _PROFILED_STEPS.stop:
            self.close()

    def end_epoch(self, state: step.TrainState) -> dict[str, float]:
        """Waits for the last step; returns the epoch's entry of the history."""
        self._wait()
        seconds = time.perf_counter() - self._start if self._timed else 0.0
        sums = {name: float(value) for name, value in jax.device_get(state.sums).items()}
        number = int(state.step)
        return {
            "epoch": number // self._steps_per_epoch,
            "train_loss": sums["loss"] / sums["examples"],
            "train_accuracy": sums["correct"] / sums["examples"],
            "grad_norm": sums["grad_norm"] / self._steps_per_epoch,
            "learning_rate": optimizers.learning_rate(
                self._config, self._steps_per_epoch, number - 1
            ),
            "seconds": seconds,
            "steps_per_second": self._timed / seconds if seconds else 0.0,
        }

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Waits for the last step, and stops the clock while the context is open."""
        self._wait()
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def close(self) -> None:
        """Ends the profiler trace, if one is being written."""
        if self._profile and self._done >= _PROFILED_STEPS.start:
            jax.profiler.stop_trace()
            self._profile = None

    def _wait(self) -> None:
        if self._pending is None:
            return
        number, loss = self._pending
        self._pending = None
        if not np.isfinite(jax.device_get(loss)):
            raise diverged_error("the loss", f"at step {number}", self._config)


def diverged_error(what: str, when: str, config: ml_collections.ConfigDict):
    """Returns the error for a value that is not finite."""
    return TrainingDivergedError(
        f"{what} was not finite {when}. Try a smaller learning rate than "
        f"{config.optimizer.learning_rate:g} (--config.optimizer.learning_rate) in another "
        "--workdir."
    )

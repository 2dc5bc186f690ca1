"""Runs one cell: trains its network, or continues training it, and writes the results."""

import contextlib
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping, Sequence

import jax
import ml_collections
from absl import logging

from mmer_jax import models, training
from mmer_jax.config.cell import Cell, measured_epochs
from mmer_jax.datasets import pack
from mmer_jax.evaluation import metrics
from mmer_jax.experiments.cell_results import CellResults
from mmer_jax.inference.predictor import Predictor
from mmer_jax.models import registry
from mmer_jax.protocols import splits
from mmer_jax.training import distributed, normalization
from mmer_jax.utils.progress import Progress

# The values of an epoch that TensorBoard shows.
_SCALARS = (
    *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
    *("learning_rate", "grad_norm", "steps_per_second"),
)


def run_cell(
    cell: Cell,
    config: ml_collections.ConfigDict,
    data: pack.Pack,
    workdir: pathlib.Path,
    devices: Sequence[jax.Device] | None = None,
    preemption: training.Preemption | None = None,
) -> None:
    """Trains the network of a cell, or continues it, and writes its results.

    If the devices belong to several processes, all of these call this function and the primary
    process writes the results.

    Args:
      cell: The cell; its row is a network.
      config: Config of its row.
      data: The pack of its row.
      workdir: The workdir.
      devices: The devices to use; all of this process by default.
      preemption: Whether the run has been asked to save and stop.

    Raises:
      UserError: The data cannot be split, or the training diverges.
      training.Interrupted: `preemption` asked to stop; the state is saved.
    """
    devices = devices or jax.local_devices()
    is_primary = distributed.is_primary(devices)
    config = _cell_config(cell, config)
    model = models.build(config)
    subsets = splits.split_cell(cell, config, data)
    norm = normalization.compute(config, data, subsets)
    predictor = Predictor(config, devices)
    results = CellResults(cell, config, data, workdir, subsets, devices)
    checkpoints_folder = workdir / "checkpoints" / cell.name
    _log_parameters(config)

    with (
        _tensorboard(workdir / "tensorboard" / cell.name, config, is_primary) as writer,
        _progress(measured_epochs(config)[-1], cell.name, is_primary) as progress,
    ):

        def evaluate(params, subset: str):
            return predictor.probabilities(params, data.arrays, subsets[subset].indices, norm)

        def on_epoch(entry: Mapping[str, float]) -> None:
            progress.skip_to(entry["epoch"] - 1)  # a continued run starts later
            progress.update(1, note=f"loss {entry['train_loss']:.3f}")
            writer.write_scalars(entry["epoch"], {k: entry[k] for k in _SCALARS if k in entry})

        def on_evaluation(evaluation: training.Evaluation) -> None:
            if "test" in subsets:
                measured = metrics.measure(subsets["test"].label, evaluation.probabilities["test"])
                tested = config.split.tested
                scalars = {f"{tested}_{name}": measured[name] for name in ("accuracy", "loss")}
                writer.write_scalars(evaluation.epoch, scalars)
            results.write_evaluation(evaluation)

        try:
            result = training.train(
                config,
                model,
                data.arrays,
                subsets,
                seed=cell.seed,
                measure_epochs=measured_epochs(config),
                folder=checkpoints_folder,
                evaluate=evaluate,
                normalization=norm,
                devices=devices,
                preemption=preemption,
                on_epoch=on_epoch,
                on_evaluation=on_evaluation,
            )
            params = result.state.eval_params
        except training.TrainingDivergedError:
            if cell.learning_rate is None:
                raise
            params = None  # a candidate that diverges loses the search
    if is_primary:
        results.write_params(params)
        shutil.rmtree(checkpoints_folder)


def _cell_config(cell: Cell, config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Returns the config of the cell's row, with the learning rate of a candidate."""
    if cell.learning_rate is None:
        return config
    config = config.copy_and_resolve_references()
    config.optimizer.learning_rate = cell.learning_rate
    return config


def _progress(epochs: int, name: str, is_shown: bool) -> contextlib.AbstractContextManager:
    """Returns the progress of a cell, which only its primary process shows."""
    if is_shown:
        return Progress(epochs, name, "epochs")
    return _silent_progress(epochs, name)


@contextlib.contextmanager
def _silent_progress(epochs: int, name: str):
    with open(os.devnull, "w") as nowhere, Progress(epochs, name, "epochs", nowhere) as progress:
        yield progress


class _NoWriter:
    """A TensorBoard writer that writes nothing."""

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        pass

    def close(self) -> None:
        pass


def _tensorboard(folder: pathlib.Path, config: ml_collections.ConfigDict, is_primary: bool):
    """Returns a context manager of clu's TensorBoard writer, if it is wanted and installed."""
    writer = _NoWriter()
    if config.run.tensorboard and is_primary:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            from clu.metric_writers import summary_writer

            writer = summary_writer.SummaryWriter(os.fspath(folder))
        except ImportError:
            print(
                "no TensorBoard files: they need clu and TensorFlow (pip install mmer-jax[data])",
                file=sys.stderr,
            )
    return contextlib.closing(writer)


def _log_parameters(config: ml_collections.ConfigDict) -> None:
    """Logs an overview of the parameters: name, shape and number of each array."""
    if logging.get_verbosity() < logging.INFO:
        return
    shapes = registry.parameter_shapes(config)
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        logging.info("%-40s %-20s %12d", name, leaf.shape, leaf.size)
    logging.info("%s: %d parameters", config.model.name, registry.count_parameters(shapes))

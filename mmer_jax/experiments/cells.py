"""One cell: a network trained or continued, and what it leaves."""

import contextlib
import json
import os
import pathlib
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence

import jax
import ml_collections
import numpy as np

from mmer_jax import models, training
from mmer_jax.config import identity
from mmer_jax.config.cell import Cell, measured_epochs
from mmer_jax.datasets import pack, selection
from mmer_jax.evaluation import metrics
from mmer_jax.protocols import splits
from mmer_jax.results import predictions, records
from mmer_jax.training import (
    checkpoints,
    distributed,
    early_stopping,
    loop,
    normalization,
    sharding,
)
from mmer_jax.utils import provenance
from mmer_jax.utils.progress import Progress

# Of several cells in training one at a time writes records.
_writing = threading.Lock()


def run_cell(
    cell: Cell,
    config: ml_collections.ConfigDict,
    data: pack.Pack,
    workdir: pathlib.Path,
    devices_used: Sequence[jax.Device] | None = None,
    on_steps: Callable[[int, float], None] = lambda steps, seconds: None,
) -> training.Outcome:
    """Trains or continues one cell; leaves its predictions, records, curve and parameters.

    Where devices of several processes are used, all of them call this, and the first leaves.
    """
    devices_used = devices_used or jax.local_devices()
    trained_on, parts = examples(cell, config, data)
    about = describe(cell, config, data, len(trained_on), parts)
    about["device"] = sharding.describe(devices_used)

    def on_measure(measured: loop.Measurement) -> None:
        leave_network(cell, config, data, workdir, measured, parts, about)

    outcome = train_network(
        cell.name, config, data, trained_on, parts, cell.seed, workdir, on_measure, devices_used,
        on_steps,
    )  # fmt: skip
    if distributed.leads(devices_used):
        if config.run.keep_params:
            checkpoints.save_params(workdir / "params" / cell.name, outcome.state.measured_params)
        finish_network(cell.name, workdir, outcome)
    elif outcome.signum is not None:
        raise training.Interrupted(outcome.signum)
    return outcome


def examples(
    cell: Cell, config, data: pack.Pack
) -> tuple[selection.Examples, dict[str, selection.Examples]]:
    """What a cell's network is trained on; and name -> what it is measured on."""
    parts = splits.split_examples(cell, config, data)
    trained_on = parts.pop("train")
    if config.split.shuffle_labels:
        trained_on = with_shuffled_labels(trained_on, cell.seed)
    if not len(parts["validation"]):
        del parts["validation"]
    return trained_on, parts


def describe(cell: Cell, config, data: pack.Pack, n_train: int, parts) -> dict:
    """What the records of a cell say of it at every measured epoch."""
    return {
        "table": config.table,
        "row": cell.row,
        "modalities": list(config.modalities),
        "protocol": cell.protocol,
        "fold": cell.fold,
        "seed": cell.seed,
        "n_train": n_train,
        "n_validation": len(parts.get("validation", ())),
        "n_test": len(parts["test"]),
        "n_test_clips": len(set(parts["test"].clip.tolist())),
        "emotions": list(config.data.emotions),
        "dataset": _describe_data(config, data),
        "config_digest": identity.digest(config),
        "config": config.to_dict(),
        "device": sharding.describe(jax.local_devices()),
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
    }


def leave_network(
    cell: Cell, config, data, workdir, measured: loop.Measurement, parts, about
) -> None:
    """Writes curve, predictions and record of a network at a measured epoch.

    Args:
      cell, config, data, workdir: of the cell.
      measured: what its network said of the parts.
      parts: name -> examples.
      about: as `describe` gives it, and other fields of the record.
    """
    history = list(measured.history)
    write_json(workdir / "curves" / f"{cell.name}.json", history)
    chosen = early_stopping.describe(config, history)
    figures = {
        "parameters": _count_parameters(config),
        "train_loss": history[chosen.get("best_epoch", 0) - 1]["train_loss"],
        "seconds_per_epoch": float(np.median([e["seconds"] for e in history])),
    }
    leave_record(
        cell, config, data, workdir, measured.epoch, parts, measured.probabilities,
        about | chosen | figures,
    )  # fmt: skip


def leave_record(cell: Cell, config, data, workdir, epoch, parts, probabilities, about) -> None:
    """Writes predictions and record of one measured epoch, unless they are there.

    Args:
      cell, config, data, workdir: of the cell.
      epoch: how many were trained.
      parts: name -> examples with clip, view and label.
      probabilities: for each part float [n, classes].
      about: the record's other fields.
    """
    record = about | {
        "epochs": epoch,
        **metrics.measure(parts["test"].label, probabilities["test"]),
        "validation_accuracy": _accuracy(parts, probabilities, "validation"),
        "paper_accuracy": paper_accuracy(cell, config, data, epoch),
    }
    path = workdir / records.process_file_name(jax.process_index())
    if records.has(records.read(path), records.key(record)):
        return  # measured before the run was killed, and its predictions are there
    # Predictions first: a record without them would be taken for finished work.
    predictions.save(
        workdir / "predictions" / f"{cell.name}.npz",
        epoch,
        {
            name: predictions.Examples(part.clip, part.view, part.label, probabilities[name])
            for name, part in parts.items()
        },
        config.data.emotions,
    )
    with _writing:  # several cells may be in training
        records.append(path, record)


def train_network(
    name: str,
    config,
    data: pack.Pack,
    trained_on,
    parts,
    seed: int,
    workdir,
    on_measure,
    devices_used=None,
    on_steps=lambda steps, seconds: None,
) -> training.Outcome:
    """Trains or continues a network that checkpoints under a name; `finish_network` ends it."""
    devices_used = devices_used or jax.local_devices()
    epochs, leads = measured_epochs(config), distributed.leads(devices_used)
    writer = _tensorboard(workdir / "tensorboard" / name, config.run.tensorboard and leads)
    shown = None if leads else open(os.devnull, "w")  # noqa: SIM115
    with (
        contextlib.closing(writer),
        shown or contextlib.nullcontext(),
        Progress(epochs[-1], name, "epochs", stream=shown) as progress,
    ):

        def on_epoch(entry: Mapping[str, float]) -> None:
            progress.skip_to(entry["epoch"] - 1)  # a continued run begins later
            progress.update(1, note=f"loss {entry['train_loss']:.3f}")
            figures = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
            writer.write_scalars(entry["epoch"], {k: entry[k] for k in figures if k in entry})

        def measure(measured: loop.Measurement) -> None:
            if "test" in parts:  # it is put away while a learning rate is chosen
                told = metrics.measure(parts["test"].label, measured.probabilities["test"])
                writer.write_scalars(
                    measured.epoch, {"test_accuracy": told["accuracy"], "test_loss": told["loss"]}
                )
            on_measure(measured)

        return training.train(
            config,
            models.build(config),
            data.arrays,
            trained_on,
            parts,
            seed=seed,
            measure_epochs=epochs,
            folder=workdir / "checkpoints" / name,
            on_measure=measure,
            on_epoch=on_epoch,
            on_steps=on_steps,
            standard=normalization.of(config, data, trained_on, parts),
            devices_used=devices_used,
        )


def finish_network(name: str, workdir: pathlib.Path, outcome: training.Outcome) -> None:
    """Removes the checkpoints of a network whose results are kept; obeys a late signal."""
    shutil.rmtree(workdir / "checkpoints" / name)
    if outcome.signum is not None:
        raise training.Interrupted(outcome.signum)


def _count_parameters(config) -> int:
    shapes = jax.eval_shape(
        lambda: loop.step.init_state(
            models.build(config),
            loop.optimizers.make_optimizer(config, 1),
            models.registry.batch_shapes(config),
            0,
        )
    )
    return models.count_parameters(shapes.params)


def _describe_data(config, data: pack.Pack) -> dict:
    keys = ("origin", "builder_config", "version", "options", "size", "skipped")
    rows = splits.taking_part(config, data)
    return {
        "name": data.info["dataset"],
        **{key: data.info[key] for key in keys},
        "intensities": list(config.data.intensities),
        "clips": len(set(data.table["clip"][rows].tolist())),
        "subjects": sorted(set(data.table["subject"][rows].tolist())),
        "pack_digest": data.digest(config.modalities),
    }


def paper_accuracy(cell: Cell, config, data: pack.Pack, epoch: int) -> float | None:
    """The printed number, where data set, emotions and protocol are the paper's; else None."""
    paper = config.paper
    if (
        cell.row not in paper.accuracy
        or epoch not in paper.epochs
        or cell.protocol != paper.protocol
        or data.info["origin"] != "recorded"
        or data.info["dataset"] != paper.dataset
        or set(config.data.emotions) != set(paper.emotions)
        or set(config.data.intensities) != set(paper.intensities)
        or config.test_data.dataset is not None
        or config.split.shuffle_labels
        or config.split.equal_training
        or config.split.tested != "test"
    ):
        return None
    return paper.accuracy[cell.row][list(paper.epochs).index(epoch)]


def _accuracy(parts, probabilities, name) -> float | None:
    if name not in parts:
        return None
    return float((probabilities[name].argmax(-1) == parts[name].label).mean())


def with_shuffled_labels(examples: selection.Examples, seed: int) -> selection.Examples:
    """Permutes labels among clips; the examples of one clip keep one label."""
    clips, first, member = np.unique(examples.clip, return_index=True, return_inverse=True)
    order = np.random.default_rng((seed, len(clips))).permutation(len(clips))
    return selection.Examples(
        examples.indices, examples.label[first][order][member], examples.clip, examples.view
    )


def write_json(path: pathlib.Path, value) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value) + "\n")
    temporary.replace(path)


class _NoWriter:
    """Stands in for clu's writer on machines without TensorFlow."""

    def write_scalars(self, step, scalars):
        pass

    def close(self):
        pass


def _tensorboard(folder: pathlib.Path, wanted: bool):
    """clu's TensorBoard writer where TensorFlow is there to write with."""
    if not wanted:
        return _NoWriter()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        from clu.metric_writers import summary_writer
    except ImportError:
        print(
            "no TensorBoard files: they need clu and TensorFlow (pip install mmer-jax[data])",
            file=sys.stderr,
        )
        return _NoWriter()
    return summary_writer.SummaryWriter(os.fspath(folder))

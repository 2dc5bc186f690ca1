"""Writes the results of a cell to its workdir: curve, predictions, records and parameters."""

import functools
import pathlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

import jax
import ml_collections
import numpy as np

from mmer_jax import models
from mmer_jax.config import identity
from mmer_jax.config.cell import Cell, measured_epochs
from mmer_jax.datasets import pack
from mmer_jax.evaluation import metrics, settings
from mmer_jax.inference.workdirs import params_folder
from mmer_jax.models import registry
from mmer_jax.protocols import splits
from mmer_jax.results import predictions, records
from mmer_jax.training import Evaluation, checkpoints, early_stopping, sharding
from mmer_jax.utils import files, provenance

VALIDATION_METRICS = ("validation_accuracy", "validation_loss")

# Cells that train concurrently write their records one at a time.
_record_lock = threading.Lock()


class CellResults:
    """Writes the results of one cell.

    Args:
      cell: The cell.
      config: Config of its row.
      data: The pack.
      workdir: The workdir.
      subsets: Subset -> examples, as `splits.split_cell` returns them.
      devices: The devices that compute the results; all of this process by default.
    """

    def __init__(
        self,
        cell: Cell,
        config: ml_collections.ConfigDict,
        data: pack.Pack,
        workdir: pathlib.Path,
        subsets: splits.Subsets,
        devices: Sequence[jax.Device] | None = None,
    ):
        self.cell, self.config, self.data, self.workdir = cell, config, data, workdir
        self.subsets = subsets
        # Result of a learning-rate candidate; its metrics are None if the training diverged.
        self._candidate: dict[str, Any] = dict.fromkeys(VALIDATION_METRICS) | {"history": []}
        self._devices = devices or jax.local_devices()

    def write_evaluation(self, evaluation: Evaluation, **fields: Any) -> None:
        """Writes curve, predictions and record of a network after some epochs.

        An inner network has predictions only, and a candidate of a learning-rate search has the
        file that `write_params` writes.

        Args:
          evaluation: The predictions and the history.
          fields: Further fields of the record.
        """
        if self.cell.learning_rate is not None:
            label, values = self.subsets["validation"].label, evaluation.probabilities["validation"]
            self._candidate = {
                **early_stopping.validation_metrics(label, values),
                "history": list(evaluation.history),
            }
            return
        examples = {
            name: predictions.Predictions(
                self.subsets[name].clip, self.subsets[name].view, self.subsets[name].label, values
            )
            for name, values in evaluation.probabilities.items()
        }
        if self.cell.inner_fold is not None:
            path = inner_predictions_path(self.workdir, self.cell)
            predictions.save(path, evaluation.epoch, examples, self.config.data.emotions)
            return
        history = list(evaluation.history)
        files.write_json(self.workdir / "curves" / f"{self.cell.name}.json", history)
        stopping = early_stopping.describe(self.config, history)
        self.write_record(
            evaluation.epoch,
            examples,
            **stopping,
            parameters=self._parameters,
            model=registry.describe(models.build(self.config)),
            train_loss=history[stopping.get("best_epoch", 0) - 1]["train_loss"],
            seconds_per_epoch=float(np.median([entry["seconds"] for entry in history])),
            **fields,
        )

    def write_record(
        self, epoch: int, examples: Mapping[str, predictions.Predictions], **fields: Any
    ) -> None:
        """Writes predictions and record after some epochs, unless they exist.

        Args:
          epoch: Number of epochs trained.
          examples: Subset -> predictions; "test" and perhaps "validation".
          fields: Fields of the record that depend on how the predictions were made.
        """
        test, validation = examples["test"], examples.get("validation")
        complete = self._fields | {
            "n_test": len(test),
            "n_test_clips": len(set(test.clip.tolist())),
            "n_validation": 0 if validation is None else len(validation),
            "epochs": epoch,
            **metrics.measure(test.label, test.probabilities),
            "validation_accuracy": None if validation is None else _accuracy(validation),
            "paper_accuracy": self.paper_accuracy(epoch),
            **fields,
        }
        record = cast(records.Record, complete)
        path = self.workdir / records.process_file_name(jax.process_index())
        if records.has_key(records.read(path), records.make_key(record)):
            return  # evaluated before the run was killed
        # Predictions first: a record without them would count as finished.
        predictions.save(
            self.workdir / "predictions" / f"{self.cell.name}.npz",
            epoch,
            examples,
            self.config.data.emotions,
        )
        with _record_lock:
            records.append(path, record)

    def write_params(self, params: Any) -> None:
        """Writes the final parameters, if they are kept.

        Candidates of a learning-rate search keep their parameters until the search is decided.
        Their validation metrics are written here as well, last; they are None if the training
        diverged.

        Args:
          params: Tree of parameters; None where the training of a candidate diverged.
        """
        if self.cell.learning_rate is not None:
            if params is not None:
                checkpoints.save_params(params_folder(self.workdir, self.cell), params)
            files.write_json(candidate_path(self.workdir, self.cell), self._candidate)
        elif self.config.run.keep_params and not self.cell.is_auxiliary:
            checkpoints.save_params(params_folder(self.workdir, self.cell), params)

    def paper_accuracy(self, epoch: int) -> float | None:
        """Returns the accuracy printed in the paper after `epoch` epochs.

        Returns None unless dataset, emotions, intensities and protocol are those of the paper, on
        test examples, with all training examples, and without other recordings of tested speakers.
        """
        config, paper = self.config, self.config.paper
        if (
            self.cell.row not in paper.accuracy
            or epoch not in paper.epochs
            or self.cell.protocol != paper.protocol
            or self.data.info["origin"] != "recorded"
            or self.data.info["dataset"] != paper.dataset
            or set(config.data.emotions) != set(paper.emotions)
            or set(config.data.intensities) != set(paper.intensities)
            or config.test_data.dataset is not None
            or config.split.shuffle_labels
            or config.split.equal_training
            or config.split.leave_out_fold is not None
            or config.data.picked
            or settings.setting_of([config.to_dict()]) == "transductive"
            or config.split.tested != "test"
        ):
            return None
        return paper.accuracy[self.cell.row][list(paper.epochs).index(epoch)]

    @functools.cached_property
    def _fields(self) -> dict[str, Any]:
        """The fields that all records of the cell share."""
        train = self.subsets["train"]
        rows = train.indices[self.config.modalities[0]]  # Rows of the pack's table.
        return {
            "table": self.config.table,
            "row": self.cell.row,
            "modalities": list(self.config.modalities),
            "protocol": self.cell.protocol,
            "fold": self.cell.fold,
            "n_folds": splits.count_folds(self.cell.protocol, self.config, self.data),
            "seed": self.cell.seed,
            "n_train": len(train),
            "n_train_clips": len(set(train.clip.tolist())),
            "n_train_subjects": len(set(self.data.table["subject"][rows].tolist())),
            "emotions": list(self.config.data.emotions),
            "dataset": self._describe_data(),
            "config_digest": identity.digest(self.config),
            "config": self.config.to_dict(),
            "device": sharding.describe(self._devices),
            "versions": provenance.versions(),
            "git_commit": provenance.git_commit(),
        }

    def _describe_data(self) -> dict[str, Any]:
        info, table = self.data.info, self.data.table
        keys = ("origin", "builder_config", "version", "options", "size", "skipped")
        indices = splits.participating(self.config, self.data)
        return {
            "name": info["dataset"],
            **{key: info[key] for key in keys},
            "intensities": list(self.config.data.intensities),
            "clips": len(set(table["clip"][indices].tolist())),
            "subjects": sorted(set(table["subject"][indices].tolist())),
            "pack_digest": self.data.digest(self.config.modalities),
        }

    @functools.cached_property
    def _parameters(self) -> int:
        return registry.count_parameters(registry.parameter_shapes(self.config))


def candidate_path(workdir: pathlib.Path, cell: Cell) -> pathlib.Path:
    """Returns the file of a candidate's validation metrics and history; it is written last."""
    return workdir / "candidates" / f"{cell.name}.json"


def inner_predictions_path(workdir: pathlib.Path, cell: Cell) -> pathlib.Path:
    """Returns the file of the predictions of an inner network."""
    return workdir / "predictions" / "inner" / f"{cell.name}.npz"


def is_finished(
    cell: Cell,
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    found: Sequence[records.Record],
) -> bool:
    """Returns whether a workdir has all results of a cell.

    Args:
      cell: The cell.
      config: Config of its row.
      workdir: The workdir.
      found: The records of the workdir.
    """
    if cell.learning_rate is not None:
        return candidate_path(workdir, cell).exists()
    epochs = measured_epochs(config)
    if cell.inner_fold is not None:
        path = inner_predictions_path(workdir, cell)
        return path.exists() and set(epochs) <= set(predictions.load(path).epochs)
    keys = [
        records.Key(config.table, cell.row, cell.protocol, cell.fold, cell.seed, epoch)
        for epoch in epochs
    ]
    if not all(records.has_key(found, key) for key in keys):
        return False
    if config.fusion.method or not config.run.keep_params:  # a late fusion has no parameters
        return True
    return params_folder(workdir, cell).exists()


def _accuracy(examples: predictions.Predictions) -> float:
    return float((examples.probabilities.argmax(-1) == examples.label).mean())

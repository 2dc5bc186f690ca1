"""Predictions of a record's cell, checked against the record."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmer_jax import errors
from mmer_jax.config.cell import cell_name
from mmer_jax.evaluation import metrics
from mmer_jax.results import predictions, records
from mmer_jax.results.predictions import CellPredictions, Predictions
from mmer_jax.results.records import Record


def cell_of(record: Record) -> str:
    """Returns the name of a record's cell; the files of the cell are named after it."""
    return cell_name(record["row"], record["protocol"], record["fold"], record["seed"])


def load(
    workdir: Path,
    record: Record,
    subset: str,
    read: Callable[[Path], CellPredictions] = predictions.load,
) -> Predictions:
    """Loads the predictions of a record's cell for a subset, and checks them against the record.

    Args:
      workdir: Workdir of the record.
      record: Record of the cell after a number of epochs.
      subset: "test" or "validation".
      read: Function that reads the file of a cell.

    Raises:
      UserError: The predictions are missing or do not belong to the record.
    """
    path = workdir / "predictions" / f"{cell_of(record)}.npz"
    examples = read(path).examples.get((record["epochs"], subset))
    if subset == "validation" and (examples is None or not len(examples.label)):
        raise errors.UserError(
            f"{path} has no validation examples to fit a temperature on; run the row with "
            "--config.split.validation_fraction above 0"
        )
    if examples is None:
        raise errors.UserError(
            f"{path} has no {subset} predictions after {record['epochs']} epochs"
        )
    if subset == "test":
        probabilities, recorded = examples.probabilities, np.array(record["confusion"])
        counts = metrics.confusion(
            examples.label, probabilities.argmax(axis=1), probabilities.shape[1]
        )
        # Rounding to float32 can change the predicted class of a near tie, which moves two counts.
        tolerance = max(2, 0.02 * recorded.sum())
        if counts.shape != recorded.shape or np.abs(counts - recorded).sum() > tolerance:
            raise errors.UserError(
                f"{path} does not hold the predictions that {records.FILE_NAME} was computed from: "
                "the workdir has files of different runs"
            )
    return examples

"""Stored tests of trained networks: what their results have in common.

A kind of test has a file of results in the workdir, one JSON object on a line of its own for each
test of a cell, and the predictions of each test in predictions/<kind>/<cell>/<test>.npz.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmer_jax import errors
from mmer_jax.config.cell import cell_name
from mmer_jax.evaluation import aggregation, metrics
from mmer_jax.results import predictions
from mmer_jax.results.predictions import Predictions

# Fields that a result copies from the cell's record.
RECORD_FIELDS = (
    *("table", "row", "protocol", "fold", "seed", "epochs", "modalities", "emotions"),
    "config_digest",
)

Cells = Mapping[tuple[int, int], Predictions]  # (seed, fold) -> predictions per clip


def describe_cell(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a result that describe the tested cell.

    Args:
      record: Record of the cell.
    """
    return {
        **{field: record[field] for field in RECORD_FIELDS},
        **{field: record[field] for field in ("n_folds",) if field in record},
        "dataset": {
            field: record["dataset"][field] for field in ("name", "origin", "size", "pack_digest")
        },
        "tested": record["config"]["split"]["tested"],
    }


def predictions_path(workdir: Path, kind: str, fields: Mapping[str, Any], test: str) -> Path:
    """Returns the path of the predictions of a test.

    Args:
      workdir: The workdir of the run.
      kind: Name of the kind of test.
      fields: A result, or the record of the cell.
      test: Name of the test.
    """
    cell = cell_name(*(fields[field] for field in ("row", "protocol", "fold", "seed")))
    return workdir / "predictions" / kind / cell / f"{test}.npz"


def load(path: Path, result: Mapping[str, Any], file_name: str) -> Predictions:
    """Loads the predictions of a result, one example per clip, sorted by clip.

    Args:
      path: Path of the predictions.
      result: The result.
      file_name: Name of the file of results, for the error.

    Raises:
      UserError: The predictions do not have the confusion matrix of the result.
    """
    examples = predictions.load(path).examples.get((result["epochs"], "test"))
    if examples is not None:
        examples = aggregation.by_clip(examples)
        counts = metrics.confusion(
            examples.label, examples.probabilities.argmax(1), len(result["emotions"])
        )
        # Probabilities are stored as float32 and averaged again here: one tie may break otherwise.
        if np.abs(counts - np.array(result["confusion"])).sum() <= 2:
            order = np.argsort(examples.clip)
            fields = (field.name for field in dataclasses.fields(Predictions))
            return Predictions(*(getattr(examples, field)[order] for field in fields))
    raise errors.UserError(
        f"{path} does not hold the predictions that {file_name} was computed from: the files come "
        "from different runs"
    )


def group_by_row(
    results: Iterable[dict[str, Any]], protocols: Sequence[str] = (), rows: Sequence[str] = ()
) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Groups results by (table, protocol, row), and keeps those after a row's most epochs.

    Args:
      results: The results.
      protocols: Names of protocols; all if empty.
      rows: Names of config rows; all if empty.
    """
    grouped: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for result in results:
        if (not protocols or result["protocol"] in protocols) and (
            not rows or result["row"] in rows
        ):
            name = (result["table"], result["protocol"], result["row"])
            grouped.setdefault(name, []).append(result)
    for name, members in grouped.items():
        epochs = max(result["epochs"] for result in members)
        grouped[name] = [result for result in members if result["epochs"] == epochs]
    return grouped


def join_folds(cells: Cells) -> list[Predictions]:
    """Returns the examples of each seed with all folds joined; seeds and folds ascend."""
    seeds = sorted({seed for seed, _ in cells})
    return [
        aggregation.concatenate([cells[cell] for cell in sorted(cells) if cell[0] == seed])
        for seed in seeds
    ]


def is_correct(examples: Predictions) -> np.ndarray:
    """Returns 1 for each correctly classified example and 0 for the others, float64 [n]."""
    return (examples.probabilities.argmax(axis=1) == examples.label).astype(np.float64)

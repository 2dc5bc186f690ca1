"""Robustness results: WORKDIR/robustness.jsonl, and the curves computed from it.

The file has one result, a JSON object on a line of its own, for each (cell, epochs, corruption,
level). Results are appended and never rewritten. The predictions of each test are in
predictions/robustness/<cell>/<condition>.npz, so that figures and intervals need no network.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.evaluation import aggregation, intervals, metrics, settings
from mmer_jax.results import predictions, records
from mmer_jax.results.predictions import Predictions
from mmer_jax.robustness import stored
from mmer_jax.robustness.conditions import UNTOUCHED, Condition

FILE_NAME = "robustness.jsonl"

REQUIRED = (
    *stored.RECORD_FIELDS,
    "corruption",
    "level",
    "altered",
    "dataset",
    "tested",
    "n_test",
    "n_test_clips",
    "confusion",
    "accuracy",
    "unweighted_average_recall",
)


class Key(NamedTuple):
    """Fields that identify a result: a cell after a number of epochs, and a condition."""

    table: str
    row: str
    protocol: str
    fold: int
    seed: int
    epochs: int
    corruption: str
    level: float | str | None


def make_key(fields: Mapping[str, Any], condition: Condition | None = None) -> Key:
    """Returns the key of a result.

    Args:
      fields: Fields of the result; or the record of a cell, if `condition` is given.
      condition: Condition under which the cell is tested; None if `fields` includes the condition.
    """
    if condition is not None:
        fields = {**fields, **condition._asdict()}
    return Key(*(fields[field] for field in Key._fields))


def get_condition(result: Mapping[str, Any]) -> Condition:
    """Returns the condition that a result was measured under."""
    return Condition(result["corruption"], result["level"])


def save(
    workdir: Path,
    record: Mapping[str, Any],
    condition: Condition,
    altered: Sequence[str],
    examples: Predictions,
    details: Mapping[str, Any],
) -> None:
    """Writes a cell's predictions under a condition, and appends their metrics to the results file.

    Args:
      workdir: The workdir of the run.
      record: Record of the cell.
      condition: Condition of the test.
      altered: Modalities that the condition alters.
      examples: The test examples with their predicted probabilities.
      details: Further fields of the result, such as device and versions.
    """
    # Predictions are saved first: a result without predictions would count as finished.
    path = _predictions_path(workdir, record, condition)
    predictions.save(path, record["epochs"], {"test": examples}, record["emotions"])
    by_clip = aggregation.by_clip(examples)
    result = {
        **stored.describe_cell(record),
        **condition._asdict(),
        "altered": list(altered),
        "n_test": len(examples),
        "n_test_clips": len(by_clip),
        **metrics.measure(by_clip.label, by_clip.probabilities),
        **details,
    }
    records.append_line(workdir / FILE_NAME, result)


def read_results(workdir: Path) -> list[dict[str, Any]]:
    """Reads the robustness results of a workdir.

    Args:
      workdir: Workdir of the run.

    Returns:
      One dict per key (see `make_key`); if a key was measured more than once, the last one written.
      Empty if nothing has been measured.

    Raises:
      UserError: A line of the file is not a robustness result.
    """
    results = records.read_lines(workdir / FILE_NAME, REQUIRED)
    return list({make_key(result): result for result in results}.values())


@dataclasses.dataclass(frozen=True)
class Point:
    """Metrics of a config row under one condition, per clip, over seeds and folds.

    Attributes:
      condition: The condition.
      accuracy: In 0..1.
      recall: Unweighted average recall, in 0..1.
      drop: Accuracy of the same networks on untouched inputs minus `accuracy`, in -1..1, paired
        over clips.
      cells: Number of networks.
    """

    condition: Condition
    accuracy: intervals.Interval
    recall: intervals.Interval
    drop: intervals.Interval
    cells: int


@dataclasses.dataclass(frozen=True)
class Curve:
    """Metrics of a config row under one protocol, for all conditions that it was tested under.

    Attributes:
      table: Name of the table that the row belongs to.
      protocol: Name of the protocol.
      row: Name of the row.
      results: Results that the points are computed from.
      points: Condition -> its metrics, in the order of testing.
      groups: Groups of the test clips, which the intervals are over.
      chance: Accuracy of always predicting the most frequent emotion, in 0..1.
      title: Name of the row, with the labels that its results must not be shown without.
      caveats: Caveats of transductive or validation results.
    """

    table: str
    protocol: str
    row: str
    results: tuple[dict[str, Any], ...]
    points: dict[Condition, Point]
    groups: aggregation.Groups
    chance: float
    title: str
    caveats: tuple[str, ...]

    def get_points(self, corruption: str) -> list[Point]:
        """Returns the points of one corruption, by its name, in the order of testing."""
        return [p for c, p in self.points.items() if c.corruption == corruption]


def compute_curves(
    workdir: Path, protocols: Sequence[str] = (), rows: Sequence[str] = ()
) -> list[Curve]:
    """Computes the curves of a workdir, for each row after its largest number of epochs.

    Args:
      workdir: The workdir of the run.
      protocols: Names of protocols; all if empty.
      rows: Names of config rows; all if empty.

    Returns:
      One curve for each (table, protocol, row) that has results.

    Raises:
      UserError: The predictions of a result are missing, or belong to another result.
    """
    grouped = stored.group_by_row(read_results(workdir), protocols, rows)
    cell_records = records.read(workdir / records.FILE_NAME)
    return [
        _compute_curve(workdir, *name, results, cell_records) for name, results in grouped.items()
    ]


def _compute_curve(
    workdir: Path,
    table: str,
    protocol: str,
    row: str,
    results: list[dict],
    cell_records: Sequence[records.Record],
) -> Curve:
    members = [r for r in cell_records if (r["row"], r["protocol"]) == (row, protocol)]
    setting = settings.setting_of(record["config"] for record in members)  # no late fusion
    tested = results[0]["tested"]
    by_condition: dict[Condition, dict[tuple[int, int], Predictions]] = {}
    for result in results:
        condition = get_condition(result)
        path = _predictions_path(workdir, result, condition)
        cells = by_condition.setdefault(condition, {})
        cells[result["seed"], result["fold"]] = stored.load(path, result, FILE_NAME)
    untouched = by_condition[UNTOUCHED]  # always tested first
    dataset = results[0]["dataset"]["name"]
    counts = np.sum([result["confusion"] for result in results], axis=0).sum(axis=1)
    return Curve(
        table,
        protocol,
        row,
        tuple(results),
        {
            condition: _compute_point(
                condition, cells, {cell: untouched[cell] for cell in cells}, dataset
            )
            for condition, cells in by_condition.items()
        },
        aggregation.groups(stored.join_folds(untouched), dataset),
        float(counts.max() / counts.sum()),
        settings.add_labels(row, setting, tested),
        tuple(settings.describe([(setting, tested, members)])),
    )


def _compute_point(
    condition: Condition,
    cells: stored.Cells,
    untouched: stored.Cells,
    dataset: str,
) -> Point:
    """Computes a point; `cells` and `untouched` have the same keys."""
    tests, baselines = stored.join_folds(cells), stored.join_folds(untouched)
    groups = aggregation.groups(tests, dataset).labels
    drops = [
        stored.is_correct(b) - stored.is_correct(t) for b, t in zip(baselines, tests, strict=True)
    ]
    return Point(
        condition,
        intervals.jackknife(intervals.STATISTICS["accuracy"], tests, groups),
        intervals.jackknife(intervals.STATISTICS["unweighted_average_recall"], tests, groups),
        intervals.jackknife_difference(drops, groups),
        len(cells),
    )


def _predictions_path(workdir: Path, fields: Mapping[str, Any], condition: Condition) -> Path:
    return stored.predictions_path(workdir, "robustness", fields, condition.name)

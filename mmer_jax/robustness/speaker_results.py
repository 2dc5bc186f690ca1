"""Results of tests with few recordings of the tested speaker: WORKDIR/speaker_recordings.jsonl.

The file has one result, a JSON object on a line of its own, for each (cell, epochs, draw). Results
are appended and never rewritten. The predictions of each test are in
predictions/speaker_recordings/<cell>/<draw>.npz.
"""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.evaluation import aggregation, intervals, metrics
from mmer_jax.results import predictions, records
from mmer_jax.results.predictions import Predictions
from mmer_jax.robustness import stored

FILE_NAME = "speaker_recordings.jsonl"

# What the other recordings are drawn from: all of the speaker's, or those with the clip's emotion.
RANDOM, ONE_EMOTION = "random", "one_emotion"


class Draw(NamedTuple):
    """A draw of recordings of the tested speaker.

    Attributes:
      kind: RANDOM or ONE_EMOTION.
      recordings: Number of recordings, the test clip included; None for all.
      number: Number of the draw, from 0.
    """

    kind: str
    recordings: int | None
    number: int

    @property
    def name(self) -> str:
        """Name for files, such as "random-4-draw0" or "one_emotion-all-draw0"."""
        return f"{self.kind}-{self.recordings or 'all'}-draw{self.number}"


REQUIRED = (
    *stored.RECORD_FIELDS,
    *Draw._fields,
    "dataset",
    "tested",
    "used",
    "n_test_clips",
    "confusion",
)


class Key(NamedTuple):
    """Fields that identify a result: a cell after a number of epochs, and a draw."""

    table: str
    row: str
    protocol: str
    fold: int
    seed: int
    epochs: int
    kind: str
    recordings: int | None
    number: int


def make_key(fields: Mapping[str, Any], draw: Draw | None = None) -> Key:
    """Returns the key of a result.

    Args:
      fields: Fields of the result; or the record of a cell, if `draw` is given.
      draw: The draw; None if `fields` includes it.
    """
    if draw is not None:
        fields = {**fields, **draw._asdict()}
    return Key(*(fields[field] for field in Key._fields))


def save(
    workdir: Path,
    record: Mapping[str, Any],
    draw: Draw,
    examples: Predictions,
    details: Mapping[str, Any],
) -> None:
    """Writes a cell's predictions under a draw, and appends their metrics to the results file.

    Args:
      workdir: The workdir of the run.
      record: Record of the cell.
      draw: The draw.
      examples: The test examples with their predicted probabilities.
      details: Further fields of the result: `used`, the smallest and largest number of recordings
        per test clip, device and versions.
    """
    # Predictions are saved first: a result without predictions would count as finished.
    path = _predictions_path(workdir, record, draw)
    predictions.save(path, record["epochs"], {"test": examples}, record["emotions"])
    by_clip = aggregation.by_clip(examples)
    predicted = by_clip.probabilities.argmax(axis=1)
    counts = metrics.confusion(by_clip.label, predicted, len(record["emotions"]))
    result = {
        **stored.describe_cell(record),
        **draw._asdict(),
        "n_test_clips": len(by_clip),
        "accuracy": metrics.accuracy(counts),
        "confusion": counts,
        **details,
    }
    records.append_line(workdir / FILE_NAME, result)


def read_results(workdir: Path) -> list[dict[str, Any]]:
    """Reads the results of a workdir.

    Args:
      workdir: Workdir of the run.

    Returns:
      One dict per key (see `make_key`); if a key was measured more than once, the last one written.
      Empty if nothing has been measured.

    Raises:
      UserError: A line of the file is not such a result.
    """
    results = records.read_lines(workdir / FILE_NAME, REQUIRED)
    return list({make_key(result): result for result in results}.values())


@dataclasses.dataclass(frozen=True)
class Point:
    """Accuracy of a row with one number of recordings per clip, over draws, seeds and folds.

    Attributes:
      kind: RANDOM or ONE_EMOTION.
      recordings: Number of recordings, the test clip included; None for all.
      used: Smallest and largest number of recordings that a test clip had.
      accuracy: In 0..1. `per_seed` has one value for each seed and draw.
      drop: Accuracy of the same networks with all recordings minus `accuracy`, in -1..1, paired
        over clips.
      spread: Sample standard deviation over draws of the mean over seeds; None for one draw.
      draws: Number of draws.
      networks: Number of networks.
    """

    kind: str
    recordings: int | None
    used: tuple[int, int]
    accuracy: intervals.Interval
    drop: intervals.Interval
    spread: float | None
    draws: int
    networks: int


@dataclasses.dataclass(frozen=True)
class Curve:
    """Accuracy of a config row under one protocol, by the number of recordings.

    Attributes:
      table: Name of the table that the row belongs to.
      protocol: Name of the protocol.
      row: Name of the row.
      results: Results that the points are computed from.
      points: The points, RANDOM first and with ascending numbers of recordings; all come last.
      groups: The groups of test clips that intervals are over.
    """

    table: str
    protocol: str
    row: str
    results: tuple[dict[str, Any], ...]
    points: tuple[Point, ...]
    groups: aggregation.Groups


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
    return [_compute_curve(workdir, *name, results) for name, results in grouped.items()]


def _compute_curve(
    workdir: Path, table: str, protocol: str, row: str, results: list[dict]
) -> Curve:
    by_draw: dict[Draw, dict[tuple[int, int], Predictions]] = {}
    for result in results:
        draw = Draw(*(result[field] for field in Draw._fields))
        cells = by_draw.setdefault(draw, {})
        path = _predictions_path(workdir, result, draw)
        cells[result["seed"], result["fold"]] = stored.load(path, result, FILE_NAME)
    everything = by_draw.get(Draw(RANDOM, None, 0), {})
    dataset = results[0]["dataset"]["name"]
    levels = {(result["kind"], result["recordings"]) for result in results}
    points = []
    for kind, number in sorted(levels, key=lambda level: (level[0] != RANDOM, level[1] or np.inf)):
        members = [r for r in results if (r["kind"], r["recordings"]) == (kind, number)]
        used = (min(r["used"][0] for r in members), max(r["used"][1] for r in members))
        draws = [cells for draw, cells in by_draw.items() if draw[:2] == (kind, number)]
        if all(set(cells) <= set(everything) for cells in draws):  # else interrupted
            points.append(_compute_point(kind, number, used, draws, everything, dataset))
    tests = stored.join_folds(next(iter(by_draw.values())))
    groups = aggregation.groups(tests, dataset)
    return Curve(table, protocol, row, tuple(results), tuple(points), groups)


def _compute_point(
    kind: str,
    number: int | None,
    used: tuple[int, int],
    draws: Sequence[stored.Cells],
    everything: stored.Cells,
    dataset: str,
) -> Point:
    tests, baselines = [], []
    for cells in draws:
        tests += stored.join_folds(cells)
        baselines += stored.join_folds({cell: everything[cell] for cell in cells})
    groups = aggregation.groups(tests, dataset).labels
    correct = [stored.is_correct(test) for test in tests]
    drops = [stored.is_correct(b) - c for b, c in zip(baselines, correct, strict=True)]
    per_draw = [
        statistics.fmean(stored.is_correct(test).mean() for test in stored.join_folds(cells))
        for cells in draws
    ]
    return Point(
        kind,
        number,
        used,
        intervals.jackknife(intervals.STATISTICS["accuracy"], tests, groups),
        intervals.jackknife_difference(drops, groups),
        statistics.stdev(per_draw) if len(draws) > 1 else None,
        len(draws),
        min(len(cells) for cells in draws),
    )


def _predictions_path(workdir: Path, fields: Mapping[str, Any], draw: Draw) -> Path:
    return stored.predictions_path(workdir, "speaker_recordings", fields, draw.name)

"""WORKDIR/robustness.jsonl, and the curves that follow from it.

One JSON object a line for each (cell, epochs, corruption, level), appended and never rewritten.
What the network said lies beside it, in predictions/robustness/<cell>/<condition>.npz, so that
figures and intervals never need the network again.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmer_jax import errors
from mmer_jax.config.cell import cell_name
from mmer_jax.evaluation import aggregation, intervals, metrics
from mmer_jax.results import predictions, records
from mmer_jax.results.predictions import Examples
from mmer_jax.robustness.conditions import UNTOUCHED, Condition

FILE_NAME = "robustness.jsonl"

# Taken over from the cell's record.
OF_RECORD = (
    "table",
    "row",
    "protocol",
    "fold",
    "seed",
    "epochs",
    "modalities",
    "emotions",
    "config_digest",
)
REQUIRED = (
    *OF_RECORD,
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
    """What a line is the result of."""

    table: str
    row: str
    protocol: str
    fold: int
    seed: int
    epochs: int
    corruption: str
    level: float | str | None


def key(line: Mapping[str, Any], condition: Condition | None = None) -> Key:
    """The key of a line; or of a cell's record under a condition."""
    said = condition._asdict() if condition else line
    return Key(*({**line, **said}[field] for field in Key._fields))


def condition_of(line: Mapping[str, Any]) -> Condition:
    """The condition that a line is about."""
    return Condition(line["corruption"], line["level"])


def save(
    workdir: Path,
    record: Mapping[str, Any],
    condition: Condition,
    altered: Sequence[str],
    said: Examples,
    about: Mapping[str, Any],
) -> None:
    """Writes what a cell's network said under a condition, and its line.

    Args:
      workdir: of the run.
      record: of the cell.
      condition: which.
      altered: modalities that the condition alters.
      said: one example a test example.
      about: other fields of the line: how it came about.
    """
    # Predictions first: a line without them would be taken for finished work.
    path = _predictions(workdir, record, condition)
    predictions.save(path, record["epochs"], {"test": said}, record["emotions"])
    decided = aggregation.by_clip(said)
    measured = metrics.measure(decided.label, decided.probabilities)
    del measured["accuracy_interval"]  # clips are not independent: `curves` has intervals
    line = {
        **{field: record[field] for field in OF_RECORD},
        **condition._asdict(),
        "altered": list(altered),
        "dataset": {
            field: record["dataset"][field] for field in ("name", "origin", "size", "pack_digest")
        },
        "tested": record["config"]["split"]["tested"],
        "n_test": len(said),
        "n_test_clips": len(decided),
        **measured,
        **about,
    }
    records.append_line(workdir / FILE_NAME, line)


def read(workdir: Path) -> list[dict[str, Any]]:
    """The lines of a workdir, the last of each key; none if it was never tested so.

    Raises:
      UserError: a line that is none.
    """
    lines = records.read_lines(workdir / FILE_NAME, REQUIRED)
    return list({key(line): line for line in lines}.values())


@dataclasses.dataclass(frozen=True)
class Point:
    """A row under one condition, per clip, over seeds and folds.

    Attributes:
      condition: which.
      accuracy, recall: in 0..1; recall is the unweighted average recall.
      fall: of the accuracy, from that of the same networks on untouched inputs; in 0..1, below 0
        where it rose.
      cells: how many networks.
    """

    condition: Condition
    accuracy: intervals.Interval
    recall: intervals.Interval
    fall: intervals.Interval
    cells: int


@dataclasses.dataclass(frozen=True)
class Curve:
    """A row under one protocol and all conditions that it was tested under.

    Attributes:
      table, protocol, row: which row.
      lines: what it is made of.
      points: by condition, in the order of testing.
      units: what the intervals resample: "subject" or "clip".
      chance: accuracy of always naming the commonest emotion.
    """

    table: str
    protocol: str
    row: str
    lines: tuple[dict[str, Any], ...]
    points: dict[Condition, Point]
    units: str
    chance: float

    def of(self, corruption: str) -> list[Point]:
        """Its points of one corruption."""
        return [p for c, p in self.points.items() if c.corruption == corruption]


def curves(workdir: Path, protocols: Sequence[str] = (), rows: Sequence[str] = ()) -> list[Curve]:
    """The curves of a workdir; each row after most of its epochs.

    Args:
      workdir: of the run.
      protocols, rows: names of those wanted; none for all.

    Raises:
      UserError: predictions that are not there, or not those of the lines.
    """
    grouped: dict[tuple[str, str, str], list[dict]] = {}
    for line in read(workdir):
        if (not protocols or line["protocol"] in protocols) and (not rows or line["row"] in rows):
            name = (line["table"], line["protocol"], line["row"])
            grouped.setdefault(name, []).append(line)
    return [_curve(workdir, *name, lines) for name, lines in grouped.items()]


def _curve(workdir: Path, table: str, protocol: str, row: str, lines: list[dict]) -> Curve:
    most = max(line["epochs"] for line in lines)
    by_condition: dict[Condition, dict[tuple[int, int], Examples]] = {}
    lines = [line for line in lines if line["epochs"] == most]
    for line in lines:
        cells = by_condition.setdefault(condition_of(line), {})
        cells[line["seed"], line["fold"]] = _load(workdir, line)
    untouched = by_condition[UNTOUCHED]  # tested before any other
    dataset = lines[0]["dataset"]["name"]
    counts = np.sum([line["confusion"] for line in lines], axis=0).sum(axis=1)
    return Curve(
        table,
        protocol,
        row,
        tuple(lines),
        {
            condition: _point(condition, cells, {cell: untouched[cell] for cell in cells}, dataset)
            for condition, cells in by_condition.items()
        },
        aggregation.groups(list(untouched.values()), dataset).name,
        float(counts.max() / counts.sum()),
    )


def _point(condition: Condition, cells: Mapping, untouched: Mapping, dataset: str) -> Point:
    """A cell is (seed, fold); both mappings have the same cells."""
    tests, before = _by_seed(cells), _by_seed(untouched)
    units = aggregation.groups(tests, dataset).labels
    falls = [_right(b) - _right(t) for b, t in zip(before, tests, strict=True)]
    return Point(
        condition,
        intervals.bootstrap(intervals.STATISTICS["accuracy"], tests, units),
        intervals.bootstrap(intervals.STATISTICS["unweighted_average_recall"], tests, units),
        intervals.bootstrap_sums(
            intervals.mean_of_sums,
            [np.stack([fall, np.ones_like(fall)], axis=1) for fall in falls],
            units,
        ),
        len(cells),
    )


def _by_seed(cells: Mapping[tuple[int, int], Examples]) -> list[Examples]:
    seeds = sorted({seed for seed, _ in cells})
    return [
        aggregation.concatenate([cells[cell] for cell in sorted(cells) if cell[0] == seed])
        for seed in seeds
    ]


def _right(examples: Examples) -> np.ndarray:
    return (examples.probabilities.argmax(axis=1) == examples.label).astype(np.float64)


def _load(workdir: Path, line: Mapping[str, Any]) -> Examples:
    """One example a clip, in the order of the clips' names; checked against the line."""
    path = _predictions(workdir, line, condition_of(line))
    found = predictions.load(path).examples.get((line["epochs"], "test"))
    if found is not None:
        found = aggregation.by_clip(found)
        counts = metrics.confusion(
            found.label, found.probabilities.argmax(1), len(line["emotions"])
        )
        # Saved as float32 and averaged again: a tie may be decided otherwise.
        if np.abs(counts - np.array(line["confusion"])).sum() <= 2:
            order = np.argsort(found.clip)
            fields = (field.name for field in dataclasses.fields(Examples))
            return Examples(*(getattr(found, field)[order] for field in fields))
    raise errors.UserError(
        f"{path} does not hold the predictions that {FILE_NAME} tells of: files of different runs "
        "lie in this folder"
    )


def _predictions(workdir: Path, of: Mapping[str, Any], condition: Condition) -> Path:
    cell = cell_name(*(of[field] for field in ("row", "protocol", "fold", "seed")))
    return workdir / "predictions" / "robustness" / cell / f"{condition.name}.npz"

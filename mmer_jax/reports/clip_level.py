"""Clip-level results as pages show them: metrics, paired tests, calibration, the worst errors."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import markupsafe

from mmer_jax import errors
from mmer_jax.evaluation import aggregation, calibration, comparable, significance
from mmer_jax.evaluation.comparable import Pair, Row
from mmer_jax.evaluation.summary import percent
from mmer_jax.reports import plots
from mmer_jax.results import records

# Column title -> (key of intervals.STATISTICS, how its values are formatted).
METRICS: dict[str, tuple[str, Callable[[float], str]]] = {
    "accuracy": ("accuracy", percent),
    "UAR": ("unweighted_average_recall", percent),
    "macro F1": ("macro_f1", percent),
    "NLL": ("negative_log_likelihood", "{:.2f}".format),
    "ECE": ("expected_calibration_error", percent),
}


class Cell(NamedTuple):
    """A cell of a sortable table.

    Attributes:
      text: Main text.
      small: Lines in small type below it.
      value: Value that the column is sorted by.
    """

    text: str
    small: tuple[str, ...] = ()
    value: float | str = ""


@dataclasses.dataclass(frozen=True)
class ClipLevelRows:
    """Rows of some workdirs under one protocol, with their predictions.

    Attributes:
      rows: Rows whose predictions could be read.
      names: Unique name of each row, with its table and workdir if necessary.
      left_out: For each row that could not be read, its name and the reason.
    """

    rows: tuple[Row, ...]
    names: tuple[str, ...]
    left_out: tuple[str, ...]


def read(workdirs: Iterable[Path], protocol: str) -> ClipLevelRows:
    """Reads the rows that were measured under a protocol, with their predictions.

    Each row is read separately, so that an error in one does not hide the others.

    Raises:
      UserError: Results of different data would stand in one table.
    """
    rows, left_out = [], []
    for workdir in workdirs:
        stored = records.read(Path(workdir) / records.FILE_NAME)
        for name in dict.fromkeys(r["row"] for r in stored if r["protocol"] == protocol):
            try:
                rows += comparable.read([workdir], protocols=[protocol], rows=[name])
            except errors.UserError as error:
                left_out.append(f"{name}: {error}")
    comparable.check_same_data(rows)
    return ClipLevelRows(tuple(rows), tuple(unique_names(rows)), tuple(left_out))


def unique_names(rows: Sequence[Row]) -> list[str]:
    """Returns the names of rows, with their table and workdir if needed to tell them apart."""
    names = []
    for attributes in (("name",), ("table", "name"), ("workdir", "table", "name")):
        names = [": ".join(str(getattr(row, a)) for a in attributes) for row in rows]
        if len(set(names)) == len(names):
            break
    return names


METRICS_HEAD = ("row", *METRICS, "clips", "subjects", "seeds")
PAIRS_HEAD = ("first", "second", "difference", "McNemar p", "permutation p", "seeds")


def metrics_table(results: ClipLevelRows) -> list[list[Cell]]:
    """Returns one line per row, with the columns METRICS_HEAD."""
    lines = []
    for name, row in zip(results.names, results.rows, strict=True):
        line = [Cell(name, value=name)]
        for metric, format_value in METRICS.values():
            interval = row.metric(metric)
            spread = () if interval.spread is None else (f"± {format_value(interval.spread)}",)
            ends = f"{format_value(interval.low)}–{format_value(interval.high)}"
            line.append(Cell(format_value(interval.mean), (*spread, ends), interval.mean))
        clips = len(next(iter(row.tests.values())).label)
        subjects = row.groups.count if row.groups.name == "subject" else 1
        line += [Cell(str(n), value=n) for n in (clips, subjects, len(row.tests))]
        lines.append(line)
    return lines


def pairs_table(results: ClipLevelRows) -> tuple[list[list[Cell]], list[str]]:
    """Compares all pairs of rows that were tested on the same clips.

    p-values are corrected for the number of pairs by Holm's method.

    Returns:
      One line per pair, with the columns PAIRS_HEAD; and notes on the pairs that cannot be
      compared.
    """
    pairs, not_compared = comparable.pairs(results.rows)
    names = dict(zip(results.rows, results.names, strict=True))
    p_values = [significance.holm([pair.mcnemar.p for pair in pairs])]
    p_values.append(significance.holm([pair.permutation for pair in pairs]))
    lines = [_pair_line(pair, names, p) for pair, *p in zip(pairs, *p_values, strict=True)]
    notes = [
        f"Not compared ({reason}): "
        + "; ".join(f"{names[first]} and {names[second]}" for first, second in members)
        for reason, members in not_compared.items()
    ]
    return lines, notes


def _pair_line(pair: Pair, names: dict[Row, str], p_values: Sequence[float]) -> list[Cell]:
    mean, low, high = (
        100 * value for value in (pair.difference.mean, pair.difference.low, pair.difference.high)
    )
    return [
        Cell(names[pair.first], value=names[pair.first]),
        Cell(names[pair.second], value=names[pair.second]),
        Cell(f"{mean:+.1f}", (f"{low:+.1f} to {high:+.1f}",), mean),
        *(Cell("<0.001" if p < 0.001 else f"{p:.3f}", value=float(p)) for p in p_values),
        Cell(str(len(pair.seeds)), value=len(pair.seeds)),
    ]


def reliability_chart(row: Row, calibrated: Row | None) -> markupsafe.Markup:
    """Draws a reliability diagram of a row per clip, all seeds pooled.

    Args:
      row: The row.
      calibrated: The row after temperature scaling (see `scale_temperatures`), or None.
    """
    kinds = {"test": row} | ({"validation": calibrated} if calibrated else {})
    marks, lines = [], [plots.Line([(0, 0), (100, 1)], "reference")]
    for kind, drawn in kinds.items():
        test = aggregation.concatenate(list(drawn.tests.values()))
        bins = calibration.reliability(test.label, test.probabilities)
        points = [
            (100 * confidence, accuracy)
            for confidence, accuracy, count in zip(
                bins.confidence, bins.accuracy, bins.count, strict=True
            )
            if count
        ]
        lines.append(plots.Line(points, kind))
        marks += [plots.Mark(x, y, kind) for x, y in points]
    return plots.chart(
        f"Reliability diagram of {row.name}: accuracy against confidence in percent",
        lines,
        marks,
        (0, 25, 50, 75, 100),
        y_max=1.0,
        percent=True,
    )


def scale_temperatures(row: Row) -> Row | None:
    """Returns the row with temperatures fitted on the validation split of each cell.

    Returns:
      The row, or None if there are no validation examples.
    """
    try:
        (calibrated, *_) = comparable.read(
            [row.workdir], protocols=[row.protocol], rows=[row.name], temperature=True
        )
    except errors.UserError:
        return None
    return calibrated


class Misclassified(NamedTuple):
    """A clip with a wrong prediction.

    Attributes:
      clip: Name of the clip.
      emotion: True emotion.
      predicted: Predicted emotion.
      confidence: Probability of the predicted emotion, mean over seeds.
      true_probability: Probability of the true emotion, mean over seeds.
    """

    clip: str
    emotion: str
    predicted: str
    confidence: float
    true_probability: float


def worst_errors(row: Row, count: int) -> list[Misclassified]:
    """Returns the `count` misclassified clips with the highest confidence, sorted by it."""
    test = aggregation.by_clip(aggregation.concatenate(list(row.tests.values())))
    misclassified = [
        Misclassified(
            str(clip),
            row.emotions[label],
            row.emotions[probabilities.argmax()],
            probabilities.max(),
            probabilities[label],
        )
        for clip, label, probabilities in zip(
            test.clip, test.label, test.probabilities, strict=True
        )
        if probabilities.argmax() != label
    ]
    return sorted(misclassified, key=lambda error: (-error.confidence, error.clip))[:count]

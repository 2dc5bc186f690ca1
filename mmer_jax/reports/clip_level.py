"""Clip-level results for the HTML pages: metrics, paired tests, calibration, worst errors."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import markupsafe

from mmer_jax import errors
from mmer_jax.evaluation import aggregation, calibration, comparable, significance
from mmer_jax.evaluation.comparable import Pair, Row
from mmer_jax.evaluation.summary import percent
from mmer_jax.reports import interval_notes, plots
from mmer_jax.results import records

# Column title -> (key of intervals.STATISTICS, how its values are formatted).
METRICS: dict[str, tuple[str, Callable[[float], str]]] = {
    "accuracy": ("accuracy", percent),
    "UAR": ("unweighted_average_recall", percent),
    "macro F1": ("macro_f1", percent),
    "NLL": ("negative_log_likelihood", "{:.2f}".format),
    "ECE": ("expected_calibration_error", percent),
}


def points(difference: float) -> str:
    """Formats a difference of two values in 0..1 in percentage points: 0.083 becomes "+8.3"."""
    return f"{100 * difference:+.1f}"


class Cell(NamedTuple):
    """A cell of a sortable HTML table.

    Attributes:
      text: Main text.
      small: Lines in small type below the main text.
      value: Value of the cell when the table is sorted by its column.
    """

    text: str
    small: tuple[str, ...] = ()
    value: float | str = ""


@dataclasses.dataclass(frozen=True)
class ClipLevelRows:
    """Config rows that were measured in some workdirs under one protocol, with their predictions.

    Attributes:
      rows: Rows whose predictions could be read.
      names: Unique name of each of `rows`, with table and workdir if necessary.
      left_out: For each row that could not be read, its name and the reason.
    """

    rows: tuple[Row, ...]
    names: tuple[str, ...]
    left_out: tuple[str, ...]


def read_rows(workdirs: Iterable[Path], protocol: str) -> ClipLevelRows:
    """Reads the config rows that were measured under a protocol, with their predictions.

    Each row is read separately, so that an error in one row does not hide the others.

    Args:
      workdirs: Workdirs of runs.
      protocol: Name of the protocol.

    Raises:
      UserError: The rows were tested on different data, so that one table cannot hold them all.
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
    rows.sort(key=lambda row: row.setting)  # inductive rows first
    return ClipLevelRows(tuple(rows), tuple(make_unique_names(rows)), tuple(left_out))


def make_unique_names(rows: Sequence[Row]) -> list[str]:
    """Returns a unique name for each row: its title, preceded by table and workdir if needed."""
    names = []
    for attributes in (("title",), ("table", "title"), ("workdir", "table", "title")):
        names = [": ".join(str(getattr(row, a)) for a in attributes) for row in rows]
        if len(set(names)) == len(names):
            break
    return names


METRICS_HEADINGS = ("row", *METRICS, "clips", "subjects", "seeds")
PAIRS_HEADINGS = ("first", "second", "difference", "McNemar p", "permutation p", "seeds")


def make_metrics_table(results: ClipLevelRows) -> list[list[Cell]]:
    """Makes a table of metrics with the columns METRICS_HEADINGS.

    Args:
      results: Config rows with their predictions.

    Returns:
      Table rows without a header, one per config row.
    """
    table = []
    for name, row in zip(results.names, results.rows, strict=True):
        cells = [Cell(name, (row.incomplete,) if row.incomplete else (), name)]
        for metric, format_value in METRICS.values():
            interval = row.metric(metric)
            spread = () if interval.spread is None else (f"± {format_value(interval.spread)}",)
            ends = interval.format_ends(format_value, "–")
            cells.append(Cell(format_value(interval.mean), (*spread, ends), interval.mean))
        clips = len(next(iter(row.tests.values())).label)
        subjects = row.groups.count if row.groups.name == "subject" else 1
        cells += [Cell(str(n), value=n) for n in (clips, subjects, len(row.tests))]
        table.append(cells)
    return table


def make_pairs_table(results: ClipLevelRows) -> tuple[list[list[Cell]], list[str], list[str]]:
    """Compares all pairs of rows that were tested on the same clips.

    p-values are corrected for the number of pairs by Holm's method.

    Args:
      results: Config rows with their predictions.

    Returns:
      Table rows without a header, one per pair, with the columns PAIRS_HEADINGS; sentences that
      explain them; and sentences on the pairs that cannot be compared.
    """
    pairs, not_compared = comparable.pairs(results.rows)
    names = dict(zip(results.rows, results.names, strict=True))
    p_values = [significance.holm([pair.mcnemar.p for pair in pairs])]
    p_values.append(significance.holm([pair.permutation for pair in pairs]))
    table = [_make_pair_row(pair, names, p) for pair, *p in zip(pairs, *p_values, strict=True)]
    reasons = [
        f"Not compared ({reason}): "
        + "; ".join(f"{names[first]} and {names[second]}" for first, second in members)
        for reason, members in not_compared.items()
    ]
    return table, interval_notes.describe_pairs(pairs, "clip") if pairs else [], reasons


def make_section(results: ClipLevelRows) -> dict[str, Any]:
    """Makes the template values of the macro `clip_level` of macros.html.j2.

    Args:
      results: Config rows with their predictions, measured under one protocol.
    """
    pairs, pair_notes, not_compared = make_pairs_table(results)
    groups = dict(zip(results.names, (row.groups for row in results.rows), strict=True))
    return {
        "metrics": make_metrics_table(results),
        "metrics_head": METRICS_HEADINGS,
        "pairs": pairs,
        "pairs_head": PAIRS_HEADINGS,
        "pair_notes": pair_notes,
        "notes": [
            *comparable.describe_settings(results.rows),
            *interval_notes.describe_intervals(groups),
            *results.left_out,
            *not_compared,
        ],
    }


def _make_pair_row(pair: Pair, names: dict[Row, str], p_values: Sequence[float]) -> list[Cell]:
    return [
        Cell(names[pair.first], value=names[pair.first]),
        Cell(names[pair.second], value=names[pair.second]),
        Cell(
            points(pair.difference.mean),
            (pair.difference.format_ends(points, " to "),),
            100 * pair.difference.mean,
        ),
        *(Cell("<0.001" if p < 0.001 else f"{p:.3f}", value=float(p)) for p in p_values),
        Cell(str(len(pair.seeds)), value=len(pair.seeds)),
    ]


def draw_reliability(row: Row, calibrated: Row | None) -> markupsafe.Markup:
    """Draws a reliability diagram of a row per clip, all seeds pooled.

    Args:
      row: The row.
      calibrated: The row after temperature scaling (see `scale_temperatures`); None if no
        temperature was fitted.

    Returns:
      Markup that needs no escaping.
    """
    kinds = {"test": row} | ({"validation": calibrated} if calibrated else {})  # CSS classes
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
    return plots.draw_chart(
        f"Reliability diagram of {row.title}: accuracy against confidence in percent",
        lines,
        marks,
        (0, 25, 50, 75, 100),
        y_max=1.0,
        percent=True,
    )


def scale_temperatures(row: Row) -> Row | None:
    """Scales a row's probabilities with temperatures fitted on the validation splits of its cells.

    Args:
      row: The row, whose workdir is read again.

    Returns:
      The row with scaled probabilities; None if there are no validation examples.
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


def find_worst_errors(row: Row, count: int) -> list[Misclassified]:
    """Finds the misclassified clips with the highest confidence.

    Args:
      row: The row, whose probabilities are averaged per clip over examples and seeds.
      count: Maximum number of clips.

    Returns:
      The clips in descending order of confidence.
    """
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

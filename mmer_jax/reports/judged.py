"""Rows judged clip by clip, as pages show them: figures, pairs, calibration, the worst clips."""

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

# Head of a column -> the figure, and how it is written.
FIGURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "accuracy": ("accuracy", percent),
    "UAR": ("unweighted_average_recall", percent),
    "macro F1": ("macro_f1", percent),
    "NLL": ("negative_log_likelihood", "{:.2f}".format),
    "ECE": ("expected_calibration_error", percent),
}


class Cell(NamedTuple):
    """A field of a table.

    Attributes:
      text: what is read first.
      small: lines below it.
      value: what the column is sorted by.
    """

    text: str
    small: tuple[str, ...] = ()
    value: float | str = ""


@dataclasses.dataclass(frozen=True)
class Judged:
    """The rows of some work folders under one protocol.

    Attributes:
      rows: those whose predictions are there.
      names: of each row, with its work folder where it takes that to tell them apart.
      left_out: rows that could not be judged, and why, in words.
    """

    rows: tuple[Row, ...]
    names: tuple[str, ...]
    left_out: tuple[str, ...]


def judge(workdirs: Iterable[Path], protocol: str) -> Judged:
    """Reads the rows that were measured under a protocol, one by one.

    Raises:
      UserError: data sets that cannot stand in one table.
    """
    rows, left_out = [], []
    for workdir in workdirs:
        found = records.read(Path(workdir) / records.FILE_NAME)
        for name in dict.fromkeys(r["row"] for r in found if r["protocol"] == protocol):
            try:
                rows += comparable.read([workdir], protocols=[protocol], rows=[name])
            except errors.UserError as error:
                left_out.append(f"{name}: {error}")
    comparable.check_same_data(rows)
    return Judged(tuple(rows), tuple(names_of(rows)), tuple(left_out))


def names_of(rows: Sequence[Row]) -> list[str]:
    """Names of rows, with their table and work folder where it takes them to tell them apart."""
    names = []
    for parts in (("name",), ("table", "name"), ("workdir", "table", "name")):
        names = [": ".join(str(getattr(row, part)) for part in parts) for row in rows]
        if len(set(names)) == len(names):
            break
    return names


def figures(judged: Judged) -> list[list[Cell]]:
    """A line of cells for each row: its name, FIGURES, and what they were measured on."""
    lines = []
    for name, row in zip(judged.names, judged.rows, strict=True):
        line = [Cell(name, value=name)]
        for figure, shown in FIGURES.values():
            found = row.figure(figure)
            spread = () if found.spread is None else (f"± {shown(found.spread)}",)
            interval = f"{shown(found.low)}–{shown(found.high)}"
            line.append(Cell(shown(found.mean), (*spread, interval), found.mean))
        tested = len(next(iter(row.tests.values())).label)
        units = row.units.count if row.units.name == "subject" else 1
        line += [Cell(str(n), value=n) for n in (tested, units, len(row.tests))]
        lines.append(line)
    return lines


FIGURES_HEAD = ("row", *FIGURES, "clips", "subjects", "seeds")
PAIRS_HEAD = ("first", "second", "difference", "McNemar p", "permutation p", "seeds")


def pairs(judged: Judged) -> tuple[list[list[Cell]], list[str]]:
    """A line for each pair of rows that were tested on the same clips; and why others were not.

    The p are corrected by Holm's method for the number of pairs.
    """
    found, left_out = comparable.pairs(judged.rows)
    name = dict(zip(judged.rows, judged.names, strict=True))
    tests = [significance.holm([one.mcnemar.p for one in found])]
    tests.append(significance.holm([one.permutation for one in found]))
    lines = [_pair(one, name, p) for one, *p in zip(found, *tests, strict=True)]
    why = [
        f"Not compared ({reason}): "
        + "; ".join(f"{name[first]} and {name[second]}" for first, second in members)
        for reason, members in left_out.items()
    ]
    return lines, why


def _pair(one: Pair, name: dict[Row, str], p: Sequence[float]) -> list[Cell]:
    low, high = (f"{100 * end:+.1f}" for end in (one.difference.low, one.difference.high))
    first, second = name[one.first], name[one.second]
    return [
        Cell(first, value=first),
        Cell(second, value=second),
        Cell(f"{100 * one.difference.mean:+.1f}", (f"{low} to {high}",), 100 * one.difference.mean),
        *(Cell("<0.001" if q < 0.001 else f"{q:.3f}", value=float(q)) for q in p),
        Cell(str(len(one.seeds)), value=len(one.seeds)),
    ]


def reliability(row: Row, at_temperature: Row | None) -> markupsafe.Markup:
    """How often a row is right against how sure it is, per clip, all seeds together.

    Args:
      row: as it is.
      at_temperature: the same with temperatures fitted on validation data, or None.
    """
    kinds = {"test": row} | ({"validation": at_temperature} if at_temperature else {})
    marks, lines = [], [plots.Line([(0, 0), (100, 1)], "reference")]
    for kind, one in kinds.items():
        test = aggregation.joined(list(one.tests.values()))
        bins = calibration.reliability(test.label, test.probabilities)
        points = [
            (100 * sure, right)
            for sure, right, count in zip(bins.confidence, bins.accuracy, bins.count, strict=True)
            if count
        ]
        lines.append(plots.Line(points, kind))
        marks += [plots.Mark(x, y, kind) for x, y in points]
    return plots.chart(
        f"Reliability of {row.name}: how often it is right against how sure it is, in percent",
        lines,
        marks,
        (0, 25, 50, 75, 100),
        y_max=1.0,
        percent=True,
    )


def at_temperature(row: Row) -> Row | None:
    """The row at the temperatures of its cells' validation parts; None where there is none."""
    try:
        found = comparable.read(
            [row.workdir], protocols=[row.protocol], rows=[row.name], temperature=True
        )
    except errors.UserError:
        return None
    return found[0]


class Wrong(NamedTuple):
    """A clip that was taken for something else.

    Attributes:
      clip: its name.
      emotion: what it shows.
      said: what it was taken for.
      sure: the probability of that, the mean over seeds.
      truth: the probability of what it shows.
    """

    clip: str
    emotion: str
    said: str
    sure: float
    truth: float


def worst(row: Row, count: int) -> list[Wrong]:
    """The clips that a row was most sure of and wrong about, the worst first."""
    test = aggregation.by_clip(aggregation.joined(list(row.tests.values())))
    found = [
        Wrong(str(clip), row.emotions[label], row.emotions[said.argmax()], said.max(), said[label])
        for clip, label, said in zip(test.clip, test.label, test.probabilities, strict=True)
        if said.argmax() != label
    ]
    return sorted(found, key=lambda wrong: (-wrong.sure, wrong.clip))[:count]

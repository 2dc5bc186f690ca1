"""Rows with their predictions, and pairs of rows that were tested on the same clips.

Everything is computed from records and predictions; nothing is trained. What may not stand in one
table, or be compared in a pair, is refused here and named.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmer_jax import errors
from mmer_jax.config.cell import cell_name
from mmer_jax.evaluation import (
    aggregation,
    calibration,
    intervals,
    measured_rows,
    metrics,
    same_data,
    significance,
    summary,
)
from mmer_jax.results import predictions, records
from mmer_jax.results.predictions import Examples


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """A row of a table under one protocol, with its predictions.

    Attributes:
      workdir, table, protocol, name: where it comes from.
      epochs: after how many it is taken.
      records: one a cell.
      tests: seed -> its test examples, one a clip or a triplet, its folds pooled.
      temperatures: what each cell's probabilities were taken at; empty: as they are.
    """

    workdir: Path
    table: str
    protocol: str
    name: str
    epochs: int
    records: tuple[dict[str, Any], ...]
    tests: dict[int, Examples]
    temperatures: tuple[float, ...]

    @property
    def emotions(self) -> list[str]:
        """The classes in the order of the probabilities' columns."""
        return self.records[0]["emotions"]

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.records[0]["dataset"]["name"]

    @property
    def rendered(self) -> bool:
        """Whether any of it was measured on rendered clips."""
        return any(r["dataset"].get("origin") == summary.RENDERED for r in self.records)

    @functools.cached_property
    def units(self) -> aggregation.Units:
        """What its intervals resample."""
        return aggregation.units(list(self.tests.values()), self.dataset)

    def figure(self, name: str) -> intervals.Interval:
        """One of intervals.STATISTICS, over its seeds."""
        tests, units = list(self.tests.values()), self.units.of
        return intervals.bootstrap(intervals.STATISTICS[name], tests, units)

    @property
    def missing(self) -> list[str]:
        """Folds that some seeds have and others lack, in words."""
        folds = {
            seed: {r["fold"] for r in self.records if r["seed"] == seed} for seed in self.tests
        }
        every = set().union(*folds.values())
        return [
            f"seed {seed} lacks fold {', '.join(map(str, sorted(every - there)))}"
            for seed, there in folds.items()
            if there != every
        ]


def read(
    workdirs: Iterable[Path],
    *,
    protocols: Sequence[str] = (),
    rows: Sequence[str] = (),
    epochs: int | None = None,
    per: str = "clip",
    temperature: bool = False,
) -> list[Row]:
    """The rows of some work folders.

    Args:
      workdirs: of run.py.
      protocols, rows: names of those wanted; none for all.
      epochs: after how many; None: the most that each row was measured at.
      per: of aggregation.PER.
      temperature: take each cell's probabilities at the temperature fitted on its validation part.

    Raises:
      UserError: a folder without records, a name that it does not know, predictions that are not
        there or not those of the records, or data sets that cannot stand in one table.
    """
    found = measured_rows.read_rows({Path(w).resolve(): Path(w) for w in workdirs}.values())
    for what, wanted, known in (
        ("protocol", protocols, [one.protocol for one in found]),
        ("row", rows, [one.row.name for one in found]),
    ):
        for name in wanted:
            if name not in known:
                raise errors.unknown(what, name, dict.fromkeys(known))
    chosen = [
        one
        for one in found
        if (not protocols or one.protocol in protocols) and (not rows or one.row.name in rows)
    ]
    if not chosen:
        raise errors.UserError(
            f"no row of {', '.join(rows)} was measured under {', '.join(protocols)}"
        )
    measured = [_measured(one, epochs) for one in chosen]
    rows = [
        _row(one, at, aggregation.PER[per], temperature)
        for one, at in zip(chosen, measured, strict=True)
    ]
    check_same_data(rows)
    return rows


def check_same_data(rows: Iterable[Row]) -> None:
    """Refuses rows that speak of different data by one name: see same_data.check."""
    same_data.check(
        (f"{row.workdir}, row {row.name}, fold {record['fold']}, seed {record['seed']}", record)
        for row in rows
        for record in row.records
    )


def _measured(one: measured_rows.MeasuredRow, epochs: int | None) -> summary.Measured:
    at = one.row.by_epochs
    if epochs is not None and epochs not in at:
        raise errors.UserError(
            f"{one.workdir}: row {one.row.name} under {one.protocol} was measured after "
            f"{', '.join(map(str, at))} epochs, not after {epochs}; leave it out with --rows"
        )
    return at[max(at) if epochs is None else epochs]


def _row(
    one: measured_rows.MeasuredRow,
    measured: summary.Measured,
    put_together: Callable[[Examples], Examples],
    temperature: bool,
) -> Row:
    folds: dict[int, list[Examples]] = {}
    temperatures = []
    for record in measured.records:
        examples = put_together(_load(one.workdir, record, "test"))
        if temperature:
            validation = put_together(_load(one.workdir, record, "validation"))
            fitted = calibration.fit_temperature(validation.label, validation.probabilities)
            said = calibration.at_temperature(examples.probabilities, fitted)
            examples = dataclasses.replace(examples, probabilities=said)
            temperatures.append(fitted)
        folds.setdefault(record["seed"], []).append(examples)
    return Row(
        one.workdir,
        one.table,
        one.protocol,
        one.row.name,
        measured.records[0]["epochs"],
        measured.records,
        {seed: aggregation.joined(parts) for seed, parts in folds.items()},
        tuple(temperatures),
    )


def _load(workdir: Path, record: Mapping[str, Any], part: str) -> Examples:
    """A part's predictions of a record's cell, checked against the record."""
    cell = cell_name(*(record[field] for field in ("row", "protocol", "fold", "seed")))
    path = workdir / "predictions" / f"{cell}.npz"
    found = predictions.load(path).examples.get((record["epochs"], part))
    if part == "validation" and (found is None or not len(found.label)):
        raise errors.UserError(
            f"{path} has no validation examples to fit a temperature on; run the row with "
            "--config.split.validation_fraction above 0"
        )
    if found is None:
        raise errors.UserError(f"{path} has no {part} predictions after {record['epochs']} epochs")
    if part == "test":
        said, told = found.probabilities, np.array(record["confusion"])
        counts = metrics.confusion(found.label, said.argmax(axis=1), said.shape[1])
        # Rounded to float32, a near tie may be decided otherwise: such an example moves two counts.
        few = max(2, 0.02 * told.sum())
        if counts.shape != told.shape or np.abs(counts - told).sum() > few:
            raise errors.UserError(
                f"{path} does not hold the predictions that {records.FILE_NAME} tells of: files of "
                "different runs lie in this folder"
            )
    return found


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two rows on the same test clips.

    Attributes:
      first, second: the rows.
      seeds: those that both have.
      difference: of their accuracies, the first's less the second's.
      mcnemar: on the decisions of each row's seeds together, the mean of their probabilities.
      permutation: p of exchanging whole subjects (clips, where there is one subject).
      units: what is exchanged.
    """

    first: Row
    second: Row
    seeds: tuple[int, ...]
    difference: intervals.Interval
    mcnemar: significance.McNemar
    permutation: float
    units: aggregation.Units


def pair(first: Row, second: Row) -> Pair:
    """Compares two rows.

    Raises:
      UserError: they share no seed, or were not tested on the same examples; it begins with what is
        wrong, in lower case.
    """
    seeds = tuple(sorted(set(first.tests) & set(second.tests)))
    if not seeds:
        raise errors.UserError("no seed in common")
    theirs = [[_sorted(row.tests[seed]) for seed in seeds] for row in (first, second)]
    for seed, one, other in zip(seeds, *theirs, strict=True):
        _check_same(seed, first, one, second, other)
    units = aggregation.units(theirs[0], first.dataset)
    differences = [_right(a) - _right(b) for a, b in zip(*theirs, strict=True)]
    # A unit's share of the difference of accuracies: those of a seed, then the mean over seeds.
    shares = np.concatenate([d / len(d) / len(seeds) for d in differences])
    _, member = np.unique(np.concatenate(units.of), return_inverse=True)
    # A clip's decision is that of all seeds together: seeds are no further clips.
    together = [aggregation.by_example(aggregation.joined(tests)) for tests in theirs]
    return Pair(
        first,
        second,
        seeds,
        intervals.bootstrap_sums(
            intervals.mean_of_sums,
            [np.stack([d, np.ones_like(d)], axis=1) for d in differences],
            units.of,
        ),
        significance.mcnemar(*map(_right, together)),
        significance.permutation(np.bincount(member, shares)),
        units,
    )


def _sorted(examples: Examples) -> Examples:
    order = np.lexsort((examples.view, examples.clip))
    fields = (field.name for field in dataclasses.fields(Examples))
    return Examples(*(getattr(examples, field)[order] for field in fields))


def _right(examples: Examples) -> np.ndarray:
    return (examples.probabilities.argmax(axis=1) == examples.label).astype(np.float64)


def _check_same(seed: int, first: Row, one: Examples, second: Row, other: Examples) -> None:
    keys = [list(zip(e.clip.tolist(), e.view.tolist(), strict=True)) for e in (one, other)]
    if keys[0] != keys[1]:
        shared = len(set(keys[0]) & set(keys[1]))
        raise errors.UserError(
            f"test examples of seed {seed} differ: {len(keys[0]) - shared} are the first's alone, "
            f"{len(keys[1]) - shared} the second's, {shared} are shared"
        )
    emotions = [
        np.array(row.emotions)[examples.label] for row, examples in ((first, one), (second, other))
    ]
    if set(first.emotions) != set(second.emotions) or not np.array_equal(*emotions):
        raise errors.UserError("they tell other emotions apart")


def pairs(rows: Sequence[Row]) -> tuple[list[Pair], dict[str, list[tuple[Row, Row]]]]:
    """All pairs of rows of one protocol; and why others cannot be compared -> those."""
    found, left_out = [], {}
    for first, second in itertools.combinations(rows, 2):
        try:
            found.append(pair(first, second))
        except errors.UserError as error:
            left_out.setdefault(str(error), []).append((first, second))
    return found, left_out

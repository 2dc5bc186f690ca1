"""Records put together as tables have them: by table and protocol, then by row, then by epochs.

Folds of one seed are pooled (their test parts are disjoint, so their counts add up); seeds are not:
their mean and their spread are shown. Everything is computed from the records' confusion counts.
"""

import dataclasses
import functools
import os
import pathlib
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.config.cell import cell_name
from mmer_jax.evaluation import aggregation, intervals, metrics, same_data
from mmer_jax.protocols import registry
from mmer_jax.results import predictions, records

# Data whose numbers are about the software, not about people.
RENDERED = "rendered"
RENDERED_NOTE = (
    "The clips are rendered drawings with a synthesized voice. "
    "Numbers on rendered clips say nothing about emotion recognition."
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """A row's result after one number of epochs, over its folds and seeds.

    Attributes:
      records: the records behind it, one a cell.
      seeds: the seeds, ascending.
      accuracies: float in 0..1, one a seed, its folds pooled.
      recalls: unweighted average recall in 0..1, one a seed, its folds pooled.
      confusion: int64 [classes, classes], all cells together.
      bootstrap: the accuracy with its interval over subjects; None where predictions are not there.
      units: what the bootstrap resamples: "subject", or "clip" where there is one.
    """

    records: tuple[dict[str, Any], ...]
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    recalls: tuple[float, ...]
    confusion: np.ndarray
    bootstrap: intervals.Interval | None = None
    units: str = ""

    @property
    def accuracy(self) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> float | None:
        """The sample standard deviation over seeds; None with one seed."""
        return statistics.stdev(self.accuracies) if len(self.seeds) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The bootstrap's 95% interval. Without predictions Wilson's for one seed's result, and
        None for several, whose tests may overlap."""
        if self.bootstrap:
            return self.bootstrap.low, self.bootstrap.high
        if len(self.seeds) > 1:
            return None
        return metrics.wilson_interval(int(np.trace(self.confusion)), int(self.confusion.sum()))

    @property
    def low_high(self) -> tuple[float, float]:
        """What is drawn around the accuracy: the interval, or one standard deviation each way."""
        if self.interval:
            return self.interval
        return max(0.0, self.accuracy - self.spread), min(1.0, self.accuracy + self.spread)

    @property
    def paper(self) -> float | None:
        """The paper's number, where the records have one and agree about it."""
        numbers = {record["paper_accuracy"] for record in self.records}
        return numbers.pop() if len(numbers) == 1 else None

    @property
    def chance(self) -> float:
        """The accuracy of always naming the commonest emotion of the test parts."""
        return float(self.confusion.sum(axis=1).max() / self.confusion.sum())

    def count(self, field: str) -> str:
        """One seed's n_test or other count, folds added up: "96", or "94-97" where seeds differ."""
        per_seed = {
            sum(record[field] for record in self.records if record["seed"] == seed)
            for seed in self.seeds
        }
        return "-".join(str(n) for n in sorted({min(per_seed), max(per_seed)}))


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table under one protocol."""

    name: str
    modalities: tuple[str, ...]
    emotions: tuple[str, ...]
    by_epochs: dict[int, Measured]

    @property
    def last(self) -> Measured:
        """The result after most epochs."""
        return self.by_epochs[max(self.by_epochs)]

    @property
    def rendered(self) -> bool:
        """Whether any of it was measured on rendered clips."""
        return any(
            record["dataset"].get("origin") == RENDERED
            for measured in self.by_epochs.values()
            for record in measured.records
        )


@dataclasses.dataclass(frozen=True)
class Block:
    """A table under one protocol."""

    table: str
    protocol: str
    epochs: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def has_paper(self) -> bool:
        """Whether any number of it has one of the paper to stand beside."""
        return any(m.paper is not None for row in self.rows for m in row.by_epochs.values())


# Protocols as people read them: strangers first, the paper's own split last.
READING_ORDER = (
    "leave_one_actor_out",
    "actor_kfold",
    "cross_dataset",
    "statement_disjoint",
    "take_grouped",
    "clip_random",
    "clip_random_altered_sound",
    "triplet_random",
)


def honest_first(found: Sequence[Block]) -> list[Block]:
    """Blocks in READING_ORDER, so that what holds for strangers is read before what flatters."""
    known = [block.protocol for block in found if block.protocol not in READING_ORDER]
    order = (*READING_ORDER, *known)
    return sorted(found, key=lambda block: order.index(block.protocol))


def blocks(
    found: Sequence[Mapping[str, Any]], workdir: str | os.PathLike | None = None
) -> list[Block]:
    """All records as blocks, in the order of their first appearance.

    Args:
      found: the records.
      workdir: where they are from. With it accuracies have intervals over subjects, made from the
        predictions that are there.

    Rows are ordered by how many modalities they join, then by the modalities' own order, then by
    first appearance. Of records with one key the last counts.
    """
    by_key = {records.key(record): dict(record) for record in found}
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in by_key.values():
        grouped.setdefault((record["table"], record["protocol"]), []).append(record)
    result = []
    for (table, protocol), members in grouped.items():
        names = list(dict.fromkeys(record["row"] for record in members))
        rows = [_row(name, [r for r in members if r["row"] == name], workdir) for name in names]
        rows.sort(key=lambda row: _joining_order(row.modalities))
        epochs = tuple(sorted({record["epochs"] for record in members}))
        result.append(Block(table, protocol, epochs, tuple(rows)))
    return result


def check_same_data(found: Iterable[Block]) -> None:
    """Refuses a table whose numbers are of different data under one name.

    Raises:
      UserError: names the data, and cells with each.
    """
    for block in found:
        same_data.check(
            (
                f"row {row.name}, {block.protocol}, fold {record['fold']}, seed {record['seed']}",
                record,
            )
            for row in block.rows
            for measured in row.by_epochs.values()
            for record in measured.records
        )


def promise(protocol: str, promises: Mapping[str, str] | None = None) -> str:
    """What a protocol keeps apart, in words: those given, or those of datasets.protocols."""
    if promises is None:
        known = registry.PROTOCOLS
        promises = {name: entry.promise for name, entry in known.items()}
    return promises.get(protocol, "A protocol that this version of the software does not know.")


def percent(share: float) -> str:
    """0.9377 as "93.8"; halves go up as people round them, so the paper's 0.9285 is "92.9"."""
    return f"{100 * share + 1e-9:.1f}"


def _joining_order(names: Sequence[str]) -> tuple[int, list[int]]:
    order = list(modalities.MODALITIES)
    # A modality that this version doesn't know comes last.
    return len(names), [order.index(n) if n in order else len(order) for n in names]


def _row(name: str, members: list[dict[str, Any]], workdir) -> Row:
    epochs = sorted({record["epochs"] for record in members})
    load = functools.lru_cache(predictions.load)  # a cell's file holds all of its epochs
    by_epochs = {}
    for at in epochs:
        measured = _measured([r for r in members if r["epochs"] == at])
        by_epochs[at] = measured if workdir is None else _with_bootstrap(measured, workdir, load)
    last = members[-1]
    return Row(name, tuple(last["modalities"]), tuple(last["emotions"]), by_epochs)


def _with_bootstrap(measured: Measured, workdir, load) -> Measured:
    """With the interval over subjects, or as it is where predictions are not to be had."""
    by_seed: dict[int, list[predictions.Examples]] = {}
    try:
        for record in measured.records:
            cell = cell_of(record)
            said = load(pathlib.Path(workdir) / "predictions" / f"{cell}.npz").examples
            if (record["epochs"], "test") not in said:
                return measured
            by_seed.setdefault(record["seed"], []).append(said[record["epochs"], "test"])
        tests = [aggregation.joined(parts) for parts in by_seed.values()]
        units = aggregation.units(tests, measured.records[0]["dataset"]["name"])
    except errors.UserError:  # no file, or clips of a set that is not known here
        return measured
    interval = intervals.bootstrap(intervals.STATISTICS["accuracy"], tests, units.of)
    return dataclasses.replace(measured, bootstrap=interval, units=units.name)


def cell_of(record: Mapping[str, Any]) -> str:
    """Name of a record's cell, as files are called after it."""
    return cell_name(*(record[field] for field in ("row", "protocol", "fold", "seed")))


def _measured(members: list[dict[str, Any]]) -> Measured:
    members = sorted(members, key=lambda record: (record["seed"], record["fold"] or 0))
    seeds = tuple(sorted({record["seed"] for record in members}))
    pooled = [
        np.sum([record["confusion"] for record in members if record["seed"] == seed], axis=0)
        for seed in seeds
    ]
    return Measured(
        records=tuple(members),
        seeds=seeds,
        accuracies=tuple(metrics.accuracy(counts) for counts in pooled),
        recalls=tuple(metrics.unweighted_average_recall(counts) for counts in pooled),
        confusion=np.sum(pooled, axis=0),
    )

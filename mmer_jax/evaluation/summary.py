"""Summaries of records for tables: by table and protocol, by config row, by number of epochs.

The folds of one seed are pooled: their test subsets are disjoint, so the confusion matrices add up.
Seeds are not pooled: tables show the mean and the standard deviation over seeds. All metrics are
computed from the confusion matrices of the records.
"""

import dataclasses
import functools
import os
import pathlib
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.config.cell import cell_name
from mmer_jax.evaluation import aggregation, data_check, intervals, metrics
from mmer_jax.protocols import registry
from mmer_jax.results import predictions, records
from mmer_jax.results.records import Record

# The `origin` of rendered datasets. Results on these test the software and say nothing about
# people.
RENDERED = "rendered"
RENDERED_NOTE = (
    "The clips are rendered drawings with a synthesized voice. "
    "Results on rendered clips say nothing about emotion recognition."
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """Results of a config row under one protocol after one number of epochs.

    Attributes:
      records: Records, one per cell, i.e. per fold and seed.
      seeds: Seeds in ascending order.
      accuracies: Accuracy in 0..1 of each seed, folds pooled.
      recalls: Unweighted average recall in 0..1 of each seed, folds pooled.
      confusion: int64 [classes, classes], sum of the confusion matrices of all cells.
      bootstrap: Accuracy with the interval of a bootstrap over subjects; None without predictions.
      groups: Groups that the bootstrap resamples: "subject", or "clip" if there is only one
        subject; "" without predictions.
    """

    records: tuple[Record, ...]
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    recalls: tuple[float, ...]
    confusion: np.ndarray
    bootstrap: intervals.Interval | None = None
    groups: str = ""

    @property
    def accuracy(self) -> float:
        """Mean accuracy over seeds."""
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation of the accuracy over seeds; None for one seed."""
        return statistics.stdev(self.accuracies) if len(self.seeds) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% confidence interval (low, high) of the accuracy, or None.

        This is the bootstrap interval if there are predictions. Without predictions it is the
        Wilson interval if there is one seed, and None if there are several seeds, because their
        test examples may overlap.
        """
        if self.bootstrap:
            return self.bootstrap.low, self.bootstrap.high
        if len(self.seeds) > 1:
            return None
        return metrics.wilson_interval(int(np.trace(self.confusion)), int(self.confusion.sum()))

    @property
    def low_high(self) -> tuple[float, float]:
        """Ends of the error bar in charts: `interval`, or mean ± standard deviation over seeds."""
        if self.interval:
            return self.interval
        spread = self.spread or 0.0  # Without an interval there are several seeds and a spread.
        return max(0.0, self.accuracy - spread), min(1.0, self.accuracy + spread)

    @property
    def paper(self) -> float | None:
        """Accuracy in the paper, in 0..1; None if the records have none or differ."""
        numbers = {record["paper_accuracy"] for record in self.records}
        return numbers.pop() if len(numbers) == 1 else None

    @property
    def chance(self) -> float:
        """Accuracy of always predicting the most frequent emotion of the test split."""
        return float(self.confusion.sum(axis=1).max() / self.confusion.sum())

    def count(self, field: Literal["n_train", "n_validation", "n_test", "n_test_clips"]) -> str:
        """Formats a number of examples or clips, summed over the folds of a seed.

        Args:
          field: Field of the records.

        Returns:
          A number such as "96", or a range such as "94-97" if seeds differ.
        """
        per_seed = {
            sum(record[field] for record in self.records if record["seed"] == seed)
            for seed in self.seeds
        }
        return "-".join(str(n) for n in sorted({min(per_seed), max(per_seed)}))


@dataclasses.dataclass(frozen=True)
class Row:
    """Results of a config row under one protocol: a row of a table of results.

    Attributes:
      name: Name of the config row.
      modalities: Names of the input modalities.
      emotions: Class names.
      by_epochs: Number of epochs -> results after this number.
    """

    name: str
    modalities: tuple[str, ...]
    emotions: tuple[str, ...]
    by_epochs: dict[int, Measured]

    @property
    def last(self) -> Measured:
        """Results after the largest number of epochs."""
        return self.by_epochs[max(self.by_epochs)]

    @property
    def rendered(self) -> bool:
        """Whether any of the results were measured on rendered clips."""
        return any(
            record["dataset"].get("origin") == RENDERED
            for measured in self.by_epochs.values()
            for record in measured.records
        )


@dataclasses.dataclass(frozen=True)
class Block:
    """Results of all config rows of a table under one protocol.

    Attributes:
      table: Name of the table.
      protocol: Name of the protocol.
      epochs: All numbers of epochs after which a row was measured, in ascending order.
      rows: Results of the config rows.
    """

    table: str
    protocol: str
    epochs: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def has_paper(self) -> bool:
        """Whether the paper has a comparable number for any of the results."""
        return any(m.paper is not None for row in self.rows for m in row.by_epochs.values())


# Order of protocols in reports: from speaker-independent ones to the paper's own random split.
PROTOCOL_ORDER = (
    "leave_one_actor_out",
    "actor_kfold",
    "cross_dataset",
    "statement_disjoint",
    "take_grouped",
    "clip_random",
    "clip_random_altered_sound",
    "triplet_random",
)


def speaker_independent_first(blocks: Sequence[Block]) -> list[Block]:
    """Sorts blocks by PROTOCOL_ORDER, so that results for unseen speakers come first.

    Args:
      blocks: Blocks in any order. Those of protocols that are not in PROTOCOL_ORDER come last, in
        the order in which the protocols first appear.
    """
    others = [block.protocol for block in blocks if block.protocol not in PROTOCOL_ORDER]
    order = (*PROTOCOL_ORDER, *others)
    return sorted(blocks, key=lambda block: order.index(block.protocol))


def blocks(measured: Sequence[Record], workdir: str | os.PathLike | None = None) -> list[Block]:
    """Groups records into blocks.

    Args:
      measured: Records. Of records with the same key (see records.make_key), the last one counts.
      workdir: Workdir of the records, or None. If given, accuracies have bootstrap intervals over
        subjects wherever the workdir has predictions.

    Returns:
      One block per table and protocol, in the order in which these first appear. The rows of a
      block are sorted by number of modalities, then by the order of the modalities, then by first
      appearance.
    """
    by_key = {records.make_key(record): record for record in measured}
    by_block: dict[tuple[str, str], list[Record]] = {}
    for record in by_key.values():
        by_block.setdefault((record["table"], record["protocol"]), []).append(record)
    result = []
    for (table, protocol), members in by_block.items():
        names = list(dict.fromkeys(record["row"] for record in members))
        rows = [
            _make_row(name, [r for r in members if r["row"] == name], workdir) for name in names
        ]
        rows.sort(key=lambda row: _modality_order(row.modalities))
        epochs = tuple(sorted({record["epochs"] for record in members}))
        result.append(Block(table, protocol, epochs, tuple(rows)))
    return result


def check_same_data(blocks: Iterable[Block]) -> None:
    """Checks that all results in a block with the same dataset name come from the same data.

    Args:
      blocks: Blocks, each of which is checked by itself.

    Raises:
      UserError: See `data_check.check`; the message names row, protocol, fold and seed.
    """
    for block in blocks:
        data_check.check(
            (
                f"row {row.name}, {block.protocol}, fold {record['fold']}, seed {record['seed']}",
                record,
            )
            for row in block.rows
            for measured in row.by_epochs.values()
            for record in measured.records
        )


def describe_guarantee(protocol: str, guarantees: Mapping[str, str] | None = None) -> str:
    """Returns a description of what training and test examples cannot share under a protocol.

    Args:
      protocol: Name of the protocol.
      guarantees: Name of a protocol -> description; None for the descriptions in the protocol
        registry.
    """
    if guarantees is None:
        guarantees = {name: entry.guarantee for name, entry in registry.PROTOCOLS.items()}
    return guarantees.get(protocol, "This version of the software does not know the protocol.")


def percent(share: float) -> str:
    """Formats a value in 0..1 in percent with one decimal: 0.9377 becomes "93.8".

    Halves are rounded up, so that the paper's 0.9285 becomes "92.9".
    """
    return f"{100 * share + 1e-9:.1f}"


def _modality_order(names: Sequence[str]) -> tuple[int, list[int]]:
    order = list(modalities.MODALITIES)
    # Names that are not registered, such as those of plugins, come last.
    return len(names), [order.index(n) if n in order else len(order) for n in names]


def _make_row(name: str, members: list[Record], workdir: str | os.PathLike | None) -> Row:
    load = functools.lru_cache(predictions.load)  # The file of a cell holds all of its epochs.
    by_epochs = {}
    for epochs in sorted({record["epochs"] for record in members}):
        measured = _pool_folds([r for r in members if r["epochs"] == epochs])
        if workdir is not None:
            measured = _add_bootstrap(measured, pathlib.Path(workdir), load)
        by_epochs[epochs] = measured
    last = members[-1]
    return Row(name, tuple(last["modalities"]), tuple(last["emotions"]), by_epochs)


def _add_bootstrap(
    measured: Measured,
    workdir: pathlib.Path,
    load: Callable[[pathlib.Path], predictions.CellPredictions],
) -> Measured:
    """Adds the bootstrap interval over subjects, if the workdir has all predictions.

    Args:
      measured: Results without a bootstrap interval.
      workdir: Workdir of the records.
      load: Function that loads the predictions of a cell from the path of the file.

    Returns:
      The results with the interval, or `measured` itself if predictions are missing or the clip
      names of the dataset are unknown.
    """
    by_seed: dict[int, list[predictions.Predictions]] = {}
    try:
        for record in measured.records:
            examples = load(workdir / "predictions" / f"{cell_of(record)}.npz").examples
            if (record["epochs"], "test") not in examples:
                return measured
            by_seed.setdefault(record["seed"], []).append(examples[record["epochs"], "test"])
        tests = [aggregation.concatenate(folds) for folds in by_seed.values()]
        groups = aggregation.groups(tests, measured.records[0]["dataset"]["name"])
    except errors.UserError:  # no file, or a dataset with unknown clip names
        return measured
    interval = intervals.bootstrap(intervals.STATISTICS["accuracy"], tests, groups.labels)
    return dataclasses.replace(measured, bootstrap=interval, groups=groups.name)


def cell_of(record: Record) -> str:
    """Returns the name of a record's cell; the files of the cell are named after it."""
    return cell_name(record["row"], record["protocol"], record["fold"], record["seed"])


def _pool_folds(members: list[Record]) -> Measured:
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

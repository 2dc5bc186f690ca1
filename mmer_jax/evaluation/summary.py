"""Summaries of records for tables: by table and protocol, by config row, by number of epochs.

The folds of one seed are pooled: their test subsets are disjoint, so the confusion matrices add up.
If folds are missing, those that exist are pooled, and `Measured.incomplete` names the missing ones.
Seeds are not pooled: tables show the mean and the standard deviation over seeds.

The accuracy that tables and charts show is per clip: a clip is classified by its mean probabilities
over its test examples, which are read from the predictions. The paper counts examples (triplets),
and so do the confusion matrices of records. Accuracy per example is shown under this name, beside
the paper's and where there are no predictions.
"""

import dataclasses
import functools
import os
import pathlib
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.evaluation import (
    aggregation,
    cell_predictions,
    completeness,
    data_check,
    intervals,
    metrics,
    settings,
)
from mmer_jax.protocols import registry
from mmer_jax.results import predictions, records
from mmer_jax.results.predictions import Predictions
from mmer_jax.results.records import Record

# The `origin` of rendered datasets. Results on these test the software and say nothing about
# people.
RENDERED = "rendered"
RENDERED_NOTE = (
    "The clips are rendered drawings with a synthesized voice. "
    "Results on rendered clips say nothing about emotion recognition."
)


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """Metrics per clip or per example.

    Attributes:
      unit: "clip", or "example" for test examples, of which a clip may have several.
      counts: int64 [seeds, classes, classes], confusion matrix of each seed, folds pooled.
    """

    unit: str
    counts: np.ndarray

    @property
    def accuracies(self) -> list[float]:
        """Accuracy in 0..1 of each seed."""
        return [metrics.accuracy(counts) for counts in self.counts]

    @property
    def accuracy(self) -> float:
        """Mean accuracy over seeds."""
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation of the accuracy over seeds; None for one seed."""
        return statistics.stdev(self.accuracies) if len(self.counts) > 1 else None

    def format_accuracy(self) -> str:
        """Formats the accuracy in percent, with the standard deviation over seeds if there is one.

        Returns:
          A text such as "71.3 ±2.0".
        """
        spread = "" if self.spread is None else f" ±{percent(self.spread)}"
        return percent(self.accuracy) + spread

    @property
    def recall(self) -> float:
        """Mean unweighted average recall over seeds."""
        return statistics.fmean(map(metrics.unweighted_average_recall, self.counts))

    @property
    def confusion(self) -> np.ndarray:
        """int64 [classes, classes], sum of the confusion matrices of all seeds."""
        return self.counts.sum(axis=0)

    @property
    def chance(self) -> float:
        """Accuracy of always predicting the most frequent emotion of the measured examples."""
        return float(self.confusion.sum(axis=1).max() / self.confusion.sum())


@dataclasses.dataclass(frozen=True)
class Measured:
    """Results of a config row under one protocol after one number of epochs.

    Attributes:
      records: Records, one per cell, i.e. per fold and seed.
      seeds: Seeds in ascending order.
      per_example: Metrics per test example, as the paper counts, from the records.
      per_clip: Metrics per clip, from the predictions; None without predictions.
      validation: Mean validation accuracy over cells in 0..1, per clip if `per_clip` is given;
        None if a cell has no validation split.
      interval: Accuracy per clip with its interval over `groups`; None without predictions.
      groups: Groups that the interval is over; None without predictions.
      problem: Reason why there are no metrics per clip; "" if there are.
    """

    records: tuple[Record, ...]
    seeds: tuple[int, ...]
    per_example: Scores
    per_clip: Scores | None = None
    validation: float | None = None
    interval: intervals.Interval | None = None
    groups: aggregation.Groups | None = None
    problem: str = "predictions were not read"

    @property
    def scores(self) -> Scores:
        """The metrics that reports show first: per clip, or per example without predictions."""
        return self.per_clip or self.per_example

    @property
    def paper(self) -> float | None:
        """Accuracy in the paper, in 0..1; None if the records have none or differ."""
        numbers = {record["paper_accuracy"] for record in self.records}
        return numbers.pop() if len(numbers) == 1 else None

    @property
    def folds(self) -> str:
        """Number of folds that are pooled, such as "5", or "2 of 5"."""
        return completeness.describe_folds(self.records)

    @property
    def incomplete(self) -> str:
        """Description of the folds that are missing; "" if none is."""
        return completeness.describe_missing(self.records)

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
      configs: Configs that the results depend on: that of the row and, for a late fusion, those of
        the rows that it combines.
    """

    name: str
    modalities: tuple[str, ...]
    emotions: tuple[str, ...]
    by_epochs: dict[int, Measured]
    configs: tuple[Mapping[str, Any], ...]

    @property
    def setting(self) -> settings.Setting:
        """Whether the row is inductive or transductive."""
        return settings.setting_of(self.configs)

    @property
    def tested(self) -> settings.Tested:
        """The subset whose examples were measured."""
        return settings.tested_subset(self.configs[0])

    @property
    def title(self) -> str:
        """The name, with the labels that its results must not be shown without."""
        return settings.add_labels(self.name, self.setting, self.tested)

    @property
    def last(self) -> Measured:
        """Results after the largest number of epochs."""
        return self.by_epochs[max(self.by_epochs)]

    @property
    def incomplete(self) -> str:
        """Description of the folds that are missing, with epochs if these differ; "" if none is."""
        epochs: dict[str, list[int]] = {}
        for count, measured in self.by_epochs.items():
            epochs.setdefault(measured.incomplete, []).append(count)
        return "; ".join(
            missing if len(epochs) == 1 else f"after {', '.join(map(str, counts))}: {missing}"
            for missing, counts in epochs.items()
            if missing
        )

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
      workdir: Workdir of the records, or None. If given, results have metrics per clip and
        intervals wherever the workdir has predictions.

    Returns:
      One block per table and protocol, in the order in which these first appear. The rows of a
      block are sorted by number of modalities, then by the order of the modalities, with inductive
      ones before transductive ones, then by first appearance.
    """
    by_key = {records.make_key(record): record for record in measured}
    by_block: dict[tuple[str, str], list[Record]] = {}
    for record in by_key.values():
        by_block.setdefault((record["table"], record["protocol"]), []).append(record)
    result = []
    for (table, protocol), members in by_block.items():
        names = list(dict.fromkeys(record["row"] for record in members))
        rows = [
            _make_row([r for r in members if r["row"] == name], measured, workdir) for name in names
        ]
        rows.sort(key=lambda row: (_modality_order(row.modalities), row.setting))
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


def describe_settings(rows: Iterable[Row]) -> list[str]:
    """Returns the caveats of transductive and of validation results, each once; may be empty.

    Args:
      rows: The rows whose results are shown.
    """
    return settings.describe((row.setting, row.tested, row.last.records) for row in rows)


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


def _make_row(
    members: list[Record], stored: Sequence[Record], workdir: str | os.PathLike | None
) -> Row:
    read = functools.lru_cache(predictions.load)  # The file of a cell holds all of its epochs.
    by_epochs = {}
    for epochs in sorted({record["epochs"] for record in members}):
        measured = _pool_folds([r for r in members if r["epochs"] == epochs])
        if workdir is not None:
            measured = _add_per_clip(measured, pathlib.Path(workdir), read)
        by_epochs[epochs] = measured
    last = members[-1]
    return Row(
        last["row"],
        tuple(last["modalities"]),
        tuple(last["emotions"]),
        by_epochs,
        settings.configs_of(last, stored),
    )


def _pool_folds(members: list[Record]) -> Measured:
    members = sorted(members, key=lambda record: (record["seed"], record["fold"] or 0))
    seeds = tuple(sorted({record["seed"] for record in members}))
    pooled = [
        np.sum([record["confusion"] for record in members if record["seed"] == seed], axis=0)
        for seed in seeds
    ]
    validation = [record["validation_accuracy"] for record in members]
    return Measured(
        records=tuple(members),
        seeds=seeds,
        per_example=Scores("example", np.stack(pooled)),
        validation=_mean_unless_missing(validation),
    )


def _add_per_clip(
    measured: Measured,
    workdir: pathlib.Path,
    read: Callable[[pathlib.Path], predictions.CellPredictions],
) -> Measured:
    """Adds the metrics per clip and the interval, if the workdir has all predictions.

    Args:
      measured: Results per example.
      workdir: Workdir of the records.
      read: Function that reads the file of a cell.
    """
    by_seed: dict[int, list[Predictions]] = {}
    validation: list[float | None] = []
    try:
        for record in measured.records:
            load = functools.partial(cell_predictions.load, workdir, record, read=read)
            by_seed.setdefault(record["seed"], []).append(aggregation.by_clip(load("test")))
            validation.append(
                _accuracy(aggregation.by_clip(load("validation")))
                if record["n_validation"]
                else None
            )
        tests = [aggregation.concatenate(folds) for folds in by_seed.values()]
        groups = aggregation.groups(tests, measured.records[0]["dataset"]["name"])
    except errors.UserError as error:
        return dataclasses.replace(measured, problem=str(error))
    return dataclasses.replace(
        measured,
        per_clip=Scores("clip", np.stack([_count(test) for test in tests])),
        validation=_mean_unless_missing(validation),
        interval=intervals.jackknife(intervals.STATISTICS["accuracy"], tests, groups.labels),
        groups=groups,
        problem="",
    )


def _count(examples: Predictions) -> np.ndarray:
    predicted = examples.probabilities.argmax(axis=1)
    return metrics.confusion(examples.label, predicted, examples.probabilities.shape[1])


def _accuracy(examples: Predictions) -> float:
    return metrics.accuracy(_count(examples))


def _mean_unless_missing(values: Sequence[float | None]) -> float | None:
    """Returns the mean of values, or None if a value is None."""
    present = [value for value in values if value is not None]
    return statistics.fmean(present) if len(present) == len(values) else None

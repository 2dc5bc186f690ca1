"""Table rows with their predictions, and paired comparisons of rows tested on the same clips.

Everything is computed from records and predictions, without training. Rows that must not appear in
one table, or cannot be compared in a pair, are rejected with an error that gives the reason.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from mmer_jax import errors
from mmer_jax.evaluation import (
    aggregation,
    calibration,
    cell_predictions,
    completeness,
    data_check,
    intervals,
    measured_rows,
    settings,
    significance,
    summary,
)
from mmer_jax.results.predictions import Predictions
from mmer_jax.results.records import Record


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """Results of one config row under one protocol, with predictions.

    Attributes:
      workdir: Workdir that the results come from.
      table: Name of the table of results.
      protocol: Name of the protocol.
      name: Name of the config row.
      epochs: Number of epochs trained.
      records: Records, one per cell.
      tests: Seed -> predictions for the test examples of all folds, aggregated by clip or triplet.
      temperatures: One temperature per record, by which the logits of the cell are divided; empty
        if the probabilities are not scaled.
      setting: Whether the row is inductive or transductive.
    """

    workdir: Path
    table: str
    protocol: str
    name: str
    epochs: int
    records: tuple[Record, ...]
    tests: dict[int, Predictions]
    temperatures: tuple[float, ...]
    setting: settings.Setting

    @property
    def tested(self) -> settings.Tested:
        """The subset whose examples were measured."""
        return settings.tested_subset(self.records[0]["config"])

    @property
    def title(self) -> str:
        """The name, with the labels that its results must not be shown without."""
        return settings.add_labels(self.name, self.setting, self.tested)

    @property
    def emotions(self) -> list[str]:
        """Class names, in the order of the probabilities' columns."""
        return self.records[0]["emotions"]

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.records[0]["dataset"]["name"]

    @property
    def rendered(self) -> bool:
        """Whether any of the results were measured on rendered clips."""
        return any(r["dataset"].get("origin") == summary.RENDERED for r in self.records)

    @functools.cached_property
    def groups(self) -> aggregation.Groups:
        """The groups of test examples that intervals of this row are over."""
        return aggregation.groups(list(self.tests.values()), self.dataset)

    def metric(self, name: str) -> intervals.Interval:
        """Computes a metric for each seed of this row, and the interval of the mean.

        Args:
          name: Name of the metric, a key of `intervals.STATISTICS`.
        """
        tests, groups = list(self.tests.values()), self.groups.labels
        return intervals.jackknife(intervals.STATISTICS[name], tests, groups)

    @property
    def folds(self) -> str:
        """Number of folds that are pooled, such as "5", or "2 of 5"."""
        return completeness.describe_folds(self.records)

    @property
    def incomplete(self) -> str:
        """Description of the folds that are missing; "" if none is."""
        return completeness.describe_missing(self.records)


def read(
    workdirs: Iterable[Path],
    *,
    protocols: Sequence[str] = (),
    rows: Sequence[str] = (),
    epochs: int | None = None,
    per: str = "clip",
    temperature: bool = False,
) -> list[Row]:
    """Reads the results of workdirs with their predictions.

    Args:
      workdirs: Workdirs of runs.
      protocols: Names of the protocols to read; empty for all.
      rows: Names of the config rows to read; empty for all.
      epochs: Number of epochs after which to take the results; None for the largest number that a
        row was measured after.
      per: Unit of evaluation, a key of `aggregation.AGGREGATIONS`.
      temperature: Whether to scale the probabilities of each cell with a temperature that is fitted
        on the cell's validation examples.

    Returns:
      One Row per workdir, table, protocol and config row.

    Raises:
      UserError: A workdir has no records, a protocol or row is unknown, predictions are missing or
        do not belong to the records, or results from different data would appear in one table.
    """
    stored = measured_rows.read_rows({Path(w).resolve(): Path(w) for w in workdirs}.values())
    for what, requested, known in (
        ("protocol", protocols, [measured.protocol for measured in stored]),
        ("row", rows, [measured.row.name for measured in stored]),
    ):
        for name in requested:
            if name not in known:
                raise errors.unknown(what, name, dict.fromkeys(known))
    selected = [
        measured
        for measured in stored
        if (not protocols or measured.protocol in protocols)
        and (not rows or measured.row.name in rows)
    ]
    if not selected:
        raise errors.UserError(
            f"no row of {', '.join(rows)} was measured under {', '.join(protocols)}"
        )
    results = [_select_epochs(measured, epochs) for measured in selected]
    with_predictions = [
        _load_row(measured, result, aggregation.AGGREGATIONS[per], temperature)
        for measured, result in zip(selected, results, strict=True)
    ]
    check_same_data(with_predictions)
    return with_predictions


def check_same_data(rows: Iterable[Row]) -> None:
    """Checks that all rows with the same dataset name were measured on the same data.

    Args:
      rows: Rows that would appear in one table.

    Raises:
      UserError: See `data_check.check`; the message names workdir, row, fold and seed.
    """
    data_check.check(
        (f"{row.workdir}, row {row.name}, fold {record['fold']}, seed {record['seed']}", record)
        for row in rows
        for record in row.records
    )


def _select_epochs(measured: measured_rows.MeasuredRow, epochs: int | None) -> summary.Measured:
    by_epochs = measured.row.by_epochs
    if epochs is not None and epochs not in by_epochs:
        raise errors.UserError(
            f"{measured.workdir}: row {measured.row.name} under {measured.protocol} was measured "
            f"after {', '.join(map(str, by_epochs))} epochs, not after {epochs}; select other rows "
            "with --rows"
        )
    return by_epochs[max(by_epochs) if epochs is None else epochs]


def _load_row(
    measured: measured_rows.MeasuredRow,
    result: summary.Measured,
    aggregate: Callable[[Predictions], Predictions],
    temperature: bool,
) -> Row:
    folds: dict[int, list[Predictions]] = {}
    temperatures = []
    for record in result.records:
        test = aggregate(cell_predictions.load(measured.workdir, record, "test"))
        if temperature:
            validation = aggregate(cell_predictions.load(measured.workdir, record, "validation"))
            fitted = calibration.fit_temperature(validation.label, validation.probabilities)
            scaled = calibration.apply_temperature(test.probabilities, fitted)
            test = dataclasses.replace(test, probabilities=scaled)
            temperatures.append(fitted)
        folds.setdefault(record["seed"], []).append(test)
    return Row(
        measured.workdir,
        measured.table,
        measured.protocol,
        measured.row.name,
        result.records[0]["epochs"],
        result.records,
        {seed: aggregation.concatenate(tests) for seed, tests in folds.items()},
        tuple(temperatures),
        measured.row.setting,
    )


@dataclasses.dataclass(frozen=True)
class Pair:
    """Comparison of two rows on the same test clips.

    Attributes:
      first: The first row.
      second: The second row.
      seeds: Seeds that both rows have.
      difference: Accuracy of the first row minus accuracy of the second row, with its interval.
      mcnemar: McNemar's test on the ensemble of all seeds of each row (mean probabilities).
      permutation: p-value of the permutation test that exchanges the predictions of the two rows
        for whole groups.
      groups: The groups (subjects, or clips if there is only one subject) that the interval is over
        and that the permutation test exchanges.
    """

    first: Row
    second: Row
    seeds: tuple[int, ...]
    difference: intervals.Interval
    mcnemar: significance.McNemar
    permutation: float
    groups: aggregation.Groups


def describe_settings(rows: Iterable[Row]) -> list[str]:
    """Returns the caveats of transductive and of validation results, each once; may be empty.

    Args:
      rows: The rows whose results are shown.
    """
    return settings.describe((row.setting, row.tested, row.records) for row in rows)


def pair(first: Row, second: Row) -> Pair:
    """Compares two rows on the seeds that both have.

    Args:
      first: The first row.
      second: The second row.

    Raises:
      UserError: The rows share no seed, or were not tested on the same examples of the same subset.
        The message gives only the reason and does not name the rows.
    """
    seeds = tuple(sorted(set(first.tests) & set(second.tests)))
    if not seeds:
        raise errors.UserError("no seed in common")
    if first.tested != second.tested:
        raise errors.UserError("one has test results, the other validation results")
    tests = [[_sort(row.tests[seed]) for seed in seeds] for row in (first, second)]
    for seed, first_test, second_test in zip(seeds, *tests, strict=True):
        _check_same_examples(seed, first, first_test, second, second_test)
    groups = aggregation.groups(tests[0], first.dataset)
    differences = [_correct(a) - _correct(b) for a, b in zip(*tests, strict=True)]
    # Each example's contribution to the difference of accuracies, averaged over seeds.
    contributions = np.concatenate([d / len(d) / len(seeds) for d in differences])
    _, member = np.unique(np.concatenate(groups.labels), return_inverse=True)
    # McNemar's test needs one prediction per clip: more seeds are not more clips.
    ensembles = [aggregation.by_example(aggregation.concatenate(row_tests)) for row_tests in tests]
    return Pair(
        first,
        second,
        seeds,
        intervals.jackknife_difference(differences, groups.labels),
        significance.mcnemar(*map(_correct, ensembles)),
        significance.permutation(np.bincount(member, contributions)),
        groups,
    )


def _sort(examples: Predictions) -> Predictions:
    """Sorts predictions by (clip, view)."""
    order = np.lexsort((examples.view, examples.clip))
    fields = (field.name for field in dataclasses.fields(Predictions))
    return Predictions(*(getattr(examples, field)[order] for field in fields))


def _correct(examples: Predictions) -> np.ndarray:
    """Returns 1 for each correct prediction and 0 for each wrong one, float64 [n]."""
    return (examples.probabilities.argmax(axis=1) == examples.label).astype(np.float64)


def _check_same_examples(
    seed: int, first: Row, first_test: Predictions, second: Row, second_test: Predictions
) -> None:
    tests = (first_test, second_test)
    keys = [list(zip(test.clip.tolist(), test.view.tolist(), strict=True)) for test in tests]
    if keys[0] != keys[1]:
        shared = len(set(keys[0]) & set(keys[1]))
        raise errors.UserError(
            f"test examples of seed {seed} differ: {len(keys[0]) - shared} only in the first, "
            f"{len(keys[1]) - shared} only in the second, {shared} shared"
        )
    emotions = [
        np.array(row.emotions)[test.label] for row, test in zip((first, second), tests, strict=True)
    ]
    if set(first.emotions) != set(second.emotions) or not np.array_equal(*emotions):
        raise errors.UserError("their emotions differ")


def pairs(rows: Sequence[Row]) -> tuple[list[Pair], dict[str, list[tuple[Row, Row]]]]:
    """Compares every two of the given rows.

    Args:
      rows: The rows.

    Returns:
      A tuple (compared, not_compared): the comparisons of all pairs that can be compared, and a
      dict, reason -> pairs of rows that cannot be compared for this reason.
    """
    compared: list[Pair] = []
    not_compared: dict[str, list[tuple[Row, Row]]] = {}
    for first, second in itertools.combinations(rows, 2):
        try:
            compared.append(pair(first, second))
        except errors.UserError as error:
            not_compared.setdefault(str(error), []).append((first, second))
    return compared, not_compared

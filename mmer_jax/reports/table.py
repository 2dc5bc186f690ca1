"""Result tables for the terminal, with the paper's numbers next to the measured ones."""

import os
import textwrap
from collections.abc import Mapping, Sequence

from mmer_jax import errors
from mmer_jax.evaluation import summary
from mmer_jax.evaluation.summary import percent
from mmer_jax.results.records import Record
from mmer_jax.utils import columns

NOTE_WIDTH = 100  # characters
NOTHING = "-"  # Stands for a result that was not measured, or a number that is not in the paper.


def format_tables(
    records: Sequence[Record],
    guarantees: Mapping[str, str] | None = None,
    workdir: str | os.PathLike | None = None,
) -> str:
    """Formats records as one table for each (table, protocol), with accuracies in percent.

    Confidence intervals (95%) come from a bootstrap over subjects if `workdir` has predictions. If
    it has none, config rows with one seed have Wilson intervals. With several seeds, the table
    shows the mean accuracy and the sample standard deviation over seeds.

    Args:
      records: Records as returned by `records.read`.
      guarantees: Name of a protocol -> description of what training and test split cannot share;
        None for the descriptions of the protocol registry.
      workdir: Workdir of the records, from which predictions are read; None to use the records
        only.

    Returns:
      Text without a trailing newline.

    Raises:
      UserError: There are no records, or a table has different data under one dataset name.
    """
    if not records:
        raise errors.UserError(
            "no results yet: run.py --config=configs/... writes the first record when training "
            "reaches the first number of epochs to measure after"
        )
    blocks = summary.speaker_independent_first(summary.blocks(records, workdir))
    summary.check_same_data(blocks)
    return "\n\n".join(
        _block(block, summary.describe_guarantee(block.protocol, guarantees)) for block in blocks
    )


def _block(block: summary.Block, guarantee: str) -> str:
    has_seeds = any(len(row.last.seeds) > 1 for row in block.rows)
    has_intervals = any(row.last.interval for row in block.rows)
    head = ["row"] + [f"{epochs} epoch{'s' * (epochs != 1)}" for epochs in block.epochs]
    head += ["95% interval"] * has_intervals + ["seeds"] * has_seeds + ["chance", "tests", "clips"]
    table = [head] + [_make_table_row(row, block, has_intervals, has_seeds) for row in block.rows]

    notes = [
        "Test accuracy in %"
        + (", mean ± standard deviation over seeds" if has_seeds else "")
        + ("; the paper's number in brackets" if block.has_paper else "")
        + "."
        + _interval_note(block)
        + " Chance: always predicting the most frequent emotion. Tests: number of test examples. "
        "Clips: number of test clips.",
        f"Protocol {block.protocol}: {guarantee}",
    ]
    if any(row.rendered for row in block.rows):
        notes.append(summary.RENDERED_NOTE)
    wrapped = [textwrap.fill(note, NOTE_WIDTH, break_long_words=False) for note in notes]
    title = f"{block.table}, {block.protocol}"
    return "\n".join([title, "", *columns.aligned(table), "", *wrapped])


def _interval_note(block: summary.Block) -> str:
    """Returns a sentence that explains a table's intervals; "" if the table has none."""
    with_interval = [row.last for row in block.rows if row.last.interval]
    if not with_interval:
        return ""
    bootstrapped = [measured for measured in with_interval if measured.bootstrap]
    if not bootstrapped:
        return (
            " Interval after the most epochs: Wilson score interval, which assumes independent "
            "examples, because there are no predictions."
        )
    groups = " or ".join(dict.fromkeys(f"{measured.groups}s" for measured in bootstrapped))
    note = f" Interval after the most epochs: bootstrap over {groups}"
    if len(bootstrapped) == len(with_interval):
        return note + "."
    return note + "; Wilson score interval where there are no predictions."


def _make_table_row(
    row: summary.Row, block: summary.Block, has_intervals: bool, has_seeds: bool
) -> list[str]:
    """Returns the cells of the table row of a config row."""
    cells = [row.name]
    for epochs in block.epochs:
        measured = row.by_epochs.get(epochs)
        if measured is None:
            cells.append(NOTHING)
            continue
        text = percent(measured.accuracy)
        if measured.spread is not None:
            text += f" ±{percent(measured.spread)}"
        if block.has_paper:
            paper = NOTHING if measured.paper is None else percent(measured.paper)
            text += f" {f'({paper})':>6}"
        cells.append(text)
    last = row.last
    if has_intervals:
        cells.append("-".join(percent(end) for end in last.interval) if last.interval else NOTHING)
    if has_seeds:
        cells.append(str(len(last.seeds)))
    return [*cells, percent(last.chance), last.count("n_test"), last.count("n_test_clips")]

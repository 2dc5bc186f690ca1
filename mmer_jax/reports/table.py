"""Result tables for the terminal, with the paper's numbers next to the measured ones."""

import os
import textwrap
from collections.abc import Mapping, Sequence

from mmer_jax import errors
from mmer_jax.evaluation import summary
from mmer_jax.evaluation.summary import percent
from mmer_jax.reports import interval_notes
from mmer_jax.results.records import Record
from mmer_jax.utils import columns

NOTE_WIDTH = 100  # characters
NOTHING = "-"  # Stands for a result that was not measured, or a number that is not in the paper.


def format_tables(
    records: Sequence[Record],
    guarantees: Mapping[str, str] | None = None,
    workdir: str | os.PathLike | None = None,
) -> str:
    """Formats records as a block of text for each (table, protocol), with accuracies in percent.

    Accuracies are per clip, with 95% intervals (see `evaluation.intervals`). A second table of a
    block has the accuracies per test example, beside the paper's numbers, which are per example. It
    is left out if the paper has none and all predictions could be read.

    Args:
      records: Records as returned by `records.read`.
      guarantees: Name of a protocol -> description of what training and test split cannot share;
        None for the descriptions of the protocol registry.
      workdir: Workdir of the records, from which predictions are read; None to use the records
        only, which have accuracies per example.

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
    title = f"{block.table}, {block.protocol}: {_subset(block)} accuracy per"
    problems = {
        row.title: measured.problem
        for row in block.rows
        for measured in row.by_epochs.values()
        if measured.problem
    }
    paragraphs = []
    if any(measured.per_clip for row in block.rows for measured in row.by_epochs.values()):
        paragraphs += [f"{title} clip in %", _format_per_clip(block)]
    if block.has_paper or problems:
        paper = ", the paper's number in brackets" * block.has_paper
        paragraphs += [f"{title} example in %{paper}", _format_per_example(block)]
    notes = [*_describe_table(block), *(f"{name}: {text}" for name, text in problems.items())]
    if missing := [f"{row.name}: {row.incomplete}" for row in block.rows if row.incomplete]:
        notes.append(f"Results are incomplete. {'. '.join(missing)}.")
    notes += [*summary.describe_settings(block.rows), f"Protocol {block.protocol}: {guarantee}"]
    if any(row.rendered for row in block.rows):
        notes.append(summary.RENDERED_NOTE)
    wrapped = [textwrap.fill(note, NOTE_WIDTH, break_long_words=False) for note in notes]
    return "\n\n".join([*paragraphs, "\n".join(wrapped)])


def _describe_table(block: summary.Block) -> list[str]:
    """Returns the sentences that explain the columns and intervals of a block."""
    results = [measured for row in block.rows for measured in row.by_epochs.values()]
    text = "Chance: always predicting the most frequent emotion."
    if _has_seeds(block):
        text = f"Mean ± standard deviation over seeds. {text}"
    if any(measured.per_clip for measured in results):
        text += " Per clip: the probabilities of a clip are averaged over its examples."
    if block.has_paper:
        text += (
            " Per example: each example counts, as in the paper; a clip may have several. "
            "Compare the paper's number with this one."
        )
    if any(measured.problem for measured in results):
        text += " There is no accuracy per clip where predictions could not be read:"
    groups = {row.title: row.last.groups for row in block.rows if row.last.groups}
    return [*interval_notes.describe_intervals(groups), text]


def _subset(block: summary.Block) -> str:
    return " and ".join(sorted({row.tested for row in block.rows}))


def _has_seeds(block: summary.Block) -> bool:
    return any(len(row.last.seeds) > 1 for row in block.rows)


def _has_missing_folds(block: summary.Block) -> bool:
    return any(row.last.incomplete for row in block.rows)


def _format_per_clip(block: summary.Block) -> str:
    """Formats the accuracies per clip of all rows, with the intervals after the most epochs."""
    head = ["row", *_epoch_headings(block), "95% interval"]
    head += [*["seeds"] * _has_seeds(block), *["folds"] * _has_missing_folds(block)]
    table = [[*head, "chance", "clips"]]
    for row in block.rows:
        cells = [row.title]
        for epochs in block.epochs:
            scores = row.by_epochs[epochs].per_clip if epochs in row.by_epochs else None
            cells.append(scores.format_accuracy() if scores else NOTHING)
        last = row.last
        cells.append(last.interval.format_ends(percent) if last.interval else NOTHING)
        cells += [str(len(last.seeds))] * _has_seeds(block)
        cells += [last.folds] * _has_missing_folds(block)
        cells.append(percent(last.per_clip.chance) if last.per_clip else NOTHING)
        table.append([*cells, last.count("n_test_clips")])
    return "\n".join(columns.aligned(table))


def _format_per_example(block: summary.Block) -> str:
    """Formats the accuracies per example of all rows, beside the paper's numbers if it has any."""
    head = ["row", *_epoch_headings(block), *["seeds"] * _has_seeds(block)]
    head += ["folds"] * _has_missing_folds(block)
    table = [[*head, "chance", "examples"]]
    for row in block.rows:
        cells = [row.title]
        for epochs in block.epochs:
            measured = row.by_epochs.get(epochs)
            cells.append(NOTHING)
            if measured:
                cells[-1] = measured.per_example.format_accuracy()
                if block.has_paper:
                    paper = NOTHING if measured.paper is None else percent(measured.paper)
                    cells[-1] += f" {f'({paper})':>6}"
        cells += [str(len(row.last.seeds))] * _has_seeds(block)
        cells += [row.last.folds] * _has_missing_folds(block)
        table.append([*cells, percent(row.last.per_example.chance), row.last.count("n_test")])
    return "\n".join(columns.aligned(table))


def _epoch_headings(block: summary.Block) -> list[str]:
    return [f"{epochs} epoch{'s' * (epochs != 1)}" for epochs in block.epochs]

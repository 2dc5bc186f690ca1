"""The table on the terminal: what was measured, with the paper's number beside it."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from mmer_jax import errors
from mmer_jax.evaluation import summary
from mmer_jax.evaluation.summary import percent

WIDTH = 100  # of the notes, in characters
NOTHING = "-"  # not measured, or no number of the paper


def terminal_table(
    records: Sequence[Mapping[str, Any]], promises: Mapping[str, str] | None = None
) -> str:
    """Records as text: one table for each (table, protocol), accuracies in percent.

    Args:
      records: as records.read gives them.
      promises: what each protocol keeps apart, by name; those of datasets.protocols if None.

    Returns:
      Lines without a last newline. With one seed there is Wilson's 95% interval; with several,
      accuracies are mean and sample standard deviation over seeds.

    Raises:
      UserError: if there is no record.
    """
    if not records:
        raise errors.UserError(
            "nothing is measured yet: run.py --config=configs/... writes its first record when it "
            "reaches the first number of epochs to measure at"
        )
    return "\n\n".join(
        _block(block, summary.promise(block.protocol, promises))
        for block in summary.blocks(records)
    )


def _block(block: summary.Block, promise: str) -> str:
    several = any(len(row.last.seeds) > 1 for row in block.rows)
    head = ["row"] + [f"{epochs} epoch{'s' * (epochs != 1)}" for epochs in block.epochs]
    head += ["seeds" if several else "95% interval", "chance", "tests", "clips"]
    lines = [head] + [_line(row, block, several) for row in block.rows]

    notes = [
        "Test accuracy in %"
        + (", mean ± standard deviation over seeds" if several else "")
        + ("; the paper's number in brackets" if block.has_paper else "")
        + "."
        + ("" if several else " The interval is Wilson's, for the most epochs.")
        + " Chance is always naming the commonest emotion; tests are examples, clips recordings.",
        f"Protocol {block.protocol}: {promise}",
    ]
    if any(row.rendered for row in block.rows):
        notes.append(summary.RENDERED_NOTE)
    wrapped = [textwrap.fill(note, WIDTH, break_long_words=False) for note in notes]
    return "\n".join([f"{block.table}, {block.protocol}", "", *_columns(lines), "", *wrapped])


def _line(row: summary.Row, block: summary.Block, several: bool) -> list[str]:
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
    if several:
        cells.append(str(len(last.seeds)))
    else:
        cells.append("-".join(percent(end) for end in last.interval))
    return [*cells, percent(last.chance), last.count("n_test"), last.count("n_test_clips")]


def _columns(lines: list[list[str]]) -> list[str]:
    """Cells padded to columns, the first to the left and the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]

"""The table on the terminal: what was measured, with the paper's number beside it."""

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from mmer_jax import errors
from mmer_jax.evaluation import summary
from mmer_jax.evaluation.summary import percent
from mmer_jax.utils import columns

WIDTH = 100  # of the notes, in characters
NOTHING = "-"  # not measured, or no number of the paper


def terminal_table(
    records: Sequence[Mapping[str, Any]],
    promises: Mapping[str, str] | None = None,
    workdir: str | os.PathLike | None = None,
) -> str:
    """Records as text: one table for each (table, protocol), accuracies in percent.

    Args:
      records: as records.read gives them.
      promises: what each protocol keeps apart, by name; those of datasets.protocols if None.
      workdir: where the records are from: intervals are made from the predictions there.

    Returns:
      Lines without a last newline. The 95% interval is a bootstrap's over subjects; without
      predictions it is Wilson's, for one seed. With several seeds accuracies are mean and sample
      standard deviation over seeds.

    Raises:
      UserError: if there is no record, or data of one name differ within a table.
    """
    if not records:
        raise errors.UserError(
            "nothing is measured yet: run.py --config=configs/... writes its first record when it "
            "reaches the first number of epochs to measure at"
        )
    blocks = summary.honest_first(summary.blocks(records, workdir))
    summary.check_same_data(blocks)
    return "\n\n".join(_block(block, summary.promise(block.protocol, promises)) for block in blocks)


def _block(block: summary.Block, promise: str) -> str:
    several = any(len(row.last.seeds) > 1 for row in block.rows)
    head = ["row"] + [f"{epochs} epoch{'s' * (epochs != 1)}" for epochs in block.epochs]
    known = any(row.last.interval for row in block.rows)
    head += ["95% interval"] * known + ["seeds"] * several + ["chance", "tests", "clips"]
    lines = [head] + [_line(row, block, known, several) for row in block.rows]

    notes = [
        "Test accuracy in %"
        + (", mean ± standard deviation over seeds" if several else "")
        + ("; the paper's number in brackets" if block.has_paper else "")
        + "."
        + _of_intervals(block)
        + " Chance is always naming the commonest emotion; tests are examples, clips recordings.",
        f"Protocol {block.protocol}: {promise}",
    ]
    if any(row.rendered for row in block.rows):
        notes.append(summary.RENDERED_NOTE)
    wrapped = [textwrap.fill(note, WIDTH, break_long_words=False) for note in notes]
    title = f"{block.table}, {block.protocol}"
    return "\n".join([title, "", *columns.aligned(lines), "", *wrapped])


def _of_intervals(block: summary.Block) -> str:
    """Which interval stands in a block's table, in words."""
    last = [row.last for row in block.rows if row.last.interval]
    if not last:
        return ""
    bootstrapped = [measured for measured in last if measured.bootstrap]
    if not bootstrapped:
        return (
            " The interval is Wilson's, for the most epochs: predictions are not there, and it "
            "takes examples as independent."
        )
    units = " or ".join(dict.fromkeys(f"{measured.units}s" for measured in bootstrapped))
    text = f" The interval, for the most epochs, is a bootstrap's that resamples {units}"
    return text + ("." if len(bootstrapped) == len(last) else "; Wilson's without predictions.")


def _line(row: summary.Row, block: summary.Block, known: bool, several: bool) -> list[str]:
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
    if known:
        cells.append("-".join(percent(end) for end in last.interval) if last.interval else NOTHING)
    if several:
        cells.append(str(len(last.seeds)))
    return [*cells, percent(last.chance), last.count("n_test"), last.count("n_test_clips")]

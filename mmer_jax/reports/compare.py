"""Rows of one or several work folders under each protocol: how well each is known, which differ.

    mmer compare runs/honest runs/paper --protocol actor_kfold

Each row has its figures with 95% intervals over subjects. Rows that were tested on the same clips
are compared in pairs.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmer_jax.evaluation import (
    aggregation,
    calibration,
    comparable,
    intervals,
    significance,
    summary,
)
from mmer_jax.evaluation.comparable import Pair, Row
from mmer_jax.evaluation.summary import percent
from mmer_jax.reports import judged
from mmer_jax.reports.judged import FIGURES
from mmer_jax.utils import columns

WIDTH = 100  # of the notes, in characters


def text(rows: Sequence[Row], per: str = "clip", in_markdown: bool = False) -> str:
    """Rows as text, for each protocol their figures and then their pairs.

    Args:
      rows: as comparable.read gives them.
      per: as they were read.
      in_markdown: for documents; else for the terminal.

    Returns:
      lines without a last newline.
    """
    by_protocol: dict[str, list[Row]] = {}
    for row in rows:
        by_protocol.setdefault(row.protocol, []).append(row)
    return "\n\n".join(
        part
        for protocol, members in by_protocol.items()
        for part in _block(protocol, members, per, in_markdown)
    )


def _block(protocol: str, rows: Sequence[Row], per: str, in_markdown: bool) -> list[str]:
    lines = columns.markdown if in_markdown else columns.aligned
    names = dict(zip(rows, judged.names_of(rows), strict=True))
    title = f"{protocol}, per {per}"
    parts = [f"### {title}" if in_markdown else title, "\n".join(lines(_figures(rows, names, per)))]
    notes = _notes_on_rows(protocol, rows, names, per)
    found, left_out = comparable.pairs(rows)
    if found:
        parts += [_filled(note, in_markdown) for note in notes]
        parts.append("\n".join(lines(_pairs(found, names, per))))
        notes = _notes_on_pairs(found, per)
    for reason, members in left_out.items():
        told = "; ".join(f"{names[first]} and {names[second]}" for first, second in members)
        notes.append(f"Not compared ({reason}): {told}.")
    return parts + [_filled(note, in_markdown) for note in notes]


def _figures(rows: Sequence[Row], names: Mapping[Row, str], per: str) -> list[list[str]]:
    at_temperature = any(row.temperatures for row in rows)
    head = ["row", *FIGURES, *["temperature"] * at_temperature]
    lines = [[*head, "chance", "epochs", "seeds", "folds", f"{per}s", "subjects"]]
    for row in rows:
        cells = [names[row]]
        for figure, shown in FIGURES.values():
            found = row.figure(figure)
            spread = "" if found.spread is None else f" ±{shown(found.spread)}"
            cells.append(f"{shown(found.mean)}{spread} ({shown(found.low)}-{shown(found.high)})")
        if at_temperature:
            cells.append(_range(row.temperatures, "{:.2f}".format))
        labels = aggregation.joined(list(row.tests.values())).label
        cells += [percent(np.bincount(labels).max() / len(labels)), str(row.epochs)]
        cells += [str(len(row.tests)), str(len({record["fold"] for record in row.records}))]
        cells.append(_range([len(test.label) for test in row.tests.values()], str))
        lines.append([*cells, str(row.units.count if row.units.name == "subject" else 1)])
    return lines


def _range(values: Sequence, shown: Callable[[Any], str]) -> str:
    return "-".join(dict.fromkeys(shown(end) for end in (min(values), max(values))))


def _pairs(found: Sequence[Pair], names: Mapping[Row, str], per: str) -> list[list[str]]:
    head = ["first", "second", "difference", "right: first only", "second only"]
    lines = [[*head, "McNemar p", "corrected", "permutation p", "corrected", "seeds"]]
    mcnemar = significance.holm([one.mcnemar.p for one in found])
    permutation = significance.holm([one.permutation for one in found])
    for one, *corrected in zip(found, mcnemar, permutation, strict=True):
        difference, low, high = (
            f"{100 * value:+.1f}"
            for value in (one.difference.mean, one.difference.low, one.difference.high)
        )
        lines.append(
            [
                *(names[one.first], names[one.second], f"{difference} ({low} to {high})"),
                *(str(one.mcnemar.only_first), str(one.mcnemar.only_second)),
                *(_p(one.mcnemar.p), _p(corrected[0]), _p(one.permutation), _p(corrected[1])),
                str(len(one.seeds)),
            ]
        )
    return lines


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _notes_on_rows(
    protocol: str, rows: Sequence[Row], names: Mapping[Row, str], per: str
) -> list[str]:
    notes = [
        "Test figures, in % but for NLL (nats): mean, ± standard deviation over seeds, folds "
        "pooled, and in brackets the 95% interval of the mean. "
        + ("A clip's decision is the mean over its test examples. " if per == "clip" else "")
        + "UAR is the unweighted average recall, NLL the negative log-likelihood, ECE the expected "
        f"calibration error over {calibration.BINS} bins.",
        f"The interval is a bootstrap's: in each of {intervals.RESAMPLES} resamples as many "
        "subjects are drawn with replacement as there are, the same for all seeds, each with all "
        "that was tested of it. Networks are not trained again. Luck of few examples makes ECE "
        "larger, in resamples once more: its interval lies too high.",
    ]
    alone = [names[row] for row in rows if row.units.name != "subject"]
    if alone:
        notes.append(
            f"One subject in {', '.join(alone)}: clips are drawn instead, so the interval says "
            "nothing about other people."
        )
    if any(row.temperatures for row in rows):
        notes.append(
            "Probabilities are taken at the temperature that suits each cell's validation part "
            "best: decisions stay, NLL and ECE change."
        )
    incomplete = [f"{names[row]}: {'; '.join(row.missing)}" for row in rows if row.missing]
    if incomplete:
        notes.append(f"Not all is measured yet. {'. '.join(incomplete)}.")
    notes.append(f"Protocol {protocol}: {summary.promise(protocol)}")
    if any(row.rendered for row in rows):
        notes.append(summary.RENDERED_NOTE)
    return notes


def _notes_on_pairs(found: Sequence[Pair], per: str) -> list[str]:
    notes = [
        "Difference of accuracy in points, the first's less the second's, over the seeds that both "
        f"have, with its 95% interval. McNemar's exact test is on the decisions of all seeds "
        f"together (mean probabilities) and takes {per}s as independent"
        + (", which those of one clip are not" if per == "triplet" else "")
        + ". The permutation test exchanges the two rows for whole subjects. Corrected: by Holm's "
        f"method, for the number of pairs here ({len(found)})."
    ]
    if any(one.units.name != "subject" for one in found):
        notes.append("Where there is one subject, single clips are exchanged.")
    fewest = min(one.units.count for one in found)
    least = 2.0 ** (1 - fewest)  # both ways round
    if least > 0.01:
        notes.append(
            f"With {fewest} {found[0].units.name}s no permutation p can be below {least:.2g}, "
            "whatever the difference."
        )
    return notes


def _filled(note: str, in_markdown: bool) -> str:
    return note if in_markdown else textwrap.fill(note, WIDTH, break_long_words=False)

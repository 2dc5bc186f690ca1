"""Comparison of config rows within one workdir or across several, as text.

    mmer compare runs/unseen_speakers runs/paper --protocol actor_kfold

For each protocol there is a table of metrics with 95% confidence intervals over subjects, and a
table of paired tests between the rows that were tested on the same clips.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmer_jax.evaluation import (
    aggregation,
    calibration,
    comparable,
    significance,
    summary,
)
from mmer_jax.evaluation.comparable import Pair, Row
from mmer_jax.evaluation.summary import percent
from mmer_jax.reports import clip_level, interval_notes
from mmer_jax.reports.clip_level import METRICS, points
from mmer_jax.utils import columns

NOTE_WIDTH = 100  # characters


def format_comparison(rows: Sequence[Row], per: str = "clip", markdown: bool = False) -> str:
    """Formats the metrics and paired tests of rows, protocol by protocol.

    Args:
      rows: Rows as returned by `comparable.read`.
      per: Unit of the counts, a key of `aggregation.AGGREGATIONS`; the same as in the call of
        `comparable.read`.
      markdown: Whether to format tables in Markdown; if false, for a terminal.

    Returns:
      Text without a trailing newline.
    """
    by_protocol: dict[str, list[Row]] = {}
    for row in rows:
        by_protocol.setdefault(row.protocol, []).append(row)
    for members in by_protocol.values():
        members.sort(key=lambda row: row.setting)  # inductive rows first
    return "\n\n".join(
        paragraph
        for protocol, members in by_protocol.items()
        for paragraph in _block(protocol, members, per, markdown)
    )


def _block(protocol: str, rows: Sequence[Row], per: str, markdown: bool) -> list[str]:
    format_table = columns.markdown if markdown else columns.aligned
    names = dict(zip(rows, clip_level.make_unique_names(rows), strict=True))
    title = f"{protocol}, per {per}"
    paragraphs = [f"### {title}" if markdown else title]
    paragraphs.append("\n".join(format_table(_make_metrics_table(rows, names, per))))
    notes = _row_notes(protocol, rows, names, per)
    pairs, not_compared = comparable.pairs(rows)
    if pairs:
        paragraphs += [_wrap(note, markdown) for note in notes]
        paragraphs.append("\n".join(format_table(_make_pairs_table(pairs, names))))
        notes = interval_notes.describe_pairs(pairs, per)
    for reason, members in not_compared.items():
        pair_names = "; ".join(f"{names[first]} and {names[second]}" for first, second in members)
        notes.append(f"Not compared ({reason}): {pair_names}.")
    return paragraphs + [_wrap(note, markdown) for note in notes]


def _make_metrics_table(rows: Sequence[Row], names: Mapping[Row, str], per: str) -> list[list[str]]:
    """Returns table rows of strings, header first, one per config row."""
    has_temperatures = any(row.temperatures for row in rows)
    head = ["row", *METRICS, *["temperature"] * has_temperatures]
    table = [[*head, "chance", "epochs", "seeds", "folds", f"{per}s", "subjects"]]
    for row in rows:
        cells = [names[row]]
        for metric, format_value in METRICS.values():
            interval = row.metric(metric)
            spread = "" if interval.spread is None else f" ±{format_value(interval.spread)}"
            ends = interval.format_ends(format_value)
            cells.append(f"{format_value(interval.mean)}{spread} ({ends})")
        if has_temperatures:
            cells.append(_range(row.temperatures, "{:.2f}".format))
        labels = aggregation.concatenate(list(row.tests.values())).label
        cells += [percent(np.bincount(labels).max() / len(labels)), str(row.epochs)]
        cells += [str(len(row.tests)), row.folds]
        cells.append(_range([len(test.label) for test in row.tests.values()], str))
        table.append([*cells, str(row.groups.count if row.groups.name == "subject" else 1)])
    return table


def _range(values: Sequence, format_value: Callable[[Any], str]) -> str:
    """Formats the smallest and largest value as "low-high", or as one value if they agree."""
    return "-".join(dict.fromkeys(format_value(end) for end in (min(values), max(values))))


def _make_pairs_table(pairs: Sequence[Pair], names: Mapping[Row, str]) -> list[list[str]]:
    """Returns table rows of strings, header first, one per pair of config rows."""
    head = ["first", "second", "difference", "correct: only first", "only second"]
    table = [[*head, "McNemar p", "corrected", "permutation p", "corrected", "seeds"]]
    mcnemar = significance.holm([pair.mcnemar.p for pair in pairs])
    permutation = significance.holm([pair.permutation for pair in pairs])
    for pair, *corrected in zip(pairs, mcnemar, permutation, strict=True):
        ends = pair.difference.format_ends(points, " to ")
        table.append(
            [
                *(
                    names[pair.first],
                    names[pair.second],
                    f"{points(pair.difference.mean)} ({ends})",
                ),
                *(str(pair.mcnemar.only_first), str(pair.mcnemar.only_second)),
                *(_format_p(pair.mcnemar.p), _format_p(corrected[0])),
                *(_format_p(pair.permutation), _format_p(corrected[1]), str(len(pair.seeds))),
            ]
        )
    return table


def _format_p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _row_notes(protocol: str, rows: Sequence[Row], names: Mapping[Row, str], per: str) -> list[str]:
    subset = " and ".join(sorted({row.tested for row in rows})).capitalize()
    notes = [
        f"{subset} metrics per {per} in %, NLL in nats: mean ± standard deviation over seeds, "
        "folds pooled, with the 95% interval of the mean in brackets. "
        + ("Probabilities of a clip are averaged over its examples. " if per == "clip" else "")
        + "UAR: unweighted average recall. NLL: negative log-likelihood. ECE: expected calibration "
        f"error over {calibration.BINS} bins.",
        *comparable.describe_settings(rows),
        *interval_notes.describe_intervals({names[row]: row.groups for row in rows}),
        f"The ECE of few {per}s is biased upwards; its interval is for the ECE of as many {per}s.",
    ]
    if any(row.temperatures for row in rows):
        notes.append(
            "Temperature scaling: the temperature of each cell is fitted on its validation split. "
            "It changes NLL and ECE, but no prediction."
        )
    if missing := [f"{names[row]}: {row.incomplete}" for row in rows if row.incomplete]:
        notes.append(f"Results are incomplete. {'. '.join(missing)}.")
    notes.append(f"Protocol {protocol}: {summary.describe_guarantee(protocol)}")
    if any(row.rendered for row in rows):
        notes.append(summary.RENDERED_NOTE)
    return notes


def _wrap(note: str, markdown: bool) -> str:
    return note if markdown else textwrap.fill(note, NOTE_WIDTH, break_long_words=False)

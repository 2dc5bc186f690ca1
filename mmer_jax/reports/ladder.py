"""Report section on the leakage ladder.

The ladder is the accuracy of one model under protocols that share less and less between training
and test. The section has a table, explanations and a drawing.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mmer_jax import errors
from mmer_jax.evaluation import ladder, summary
from mmer_jax.evaluation.summary import percent
from mmer_jax.reports import interval_notes
from mmer_jax.reports.sections import Section
from mmer_jax.results import records

HEADINGS = (
    "protocol",
    "accuracy per example",
    "95% interval",
    "training examples",
    "recordings",
    "speakers",
    "examples per clip",
    "networks",
    "seeds",
    "cannot leak",
)


def make_table(rungs: Sequence[ladder.Rung]) -> list[tuple[str, ...]]:
    """Returns the table rows, header first, one per protocol (rung); accuracies are in percent.

    Args:
      rungs: Rungs as returned by `ladder.rungs`.

    Returns:
      Table rows of strings with the columns HEADINGS.
    """
    table: list[tuple[str, ...]] = [HEADINGS]
    for rung in rungs:
        mean, spread = rung.accuracy.mean, rung.accuracy.spread
        table.append(
            (
                rung.title,
                percent(mean) + ("" if spread is None else f" ±{percent(spread)}"),
                rung.accuracy.format_ends(percent),
                *map(_range, (rung.train_sizes, rung.train_clips, rung.train_subjects)),
                f"{rung.test_views:.1f}",
                str(rung.networks),
                str(rung.seeds),
                summary.describe_guarantee(rung.protocol).split(":")[0].rstrip(". ") + ".",
            )
        )
    return table


def _range(ends: tuple[int, int] | None) -> str:
    return "-".join(dict.fromkeys(map(str, ends))) if ends else "-"


def make_sections(workdir: Path) -> list[Section]:
    """Makes a report section for each config row that was measured under three or more protocols.

    Args:
      workdir: Workdir of a run.
    """
    stored = records.read(workdir / records.FILE_NAME)
    ladders = []
    for row in dict.fromkeys(record["row"] for record in stored):
        protocols = {record["protocol"] for record in stored if record["row"] == row}
        if len(protocols) < 3:
            continue
        title = f"The leakage ladder: {row}"
        try:
            rungs = ladder.rungs([workdir], row)
        except errors.UserError as error:
            ladders.append(Section(title, (f"Not available: {error}",)))
            continue
        ladders.append(
            Section(title, explain(rungs), (draw_ladder(rungs),), tuple(make_table(rungs)))
        )
    return ladders


def explain(rungs: Sequence[ladder.Rung]) -> tuple[str, ...]:
    """Returns the paragraphs that explain a ladder.

    Args:
      rungs: Rungs as returned by `ladder.rungs`.
    """
    paragraphs = [
        "Accuracy per example under each protocol, mean over seeds, with its 95% interval. "
        "The predictions for several test examples of a clip are not averaged, because the "
        "protocols test different numbers of examples per clip. " + _describe_training(rungs),
    ]
    altered = [rung.protocol for rung in rungs if rung.altered_audio]
    if 0 < len(altered) < len(rungs):
        paragraphs.append(
            f"The test examples of {' and '.join(altered)} have the original audio of their clips "
            "or an altered version of it, those of the other protocols the original audio only."
        )
    if missing := [f"{rung.protocol}: {rung.incomplete}" for rung in rungs if rung.incomplete]:
        paragraphs.append(f"Results are incomplete. {'. '.join(missing)}.")
    return (
        *paragraphs,
        *interval_notes.describe_intervals({rung.protocol: rung.groups for rung in rungs}),
        *dict.fromkeys(caveat for rung in rungs for caveat in rung.caveats),
        "The published results below were obtained with other networks, the last one by human "
        "listeners. They are shown for orientation and are not directly comparable.",
    )


def _describe_training(rungs: Sequence[ladder.Rung]) -> str:
    """Returns sentences on whether the training subsets of the rungs are of equal size."""
    ranges = [
        [rung.train_sizes for rung in rungs],
        [rung.train_clips for rung in rungs],
        [rung.train_subjects for rung in rungs],
    ]
    if any(None in counts for counts in ranges):
        return (
            "The number of recordings or of speakers that the training examples come from was not "
            "recorded: the results, or some of them, come from an earlier version, in which these "
            "numbers differed between protocols. Measure the ladder again before comparing them."
        )
    (low, high), clips, subjects = (
        (min(ends[0] for ends in counts), max(ends[1] for ends in counts)) for counts in ranges
    )
    sizes = (
        f"{_range((low, high))} examples of {_range(clips)} recordings by {_range(subjects)} "
        "speakers"
    )
    if (
        high - low <= _NEARLY * high
        and clips[1] - clips[0] <= _NEARLY * clips[1]
        and (subjects[0] == subjects[1])
    ):
        return (
            f"All networks were trained on {sizes}, so the protocols differ in what the training "
            "and test sets may have in common and in which subjects are tested."
        )
    return (
        f"The networks were trained on {sizes}. These differences explain part of the differences "
        "between protocols (configs/leakage_ladder.py makes the numbers equal)."
    )


# Share by which numbers of training examples and recordings may differ and still count as equal:
# under triplet_random a few recordings have all of their examples in the test subset.
_NEARLY = 0.03


# Drawing layout in SVG user units: left margin, width, row height, top margin.
_LEFT, _WIDTH, _ROW_HEIGHT, _TOP = 205, 560, 26, 14


def draw_ladder(rungs: Sequence[ladder.Rung]) -> str:
    """Draws the ladder as an <svg> element, which the page's style sheet colors.

    Args:
      rungs: Rungs as returned by `ladder.rungs`.

    Returns:
      Markup that needs no escaping.
    """
    rows: list[tuple[str, float, float, ladder.Rung | None]]
    rows = [(rung.title, rung.accuracy.low, rung.accuracy.high, rung) for rung in rungs]
    rows += [(result.title, result.low, result.high, None) for result in ladder.PUBLISHED]
    bottom = _TOP + _ROW_HEIGHT * len(rows)
    svg = ElementTree.Element(
        "svg", {"viewBox": f"0 0 {_WIDTH} {bottom + 24}", "role": "img", "class": "chart wide"}
    )
    ElementTree.SubElement(svg, "title").text = "; ".join(
        f"{rung.title} {percent(rung.accuracy.mean)}%" for rung in rungs
    )

    def x_of(accuracy: float) -> str:
        return f"{_LEFT + (_WIDTH - _LEFT - 14) * accuracy:.1f}"

    def add_line(x1, y1, x2, y2, kind: str) -> None:
        attributes = {"x1": x1, "y1": str(y1), "x2": x2, "y2": str(y2), "class": kind}
        ElementTree.SubElement(svg, "line", attributes)

    def add_text(x, y, text: str, anchor: str) -> None:
        attributes = {"x": str(x), "y": str(y), "text-anchor": anchor}
        ElementTree.SubElement(svg, "text", attributes).text = text

    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        add_line(x_of(tick), _TOP, x_of(tick), bottom, "grid")
        add_text(x_of(tick), bottom + 16, f"{100 * tick:.0f}%", "middle")
    chance = float(np.mean([rung.chance for rung in rungs]))
    add_line(x_of(chance), _TOP, x_of(chance), _TOP + _ROW_HEIGHT * len(rungs), "reference")
    for i, (title, low, high, rung) in enumerate(rows):
        y = _TOP + _ROW_HEIGHT * (i + 0.5)
        kind = "test" if rung else "train"
        title_lines = _wrap(title)
        for k, title_line in enumerate(title_lines):
            add_text(_LEFT - 8, y + 4 - 5 * (len(title_lines) - 1) + 10 * k, title_line, "end")
        if low <= high:  # Without an interval the ends are NaN.
            add_line(x_of(low), y, x_of(high), y, f"whisker {kind}")
        center = rung.accuracy.mean if rung else (low + high) / 2
        dot = {"cx": x_of(center), "cy": str(y), "r": "4", "class": f"dot {kind}"}
        ElementTree.SubElement(svg, "circle", dot)
    return ElementTree.tostring(svg, encoding="unicode")


def _wrap(title: str, width: int = 33) -> list[str]:
    """Breaks a title at spaces into lines of at most `width` characters; words are not broken."""
    return textwrap.wrap(title, width, break_long_words=False, break_on_hyphens=False)

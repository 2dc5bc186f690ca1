"""The leakage ladder as the report shows it: a table, a text and a drawing."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mmer_jax import errors
from mmer_jax.evaluation import ladder, summary
from mmer_jax.evaluation.summary import percent
from mmer_jax.reports.sections import Section
from mmer_jax.results import records

HEAD = ("protocol", "accuracy", "95% interval", "trained on", "networks", "seeds", "cannot leak")


def lines(found: Sequence[ladder.Rung]) -> list[tuple[str, ...]]:
    """Rungs as a table's lines, the head first; accuracies in percent."""
    told = [HEAD]
    for rung in found:
        mean, spread = rung.accuracy.mean, rung.accuracy.spread
        told.append(
            (
                rung.protocol,
                percent(mean) + ("" if spread is None else f" ±{percent(spread)}"),
                f"{percent(rung.accuracy.low)}-{percent(rung.accuracy.high)}",
                "-".join(dict.fromkeys(map(str, rung.trained_on))),
                str(rung.networks),
                str(rung.seeds),
                summary.promise(rung.protocol).split(":")[0].rstrip(". ") + ".",
            )
        )
    return told


def sections(workdir: Path) -> list[Section]:
    """The report's part: for each row that was measured under three protocols or more."""
    found = records.read(workdir / records.FILE_NAME)
    made = []
    for row in dict.fromkeys(record["row"] for record in found):
        under = {record["protocol"] for record in found if record["row"] == row}
        if len(under) < 3:
            continue
        try:
            steps = ladder.rungs([workdir], row)
        except errors.UserError as error:
            made.append(Section(f"The leakage ladder: {row}", (f"Not drawn: {error}",)))
            continue
        made.append(
            Section(
                f"The leakage ladder: {row}", text(steps), (drawing(steps),), tuple(lines(steps))
            )
        )
    return made


def text(found: Sequence[ladder.Rung]) -> tuple[str, ...]:
    """What a reader must know of a ladder, paragraph by paragraph."""
    sizes = {n for rung in found for n in rung.trained_on}
    equal = (
        f"All networks were trained on {sizes.pop()} examples, so that the rungs differ in nothing "
        "but what may be on both sides of the split and in who is tested."
        if len(sizes) == 1
        else "Networks were trained on different numbers of examples: part of what lies between "
        "the rungs is due to that (configs/leakage_ladder.py makes them equal)."
    )
    return (
        "Accuracy per clip under each protocol, mean over seeds; the bar is its 95% interval, a "
        "bootstrap over subjects. " + equal,
        "The published figures below are of other networks, and the last is of people: they stand "
        "there for orientation and are not compared.",
    )


_LEFT, _WIDTH, _LINE, _TOP = 205, 560, 26, 14  # of the drawing, in its own units


def drawing(found: Sequence[ladder.Rung]) -> str:
    """The ladder as an SVG element, colored by the page's style sheet as plots.chart's are."""
    rows = [(rung.protocol, rung.accuracy.low, rung.accuracy.high, rung) for rung in found]
    rows += [(one.title, one.low, one.high, None) for one in ladder.PUBLISHED]
    bottom = _TOP + _LINE * len(rows)
    svg = ElementTree.Element(
        "svg", {"viewBox": f"0 0 {_WIDTH} {bottom + 24}", "role": "img", "class": "chart wide"}
    )
    ElementTree.SubElement(svg, "title").text = "; ".join(
        f"{rung.protocol} {percent(rung.accuracy.mean)}%" for rung in found
    )

    def across(share: float) -> str:
        return f"{_LEFT + (_WIDTH - _LEFT - 14) * share:.1f}"

    def segment(x1, y1, x2, y2, kind: str) -> None:
        places = {"x1": x1, "y1": str(y1), "x2": x2, "y2": str(y2), "class": kind}
        ElementTree.SubElement(svg, "line", places)

    def label(x, y, words: str, anchor: str) -> None:
        places = {"x": str(x), "y": str(y), "text-anchor": anchor}
        ElementTree.SubElement(svg, "text", places).text = words

    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        segment(across(share), _TOP, across(share), bottom, "grid")
        label(across(share), bottom + 16, f"{100 * share:.0f}%", "middle")
    chance = np.mean([rung.chance for rung in found])
    segment(across(chance), _TOP, across(chance), _TOP + _LINE * len(found), "reference")
    for i, (title, low, high, rung) in enumerate(rows):
        y = _TOP + _LINE * (i + 0.5)
        kind = "test" if rung else "train"
        for k, part in enumerate(_folded(title)):
            label(_LEFT - 8, y + 4 - 5 * (len(_folded(title)) - 1) + 10 * k, part, "end")
        segment(across(low), y, across(high), y, f"whisker {kind}")
        center = rung.accuracy.mean if rung else (low + high) / 2
        dot = {"cx": across(center), "cy": str(y), "r": "4", "class": f"dot {kind}"}
        ElementTree.SubElement(svg, "circle", dot)
    return ElementTree.tostring(svg, encoding="unicode")


def _folded(title: str, width: int = 34) -> list[str]:
    if len(title) <= width:
        return [title]
    cut = title.rfind(" ", 0, width)
    return [title[:cut], title[cut + 1 :]]

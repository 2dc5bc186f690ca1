"""Robustness section of the report: curves of accuracy against corruption level, and tables."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import markupsafe

from mmer_jax import modalities
from mmer_jax.evaluation import intervals, summary
from mmer_jax.evaluation.summary import percent
from mmer_jax.media import corruptions
from mmer_jax.reports import plots
from mmer_jax.reports.sections import Section
from mmer_jax.robustness import conditions, results
from mmer_jax.robustness.conditions import MISSING, NONE, Condition
from mmer_jax.robustness.results import Curve, Point

COLORS = 7  # classes row1 to row7 of report.css; further rows reuse them

HEADINGS = ("row", "level", "accuracy", "drop", "UAR", "networks")
READING_NOTE = (
    "Test metrics per clip in %: mean, ± standard deviation over seeds, folds pooled, and in "
    "brackets the 95% interval of a bootstrap that resamples {resampled}s. Drop: the accuracy of "
    "the same networks on untouched inputs minus this accuracy, in percentage points, with the "
    "interval of the difference. UAR: unweighted average recall. Nothing was trained for these "
    "tests."
)


def sections(workdir: Path) -> list[Section]:
    """Makes a section for each protocol and corruption that a workdir was tested under."""
    grouped: dict[tuple[str, str], list[Curve]] = {}
    for curve in results.compute_curves(workdir):
        grouped.setdefault((curve.table, curve.protocol), []).append(curve)
    made = []
    for (_, protocol), curves in grouped.items():
        # A row has the same color in all sections.
        classes = {curve.row: f"row{i % COLORS + 1}" for i, curve in enumerate(curves)}
        for corruption in conditions.NAMES:
            tested = [curve for curve in curves if curve.get_points(corruption)]
            if tested:
                made.append(_make_section(protocol, corruption, tested, classes))
    return made


def table_lines(curves: Iterable[Curve], corruption: str) -> list[tuple[str, ...]]:
    """Returns the table of a corruption: the headings, then a line per row and level.

    The first line of each row is that of its untouched inputs.
    """
    lines = [HEADINGS]
    for curve in curves:
        untouched = curve.get_points(NONE)
        lines += [
            (
                curve.row,
                format_level(point.condition),
                _format_percent(point.accuracy),
                "" if point in untouched else _format_points(point.drop),
                _format_percent(point.recall),
                str(point.cells),
            )
            for point in (*untouched, *_by_severity(curve, corruption))
        ]
    return lines


def format_level(condition: Condition) -> str:
    """Returns a level with its unit, or "without face frames", or "untouched"."""
    if condition.corruption == NONE:
        return "untouched"
    if condition.corruption == MISSING:
        return f"without {modalities.MODALITIES[condition.level].title}"
    return f"{condition.level:g}{corruptions.CORRUPTIONS[condition.corruption].unit}"


def corruption_title(corruption: str) -> str:
    """Returns the title of a corruption, for headings."""
    return "a missing input" if corruption == MISSING else corruptions.CORRUPTIONS[corruption].title


def describe_corruption(corruption: str) -> list[str]:
    """Returns sentences on how a corruption alters the inputs."""
    if corruption == MISSING:
        return [
            "One input at a time is missing: its tower gets zeros, which networks do not meet in "
            "training unless their row drops modalities there (config.augment.modality_dropout)."
        ]
    definition = corruptions.CORRUPTIONS[corruption]
    if definition.stream == "audio":
        note = (
            "Images of the noisy audio are computed as those of the data set are. All levels and "
            "all networks get the same noise for a clip."
        )
    else:
        note = (
            "Faces are altered at the size at which networks see them. Optical flow is not "
            "altered: it was computed from the original frames."
        )
    return [definition.description, note]


def reading_notes(curves: Sequence[Curve]) -> list[str]:
    """Returns sentences on how to read the numbers of some curves."""
    notes = [READING_NOTE.format(resampled=curves[0].resampled)]
    if any(
        point.cells != curve.get_points(NONE)[0].cells
        for curve in curves
        for point in curve.points.values()
    ):
        notes.append("Not everything is measured yet: levels differ in their number of networks.")
    if any(line["tested"] != "test" for curve in curves for line in curve.lines):
        notes.append("The networks were tested on validation splits; test splits were not read.")
    if any(line["dataset"]["origin"] != "recorded" for curve in curves for line in curve.lines):
        notes.append(summary.RENDERED_NOTE)
    return notes


def _make_section(
    protocol: str, corruption: str, curves: Sequence[Curve], classes: Mapping[str, str]
) -> Section:
    text, drawings = describe_corruption(corruption), ()
    if corruption != MISSING:
        text.append(
            f"Horizontal axis: {corruptions.CORRUPTIONS[corruption].axis_label}. Vertical axis: "
            "accuracy per clip with its 95% interval. Dashed: constant prediction of the most "
            "frequent emotion."
        )
        drawings = (
            _draw_chart(protocol, corruption, curves, classes),
            _draw_legend(curves, classes),
        )
    return Section(
        f"Robustness under {protocol}: {corruption_title(corruption)}",
        (*text, *reading_notes(curves), f"Protocol {protocol}: {summary.promise(protocol)}"),
        drawings,
        tuple(table_lines(curves, corruption)),
    )


def _draw_chart(
    protocol: str, corruption: str, curves: Sequence[Curve], classes: Mapping[str, str]
) -> markupsafe.Markup:
    lines, marks, ticks = [], [], set()
    to_axis = corruptions.CORRUPTIONS[corruption].axis_position
    for curve in curves:
        css_class = classes[curve.row]
        points = [(_untouched_position(corruption, curve), curve.get_points(NONE)[0])]
        points += [(to_axis(p.condition.level), p) for p in _by_severity(curve, corruption)]
        lines.append(plots.Line([(x, p.accuracy.mean) for x, p in points], css_class))
        marks += [
            plots.Mark(x, p.accuracy.mean, css_class, (p.accuracy.low, p.accuracy.high))
            for x, p in points
        ]
        ticks |= {round(x) for x, _ in points}
    return plots.chart(
        f"Accuracy against the level of {corruption_title(corruption)} under {protocol}",
        lines,
        marks,
        sorted(ticks),
        y_max=1.0,
        percent=True,
        reference=max(curve.chance for curve in curves),
    )


def _draw_legend(curves: Sequence[Curve], classes: Mapping[str, str]) -> markupsafe.Markup:
    """Draws an <svg> element with the line and the name of each row."""
    height = 18
    size = f"0 0 {plots.WIDTH} {height * len(curves)}"
    svg = ElementTree.Element("svg", {"viewBox": size, "role": "img", "class": "chart"})
    ElementTree.SubElement(svg, "title").text = "Rows and their lines"
    for i, curve in enumerate(curves):
        middle = f"{height * (i + 0.5):g}"
        ends = {"x1": f"{plots.LEFT}", "x2": f"{plots.LEFT + 24}", "y1": middle, "y2": middle}
        ElementTree.SubElement(svg, "line", {**ends, "class": f"line {classes[curve.row]}"})
        position = {"x": f"{plots.LEFT + 32}", "y": f"{height * (i + 0.5) + 4:g}"}
        ElementTree.SubElement(svg, "text", position).text = curve.row
    return markupsafe.Markup(ElementTree.tostring(svg, encoding="unicode"))


def _untouched_position(corruption: str, curve: Curve) -> float:
    """Returns the position of untouched inputs on the horizontal axis."""
    definition = corruptions.CORRUPTIONS[corruption]
    if definition.clean_position is not None:
        return definition.clean_position
    return definition.axis_position(curve.lines[0]["dataset"]["size"])


def _by_severity(curve: Curve, corruption: str) -> list[Point]:
    """Sorts the points of a corruption, the mildest first; missing inputs in joining order."""
    points = curve.get_points(corruption)
    if corruption == MISSING:
        names = list(modalities.MODALITIES)
        return sorted(points, key=lambda p: names.index(p.condition.level))
    definition = corruptions.CORRUPTIONS[corruption]
    # Less resolution is worse, and so is more noise.
    sign = -1 if definition.clean_position is None else 1
    return sorted(points, key=lambda p: sign * definition.axis_position(p.condition.level))


def _format_percent(interval: intervals.Interval) -> str:
    spread = "" if interval.spread is None else f" ±{percent(interval.spread)}"
    return f"{percent(interval.mean)}{spread} ({percent(interval.low)}-{percent(interval.high)})"


def _format_points(interval: intervals.Interval) -> str:
    """Formats a difference of accuracies in percentage points."""
    mean, low, high = (100 * v for v in (interval.mean, interval.low, interval.high))
    return f"{mean:.1f} ({low:.1f} to {high:.1f})"

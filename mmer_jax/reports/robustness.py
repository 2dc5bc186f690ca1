"""Robustness section of the report: curves of accuracy against corruption level, and tables."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import markupsafe

from mmer_jax import modalities
from mmer_jax.evaluation import completeness, intervals, summary
from mmer_jax.evaluation.summary import percent
from mmer_jax.media import corruptions
from mmer_jax.reports import interval_notes, plots
from mmer_jax.reports.sections import Section
from mmer_jax.robustness import conditions, results
from mmer_jax.robustness.conditions import MISSING, NONE, Condition
from mmer_jax.robustness.results import Curve, Point

COLORS = 7  # CSS classes row1 to row7 of report.css; an eighth row reuses row1, and so on

HEADINGS = ("row", "level", "accuracy", "drop", "UAR", "networks")
READING_NOTE = (
    "Metrics per clip in %: mean, ± standard deviation over seeds, folds pooled, and in "
    "brackets the 95% interval. Drop: the accuracy of the same networks on untouched inputs minus "
    "this accuracy, in percentage points, with the interval of the difference. UAR: unweighted "
    "average recall. Nothing was trained for these tests."
)


def make_sections(workdir: Path) -> list[Section]:
    """Makes the report sections, one per protocol and corruption that a workdir was tested under.

    Args:
      workdir: Workdir of a run.

    Returns:
      The sections; an empty list if the workdir has no robustness results.
    """
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


def make_table(curves: Iterable[Curve], corruption: str) -> list[tuple[str, ...]]:
    """Returns the results for one corruption as table rows of strings, header first.

    Each model (a row of the config) has one table row for its untouched inputs, followed by one per
    corruption level, mildest first. Accuracy and recall are percentages.

    Args:
      curves: Curves of the models, as returned by `results.compute_curves`.
      corruption: Name of the corruption, out of `conditions.NAMES`.

    Returns:
      Table rows with the columns HEADINGS.
    """
    table = [HEADINGS]
    for curve in curves:
        untouched = curve.get_points(NONE)
        table += [
            (
                curve.title,
                format_level(point.condition),
                _format_percent(point.accuracy),
                "" if point in untouched else _format_points(point.drop),
                _format_percent(point.recall),
                str(point.cells),
            )
            for point in (*untouched, *_by_severity(curve, corruption))
        ]
    return table


def format_level(condition: Condition) -> str:
    """Formats a condition for a table, as in "4 %", "without face frames" or "untouched"."""
    if condition.corruption == NONE:
        return "untouched"
    if condition.corruption == MISSING:
        return f"without {modalities.MODALITIES[condition.level].title}"
    return f"{condition.level:g}{corruptions.CORRUPTIONS[condition.corruption].unit}"


def get_corruption_title(corruption: str) -> str:
    """Returns the title of a corruption (a name out of `conditions.NAMES`) for headings."""
    return "a missing input" if corruption == MISSING else corruptions.CORRUPTIONS[corruption].title


def describe_corruption(corruption: str) -> list[str]:
    """Returns the sentences that explain how a corruption alters the inputs.

    Args:
      corruption: Name of the corruption, out of `conditions.NAMES`.
    """
    if corruption == MISSING:
        return [
            "One modality at a time is missing: its tower gets zeros, which networks do not get in "
            "training unless their config row drops modalities (config.augment.modality_dropout)."
        ]
    definition = corruptions.CORRUPTIONS[corruption]
    if definition.stream == "audio":
        note = (
            "Images of the noisy audio are computed in the same way as those of the dataset. All "
            "levels and all networks get the same noise for a clip."
        )
    else:
        note = (
            "Faces are altered at the size of the networks' inputs. Optical flow is not altered: "
            "it was computed from the original frames."
        )
    return [definition.description, note]


def make_notes(curves: Sequence[Curve]) -> list[str]:
    """Returns the sentences that explain how to read the tables of some curves.

    Args:
      curves: At least one curve, all under the same protocol.
    """
    groups = {curve.title: curve.groups for curve in curves}
    notes = [READING_NOTE, *dict.fromkeys(caveat for curve in curves for caveat in curve.caveats)]
    notes += interval_notes.describe_intervals(groups)
    if any(
        point.cells != curve.get_points(NONE)[0].cells
        for curve in curves
        for point in curve.points.values()
    ):
        notes.append(
            "The measurements are incomplete: the number of networks differs between levels."
        )
    missing = {curve.row: completeness.describe_missing(curve.results) for curve in curves}
    if any(missing.values()):
        named = (f"{row}: {text}" for row, text in missing.items() if text)
        notes.append(f"Results are incomplete. {'. '.join(named)}.")
    if any(
        result["dataset"]["origin"] != "recorded" for curve in curves for result in curve.results
    ):
        notes.append(summary.RENDERED_NOTE)
    return notes


def _make_section(
    protocol: str, corruption: str, curves: Sequence[Curve], classes: Mapping[str, str]
) -> Section:
    text, drawings = describe_corruption(corruption), ()
    if corruption != MISSING:
        text.append(
            f"Horizontal axis: {corruptions.CORRUPTIONS[corruption].axis_label}. Vertical axis: "
            "accuracy per clip with its 95% interval. Dashed line: accuracy of always predicting "
            "the most frequent emotion."
        )
        drawings = (
            _draw_chart(protocol, corruption, curves, classes),
            _draw_legend(curves, classes),
        )
    return Section(
        f"Robustness under {protocol}: {get_corruption_title(corruption)}",
        (
            *text,
            *make_notes(curves),
            f"Protocol {protocol}: {summary.describe_guarantee(protocol)}",
        ),
        drawings,
        tuple(make_table(curves, corruption)),
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
        marks += [plots.Mark(x, p.accuracy.mean, css_class, p.accuracy.ends) for x, p in points]
        ticks |= {round(x) for x, _ in points}
    return plots.draw_chart(
        f"Accuracy against the level of {get_corruption_title(corruption)} under {protocol}",
        lines,
        marks,
        sorted(ticks),
        y_max=1.0,
        percent=True,
        reference=max(curve.chance for curve in curves),
    )


def _draw_legend(curves: Sequence[Curve], classes: Mapping[str, str]) -> markupsafe.Markup:
    """Draws an <svg> element with the colored line and the name of each row of the config."""
    height = 18
    size = f"0 0 {plots.WIDTH} {height * len(curves)}"
    svg = ElementTree.Element("svg", {"viewBox": size, "role": "img", "class": "chart"})
    ElementTree.SubElement(svg, "title").text = "Rows and their lines"
    for i, curve in enumerate(curves):
        middle = f"{height * (i + 0.5):g}"
        ends = {"x1": f"{plots.LEFT}", "x2": f"{plots.LEFT + 24}", "y1": middle, "y2": middle}
        ElementTree.SubElement(svg, "line", {**ends, "class": f"line {classes[curve.row]}"})
        position = {"x": f"{plots.LEFT + 32}", "y": f"{height * (i + 0.5) + 4:g}"}
        ElementTree.SubElement(svg, "text", position).text = curve.title
    return markupsafe.Markup(ElementTree.tostring(svg, encoding="unicode"))


def _untouched_position(corruption: str, curve: Curve) -> float:
    """Returns the position of a row's untouched inputs on the horizontal axis of a chart."""
    definition = corruptions.CORRUPTIONS[corruption]
    if definition.clean_position is not None:
        return definition.clean_position
    return definition.axis_position(curve.results[0]["dataset"]["size"])


def _by_severity(curve: Curve, corruption: str) -> list[Point]:
    """Returns the points of a corruption, mildest first; those of MISSING in joining order."""
    points = curve.get_points(corruption)
    if corruption == MISSING:
        names = list(modalities.MODALITIES)
        return sorted(points, key=lambda p: names.index(p.condition.level))
    definition = corruptions.CORRUPTIONS[corruption]
    # Less resolution is worse, and so is more noise.
    sign = -1 if definition.clean_position is None else 1
    return sorted(points, key=lambda p: sign * definition.axis_position(p.condition.level))


def _format_percent(interval: intervals.Interval) -> str:
    """Formats a value in 0..1 in percent, with standard deviation and interval."""
    spread = "" if interval.spread is None else f" ±{percent(interval.spread)}"
    return f"{percent(interval.mean)}{spread} ({interval.format_ends(percent)})"


def _format_points(interval: intervals.Interval) -> str:
    """Formats a difference of accuracies in percentage points."""
    ends = interval.format_ends(lambda value: f"{100 * value:.1f}", " to ")
    return f"{100 * interval.mean:.1f} ({ends})"

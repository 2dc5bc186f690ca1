"""Robustness sections of the report: accuracy against corruption level, as charts and tables."""

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

COLORS = 7  # CSS classes row1 to row7 in report.css; further rows reuse them.

HEAD = ("row", "level", "accuracy", "drop", "UAR", "networks")
READING = (
    "Test metrics per clip in %: mean ± standard deviation over seeds, folds pooled, with the 95% "
    "confidence interval of a bootstrap that resamples {groups}s in brackets. Drop: accuracy of "
    "the same networks on untouched inputs minus accuracy here, in percentage points, with the "
    "interval of this difference. UAR: unweighted average recall. No network was trained for "
    "these tests."
)


def sections(workdir: Path) -> list[Section]:
    """Returns a section for each protocol and corruption that the workdir was tested with."""
    grouped: dict[tuple[str, str], list[Curve]] = {}
    for curve in results.curves(workdir):
        grouped.setdefault((curve.table, curve.protocol), []).append(curve)
    result = []
    for (_, protocol), members in grouped.items():
        # A row has the same color in all sections.
        kinds = {curve.row: f"row{i % COLORS + 1}" for i, curve in enumerate(members)}
        for corruption in conditions.NAMES:
            tested = [curve for curve in members if curve.of(corruption)]
            if tested:
                result.append(_section(protocol, corruption, tested, kinds))
    return result


def lines(curves: Iterable[Curve], corruption: str) -> list[tuple[str, ...]]:
    """Returns the lines of a table, the head first; each row starts with its untouched inputs."""
    table: list[tuple[str, ...]] = [HEAD]
    for curve in curves:
        untouched = curve.of(NONE)
        table += [
            (
                curve.row,
                level_in_words(point.condition),
                _format_metric(point.accuracy),
                "" if point in untouched else _format_drop(point.fall),
                _format_metric(point.recall),
                str(point.cells),
            )
            for point in (*untouched, *_by_severity(curve, corruption))
        ]
    return table


def level_in_words(condition: Condition) -> str:
    """Returns a level with its unit, "without face frames", or "untouched"."""
    if condition.corruption == NONE:
        return "untouched"
    if condition.corruption == MISSING:
        return f"without {modalities.MODALITIES[condition.level].title}"
    return f"{condition.level:g}{corruptions.CORRUPTIONS[condition.corruption].unit}"


def title(corruption: str) -> str:
    """Returns the title of a corruption for headings."""
    return (
        "an input missing" if corruption == MISSING else corruptions.CORRUPTIONS[corruption].title
    )


def how(corruption: str) -> list[str]:
    """Returns sentences that describe how a corruption alters the inputs."""
    if corruption == MISSING:
        return [
            "One input at a time is missing: its tower receives zeros, which networks do not see "
            "in training unless their row uses modality dropout (config.augment.modality_dropout)."
        ]
    spec = corruptions.CORRUPTIONS[corruption]
    if spec.stream == "audio":
        details = (
            "Images of the altered audio are computed as those of the dataset are. All levels and "
            "all networks get the same noise for a clip."
        )
    else:
        details = (
            "Face frames are altered at the networks' input size. Optical flow, which was computed "
            "from the original frames, is unchanged."
        )
    return [spec.how, details]


def reading(curves: Sequence[Curve]) -> list[str]:
    """Returns sentences that explain the numbers."""
    notes = [READING.format(groups=curves[0].units)]
    if any(p.cells != curve.of(NONE)[0].cells for curve in curves for p in curve.points.values()):
        notes.append("Results are incomplete: levels differ in their number of networks.")
    if any(line["tested"] != "test" for curve in curves for line in curve.lines):
        notes.append("Validation splits were tested; the test splits were not read.")
    if any(line["dataset"]["origin"] != "recorded" for curve in curves for line in curve.lines):
        notes.append(summary.RENDERED_NOTE)
    return notes


def _section(
    protocol: str, corruption: str, curves: Sequence[Curve], kinds: Mapping[str, str]
) -> Section:
    text = how(corruption)
    drawings: tuple[markupsafe.Markup, ...] = ()
    if corruption != MISSING:
        text.append(
            f"Horizontal axis: {corruptions.CORRUPTIONS[corruption].axis}. Vertical axis: accuracy "
            "per clip with its 95% confidence interval. Dashed: chance, which is always predicting "
            "the most frequent emotion."
        )
        drawings = (_chart(protocol, corruption, curves, kinds), _legend(curves, kinds))
    return Section(
        f"Robustness under {protocol}: {title(corruption)}",
        (*text, *reading(curves), f"Protocol {protocol}: {summary.promise(protocol)}"),
        drawings,
        tuple(lines(curves, corruption)),
    )


def _chart(
    protocol: str, corruption: str, curves: Sequence[Curve], kinds: Mapping[str, str]
) -> markupsafe.Markup:
    curve_lines, marks, ticks = [], [], set()
    for curve in curves:
        kind = kinds[curve.row]
        points = [(_untouched_position(corruption, curve), curve.of(NONE)[0])]
        position = corruptions.CORRUPTIONS[corruption].place
        points += [(position(p.condition.level), p) for p in _by_severity(curve, corruption)]
        curve_lines.append(plots.Line([(x, p.accuracy.mean) for x, p in points], kind))
        marks += [
            plots.Mark(x, p.accuracy.mean, kind, (p.accuracy.low, p.accuracy.high))
            for x, p in points
        ]
        ticks |= {round(x) for x, _ in points}
    return plots.chart(
        f"Accuracy against the level of {title(corruption)} under {protocol}",
        curve_lines,
        marks,
        sorted(ticks),
        y_max=1.0,
        percent=True,
        reference=max(curve.chance for curve in curves),
    )


def _legend(curves: Sequence[Curve], kinds: Mapping[str, str]) -> markupsafe.Markup:
    """Draws the legend as an <svg> element."""
    height = 18
    size = f"0 0 {plots.WIDTH} {height * len(curves)}"
    svg = ElementTree.Element("svg", {"viewBox": size, "role": "img", "class": "chart"})
    ElementTree.SubElement(svg, "title").text = "Legend: rows and their lines"
    for i, curve in enumerate(curves):
        y = f"{height * (i + 0.5):g}"
        ends = {"x1": f"{plots.LEFT}", "x2": f"{plots.LEFT + 24}", "y1": y, "y2": y}
        ElementTree.SubElement(svg, "line", {**ends, "class": f"line {kinds[curve.row]}"})
        position = {"x": f"{plots.LEFT + 32}", "y": f"{height * (i + 0.5) + 4:g}"}
        ElementTree.SubElement(svg, "text", position).text = curve.row
    return markupsafe.Markup(ElementTree.tostring(svg, encoding="unicode"))


def _untouched_position(corruption: str, curve: Curve) -> float:
    """Returns the horizontal position of untouched inputs."""
    spec = corruptions.CORRUPTIONS[corruption]
    if spec.untouched is not None:
        return spec.untouched
    return spec.place(curve.lines[0]["dataset"]["size"])


def _by_severity(curve: Curve, corruption: str) -> list[Point]:
    """Returns the points of a corruption, the mildest first; missing inputs in joining order."""
    if corruption == MISSING:
        names = list(modalities.MODALITIES)
        return sorted(curve.of(corruption), key=lambda p: names.index(p.condition.level))
    spec = corruptions.CORRUPTIONS[corruption]
    sign = -1 if spec.untouched is None else 1  # Fewer pixels are worse, more noise is worse.
    return sorted(curve.of(corruption), key=lambda p: sign * spec.place(p.condition.level))


def _format_metric(interval: intervals.Interval) -> str:
    spread = "" if interval.spread is None else f" ±{percent(interval.spread)}"
    return f"{percent(interval.mean)}{spread} ({percent(interval.low)}-{percent(interval.high)})"


def _format_drop(interval: intervals.Interval) -> str:
    mean, low, high = (100 * v for v in (interval.mean, interval.low, interval.high))
    return f"{mean:.1f} ({low:.1f} to {high:.1f})"

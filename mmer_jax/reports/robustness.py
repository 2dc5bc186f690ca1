"""What the report shows of robustness: curves of accuracy against level, and their numbers."""

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

COLOURS = 7  # kinds row1 to row7 in report.css; further rows begin again

HEAD = ("row", "level", "accuracy", "lost", "UAR", "networks")
READING = (
    "Test figures per clip in %: mean, ± standard deviation over seeds, folds pooled, and in "
    "brackets the 95% interval of a bootstrap that resamples {units}s. Lost: by how many points "
    "the accuracy is below that of the same networks on untouched inputs, with the interval of "
    "this difference. UAR: unweighted average recall. Nothing was trained for these tests."
)


def sections(workdir: Path) -> list[Section]:
    """A section for each protocol and corruption that the workdir was tested under."""
    grouped: dict[tuple[str, str], list[Curve]] = {}
    for curve in results.curves(workdir):
        grouped.setdefault((curve.table, curve.protocol), []).append(curve)
    found = []
    for (_, protocol), members in grouped.items():
        # A row has one color in all sections.
        kinds = {curve.row: f"row{i % COLOURS + 1}" for i, curve in enumerate(members)}
        for corruption in conditions.NAMES:
            touched = [curve for curve in members if curve.of(corruption)]
            if touched:
                found.append(_section(protocol, corruption, touched, kinds))
    return found


def lines(curves: Iterable[Curve], corruption: str) -> list[tuple[str, ...]]:
    """The numbers of a corruption, the head first; each row begins with its untouched inputs."""
    found = [HEAD]
    for curve in curves:
        untouched = curve.of(NONE)
        found += [
            (
                curve.row,
                level_in_words(point.condition),
                _figure(point.accuracy),
                "" if point in untouched else _points(point.fall),
                _figure(point.recall),
                str(point.cells),
            )
            for point in (*untouched, *_by_severity(curve, corruption))
        ]
    return found


def level_in_words(condition: Condition) -> str:
    """A level with its unit, "without face frames", or "untouched"."""
    if condition.corruption == NONE:
        return "untouched"
    if condition.corruption == MISSING:
        return f"without {modalities.MODALITIES[condition.level].title}"
    return f"{condition.level:g}{corruptions.CORRUPTIONS[condition.corruption].unit}"


def title(corruption: str) -> str:
    """A corruption's title for headings."""
    return (
        "an input missing" if corruption == MISSING else corruptions.CORRUPTIONS[corruption].title
    )


def how(corruption: str) -> list[str]:
    """What was done to the inputs."""
    if corruption == MISSING:
        return [
            "One input at a time is absent: its tower is given zeros, which networks never meet in "
            "training unless their row drops inputs there (config.augment.modality_dropout)."
        ]
    known = corruptions.CORRUPTIONS[corruption]
    if known.stream == "audio":
        more = (
            "Images of the altered audio are made as those of the data set are. Of one clip all "
            "levels, and all networks, meet the same noise."
        )
    else:
        more = (
            "Faces are altered at the size at which networks see them. Optical flow was computed "
            "from faces as they were, and stays."
        )
    return [known.description, more]


def reading(curves: Sequence[Curve]) -> list[str]:
    """How numbers are to be read."""
    said = [READING.format(units=curves[0].units)]
    if any(p.cells != curve.of(NONE)[0].cells for curve in curves for p in curve.points.values()):
        said.append("Not all is measured yet: levels differ in their number of networks.")
    if any(line["tested"] != "test" for curve in curves for line in curve.lines):
        said.append("What was tested are validation parts; the test parts were not read.")
    if any(line["dataset"]["origin"] != "recorded" for curve in curves for line in curve.lines):
        said.append(summary.RENDERED_NOTE)
    return said


def _section(
    protocol: str, corruption: str, curves: Sequence[Curve], kinds: Mapping[str, str]
) -> Section:
    text, drawings = how(corruption), ()
    if corruption != MISSING:
        text.append(
            f"Across: {corruptions.CORRUPTIONS[corruption].axis_label}. Up: accuracy per clip with "
            "its 95% interval. Dashed: always naming the commonest emotion."
        )
        drawings = (_chart(protocol, corruption, curves, kinds), _key(curves, kinds))
    return Section(
        f"Robustness under {protocol}: {title(corruption)}",
        (*text, *reading(curves), f"Protocol {protocol}: {summary.promise(protocol)}"),
        drawings,
        tuple(lines(curves, corruption)),
    )


def _chart(
    protocol: str, corruption: str, curves: Sequence[Curve], kinds: Mapping[str, str]
) -> markupsafe.Markup:
    drawn, marks, ticks = [], [], set()
    for curve in curves:
        kind = kinds[curve.row]
        points = [(_origin(corruption, curve), curve.of(NONE)[0])]
        place = corruptions.CORRUPTIONS[corruption].axis_position
        points += [(place(p.condition.level), p) for p in _by_severity(curve, corruption)]
        drawn.append(plots.Line([(x, p.accuracy.mean) for x, p in points], kind))
        marks += [
            plots.Mark(x, p.accuracy.mean, kind, (p.accuracy.low, p.accuracy.high))
            for x, p in points
        ]
        ticks |= {round(x) for x, _ in points}
    return plots.chart(
        f"Accuracy against the level of {title(corruption)} under {protocol}",
        drawn,
        marks,
        sorted(ticks),
        y_max=1.0,
        percent=True,
        reference=max(curve.chance for curve in curves),
    )


def _key(curves: Sequence[Curve], kinds: Mapping[str, str]) -> markupsafe.Markup:
    """Which line is which row, as an <svg> element."""
    height = 18
    size = f"0 0 {plots.WIDTH} {height * len(curves)}"
    svg = ElementTree.Element("svg", {"viewBox": size, "role": "img", "class": "chart"})
    ElementTree.SubElement(svg, "title").text = "Rows and their lines"
    for i, curve in enumerate(curves):
        middle = f"{height * (i + 0.5):g}"
        ends = {"x1": f"{plots.LEFT}", "x2": f"{plots.LEFT + 24}", "y1": middle, "y2": middle}
        ElementTree.SubElement(svg, "line", {**ends, "class": f"line {kinds[curve.row]}"})
        where = {"x": f"{plots.LEFT + 32}", "y": f"{height * (i + 0.5) + 4:g}"}
        ElementTree.SubElement(svg, "text", where).text = curve.row
    return markupsafe.Markup(ElementTree.tostring(svg, encoding="unicode"))


def _origin(corruption: str, curve: Curve) -> float:
    """Where untouched inputs stand across."""
    known = corruptions.CORRUPTIONS[corruption]
    if known.clean_position is not None:
        return known.clean_position
    return known.axis_position(curve.lines[0]["dataset"]["size"])


def _by_severity(curve: Curve, corruption: str) -> list[Point]:
    """The points of a corruption, the mildest first; missing inputs in the inputs' own order."""
    if corruption == MISSING:
        names = list(modalities.MODALITIES)
        return sorted(curve.of(corruption), key=lambda p: names.index(p.condition.level))
    known = corruptions.CORRUPTIONS[corruption]
    sign = -1 if known.clean_position is None else 1  # fewer pixels are worse, more noise is
    return sorted(curve.of(corruption), key=lambda p: sign * known.axis_position(p.condition.level))


def _figure(interval: intervals.Interval) -> str:
    spread = "" if interval.spread is None else f" ±{percent(interval.spread)}"
    return f"{percent(interval.mean)}{spread} ({percent(interval.low)}-{percent(interval.high)})"


def _points(interval: intervals.Interval) -> str:
    mean, low, high = (100 * v for v in (interval.mean, interval.low, interval.high))
    return f"{mean:.1f} ({low:.1f} to {high:.1f})"

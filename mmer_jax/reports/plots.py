"""Graphics of the report: charts as inline SVG, arrays as PNG.

Charts are SVG elements with class names and without colors: the page's style sheet colors them, so
that they adapt to light and dark mode, and their text remains text. (Matplotlib would fix the
colors and draw letters as paths.)
"""

import base64
import dataclasses
import io
import math
from collections.abc import Sequence
from xml.etree import ElementTree

import markupsafe
import numpy as np

WIDTH, HEIGHT = 360, 200  # Size of a chart in SVG user units.
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 26  # Margins in SVG user units; they hold the tick labels.


@dataclasses.dataclass(frozen=True)
class Line:
    """A polyline.

    Attributes:
      points: (x, y) in drawing order; points that are not finite are omitted.
      kind: CSS class that sets the color, such as "train", "test" or "validation".
    """

    points: Sequence[tuple[float, float]]
    kind: str


@dataclasses.dataclass(frozen=True)
class Mark:
    """A dot, optionally with an error bar.

    Attributes:
      x: Horizontal position.
      y: Vertical position.
      kind: CSS class that sets the color.
      extent: (low, high) of the error bar; None for no error bar.
    """

    x: float
    y: float
    kind: str
    extent: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Band:
    """A shaded area between two curves.

    Attributes:
      points: (x, low, high) in ascending x; points that are not finite are omitted.
      kind: CSS class that sets the color.
    """

    points: Sequence[tuple[float, float, float]]
    kind: str


def draw_chart(
    description: str,
    lines: Sequence[Line],
    marks: Sequence[Mark],
    x_ticks: Sequence[int],
    *,
    bands: Sequence[Band] = (),
    y_max: float | None = None,
    percent: bool = False,
    reference: float | None = None,
) -> markupsafe.Markup:
    """Draws a chart as an <svg> element, with both axes starting at zero.

    Args:
      description: Text for screen readers.
      lines: Polylines, in data units.
      marks: Dots, in data units.
      x_ticks: Labeled values of the horizontal axis, such as epochs; the axis ends at the last
        point or the last tick.
      bands: Shaded areas, in data units, drawn below the lines.
      y_max: End of the vertical axis; if None, a round number above all points.
      percent: Whether to label the vertical axis in percent; values are then in 0..1.
      reference: Value of a dashed horizontal line, such as the chance level; None for no line.

    Returns:
      Markup that needs no escaping.
    """
    lines = [
        dataclasses.replace(line, points=[p for p in line.points if all(map(math.isfinite, p))])
        for line in lines
    ]
    bands = [
        dataclasses.replace(band, points=[p for p in band.points if all(map(math.isfinite, p))])
        for band in bands
    ]
    points = [p for line in lines for p in line.points]
    points += [(x, high) for band in bands for x, _, high in band.points]
    points += [(mark.x, mark.y) for mark in marks if math.isfinite(mark.y)]
    x_max = max([x for x, _ in points] + list(x_ticks), default=1) or 1
    ticks = _round_ticks(max([y for _, y in points], default=1.0) if y_max is None else y_max)
    y_max = ticks[-1]

    def to_svg(x: float, y: float) -> tuple[str, str]:
        svg_x = LEFT + (WIDTH - LEFT - RIGHT) * x / x_max
        svg_y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(y, 0), y_max) / y_max
        return f"{svg_x:.1f}", f"{svg_y:.1f}"

    svg = ElementTree.Element(
        "svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "class": "chart"}
    )
    ElementTree.SubElement(svg, "title").text = description

    def add_line(start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        (x1, y1), (x2, y2) = to_svg(*start), to_svg(*end)
        ElementTree.SubElement(svg, "line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})

    def add_text(x: str, y: float, text: str, anchor: str) -> None:
        attributes = {"x": x, "y": f"{y:.1f}", "text-anchor": anchor}
        ElementTree.SubElement(svg, "text", attributes).text = text

    for tick in ticks:
        add_line((0, tick), (x_max, tick), "grid")
        text = f"{100 * tick:.0f}%" if percent else f"{tick:g}"
        add_text(f"{LEFT - 6}", float(to_svg(0, tick)[1]) + 4, text, "end")
    for tick in _thin(x_ticks):
        add_text(to_svg(tick, 0)[0], HEIGHT - 8, str(tick), "middle")
    if reference is not None:
        add_line((0, reference), (x_max, reference), "reference")
    for band in bands:
        outline = [(x, high) for x, _, high in band.points]
        outline += [(x, low) for x, low, _ in band.points[::-1]]
        if outline:
            path = " ".join(",".join(to_svg(*point)) for point in outline)
            ElementTree.SubElement(svg, "polygon", {"points": path, "class": f"band {band.kind}"})
    for line in lines:
        path = " ".join(",".join(to_svg(*point)) for point in line.points)
        ElementTree.SubElement(svg, "polyline", {"points": path, "class": f"line {line.kind}"})
    for mark in marks:
        if not math.isfinite(mark.y):
            continue
        if mark.extent is not None:
            add_line((mark.x, mark.extent[0]), (mark.x, mark.extent[1]), f"whisker {mark.kind}")
        x, y = to_svg(mark.x, mark.y)
        ElementTree.SubElement(
            svg, "circle", {"cx": x, "cy": y, "r": "4", "class": f"dot {mark.kind}"}
        )
    return markupsafe.Markup(ElementTree.tostring(svg, encoding="unicode"))


def encode_png(image: np.ndarray) -> str:
    """Encodes an image as the data URI of a PNG file.

    Args:
      image: uint8 [h, w, 3] RGB or [h, w, 1] gray, with the top row first.

    Raises:
      ValueError: The array has another dtype or shape.
    """
    from PIL import Image  # Imported here because only reports with images need Pillow.

    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"expected uint8 [h, w, 1 or 3], found {image.dtype} {list(image.shape)}")
    gray = image.shape[2] == 1
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if gray else image).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _round_ticks(highest: float) -> list[float]:
    """Returns ticks from 0 to a round number at or above `highest`, in at most five steps."""
    if not math.isfinite(highest) or highest <= 0:
        highest = 1.0
    unit = 10.0 ** math.floor(math.log10(highest / 5))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if 5 * unit * m >= highest * (1 - 1e-9))
    return [round(i * step, 12) for i in range(math.ceil(highest / step - 1e-9) + 1)]


def _thin(ticks: Sequence[int]) -> list[int]:
    """Returns at most eight of the ticks, evenly spaced and including the last tick."""
    every = math.ceil(len(ticks) / 8) or 1
    return list(ticks)[::-1][::every][::-1]

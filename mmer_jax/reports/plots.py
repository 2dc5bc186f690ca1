"""Images for the report: charts as inline SVG, arrays as PNG.

Charts are written as SVG elements with class names and no colors: the page's style sheet colors
them, so that they follow a light or dark page, and their text stays text. (Matplotlib would bake
the colors in and draw letters as paths.)
"""

import base64
import dataclasses
import io
import math
from collections.abc import Sequence
from xml.etree import ElementTree

import markupsafe
import numpy as np

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 26  # margins for the tick labels


@dataclasses.dataclass(frozen=True)
class Line:
    """Points joined by a line.

    Attributes:
      points: (x, y), in the order to join; points that aren't finite are left out.
      kind: the CSS class that colors it ("train", "test", "validation").
    """

    points: Sequence[tuple[float, float]]
    kind: str


@dataclasses.dataclass(frozen=True)
class Mark:
    """A dot, with a whisker if it has an extent.

    Attributes:
      x, y: where.
      kind: the CSS class that colors it.
      extent: (low, high) of the whisker, or None.
    """

    x: float
    y: float
    kind: str
    extent: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Band:
    """What lies between two curves.

    Attributes:
      points: (x, low, high), in the order of x; points that aren't finite are left out.
      kind: the CSS class that colors it.
    """

    points: Sequence[tuple[float, float, float]]
    kind: str


def chart(
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
    """A chart over epochs as an <svg> element.

    Args:
      description: said by screen readers in place of the drawing.
      lines, marks: what to draw, in data units; both axes start at zero.
      x_ticks: epochs to label; the last point or the last tick ends the axis.
      bands: drawn below the lines.
      y_max: where the vertical axis ends; a round number above all points if None.
      percent: whether the vertical labels are shares, shown in percent.
      reference: the height of a dashed level line (chance), or None.
    """
    lines = [
        dataclasses.replace(line, points=[p for p in line.points if all(map(math.isfinite, p))])
        for line in lines
    ]
    edges = [(band.kind, [p for p in band.points if all(map(math.isfinite, p))]) for band in bands]
    points = [p for line in lines for p in line.points]
    points += [(x, high) for _, band in edges for x, _, high in band]
    points += [(mark.x, mark.y) for mark in marks if math.isfinite(mark.y)]
    x_max = max([x for x, _ in points] + list(x_ticks), default=1) or 1
    ticks = _round_ticks(max([y for _, y in points], default=1.0) if y_max is None else y_max)
    y_max = ticks[-1]

    def at(x: float, y: float) -> tuple[str, str]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / x_max
        up = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(y, 0), y_max) / y_max
        return f"{across:.1f}", f"{up:.1f}"

    svg = ElementTree.Element(
        "svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "class": "chart"}
    )
    ElementTree.SubElement(svg, "title").text = description

    def segment(start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        (x1, y1), (x2, y2) = at(*start), at(*end)
        ElementTree.SubElement(svg, "line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})

    def label(x: str, y: float, text: str, anchor: str) -> None:
        attributes = {"x": x, "y": f"{y:.1f}", "text-anchor": anchor}
        ElementTree.SubElement(svg, "text", attributes).text = text

    for tick in ticks:
        segment((0, tick), (x_max, tick), "grid")
        text = f"{100 * tick:.0f}%" if percent else f"{tick:g}"
        label(f"{LEFT - 6}", float(at(0, tick)[1]) + 4, text, "end")
    for tick in _thinned(x_ticks):
        label(at(tick, 0)[0], HEIGHT - 8, str(tick), "middle")
    if reference is not None:
        segment((0, reference), (x_max, reference), "reference")
    for kind, band in edges:
        outline = [(x, high) for x, _, high in band] + [(x, low) for x, low, _ in band[::-1]]
        if outline:
            path = " ".join(",".join(at(*point)) for point in outline)
            ElementTree.SubElement(svg, "polygon", {"points": path, "class": f"band {kind}"})
    for line in lines:
        path = " ".join(",".join(at(*point)) for point in line.points)
        ElementTree.SubElement(svg, "polyline", {"points": path, "class": f"line {line.kind}"})
    for mark in marks:
        if not math.isfinite(mark.y):
            continue
        if mark.extent is not None:
            segment((mark.x, mark.extent[0]), (mark.x, mark.extent[1]), f"whisker {mark.kind}")
        x, y = at(mark.x, mark.y)
        ElementTree.SubElement(
            svg, "circle", {"cx": x, "cy": y, "r": "4", "class": f"dot {mark.kind}"}
        )
    return markupsafe.Markup(ElementTree.tostring(svg, encoding="unicode"))


def png_data_uri(image: np.ndarray) -> str:
    """An image as the address of an <img>: a PNG inside the page itself.

    Args:
      image: uint8 [h, w, 3] RGB or [h, w, 1] gray; row 0 is the top.
    """
    from PIL import Image  # here, because only reports with images need it

    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"expected uint8 [h, w, 1 or 3], found {image.dtype} {list(image.shape)}")
    gray = image.shape[2] == 1
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if gray else image).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _round_ticks(highest: float) -> list[float]:
    """Ticks from 0 to a round number at or above `highest`, at most five steps."""
    if not math.isfinite(highest) or highest <= 0:
        highest = 1.0
    unit = 10.0 ** math.floor(math.log10(highest / 5))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if 5 * unit * m >= highest * (1 - 1e-9))
    return [round(i * step, 12) for i in range(math.ceil(highest / step - 1e-9) + 1)]


def _thinned(ticks: Sequence[int]) -> list[int]:
    """At most eight of the ticks, the last among them."""
    every = math.ceil(len(ticks) / 8) or 1
    return list(ticks)[::-1][::every][::-1]

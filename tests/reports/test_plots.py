"""Charts and images of the report."""

import base64
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from mmer_jax.reports import plots


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_has_exactly_the_pixels_of_its_image(channels):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, channels), np.uint8)
    head, data = plots.encode_png(image).split(",")
    assert head == "data:image/png;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    decoded = decoded[..., None] if channels == 1 else decoded[..., ::-1]  # OpenCV returns BGR.
    np.testing.assert_array_equal(decoded, image)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)]
)
def test_arrays_that_are_not_images_are_rejected(image):
    with pytest.raises(ValueError, match="expected uint8"):
        plots.encode_png(image)


def draw(**options) -> ElementTree.Element:
    lines = options.pop("lines", [plots.Line([(1, 0.2), (20, 0.8), (40, 1.0)], "train")])
    marks = options.pop("marks", [plots.Mark(10, 0.5, "test", (0.4, 0.6))])
    svg = plots.draw_chart(
        "a <b> & c", lines, marks, options.pop("x_ticks", [10, 20, 30, 40]), **options
    )
    return ElementTree.fromstring(svg)


def test_points_are_at_the_positions_given_by_the_axes():
    svg = draw(y_max=1.0, percent=True, reference=0.2)
    assert svg.find("title").text == "a <b> & c"
    texts = {text.text: text for text in svg.iter("text")}
    assert {"0%", "20%", "100%", "10", "40"} <= set(texts)
    heights = {line.get("y1"): line for line in svg.iter("line") if line.get("class") == "grid"}
    (circle,) = svg.iter("circle")
    half = (float(plots.TOP) + plots.HEIGHT - plots.BOTTOM) / 2
    assert float(circle.get("cy")) == pytest.approx(half, abs=0.1)
    assert circle.get("cx") == texts["10"].get("x")
    whisker = next(line for line in svg.iter("line") if line.get("class") == "whisker test")
    assert whisker.get("y1") in heights and whisker.get("y2") in heights  # 40% and 60%
    reference = next(line for line in svg.iter("line") if line.get("class") == "reference")
    assert reference.get("y1") in heights  # 20%
    end = svg.find("polyline").get("points").split()[-1]
    assert end == f"{plots.WIDTH - plots.RIGHT:.1f},{plots.TOP:.1f}"


def test_values_that_are_not_finite_are_omitted():
    nan = float("nan")
    lines = [plots.Line([(1, 1.0), (2, nan), (3, float("inf")), (4, 0.5)], "train")]
    svg = draw(lines=lines, marks=[plots.Mark(4, nan, "test")], x_ticks=[4])
    assert len(svg.find("polyline").get("points").split()) == 2
    assert not list(svg.iter("circle"))
    assert "nan" not in ElementTree.tostring(svg, encoding="unicode")


def test_empty_charts_and_charts_of_zeros_are_drawn():
    assert draw(lines=[], marks=[], x_ticks=[]).find("title") is not None
    draw(lines=[plots.Line([(1, 0.0)], "train")], marks=[])


@pytest.mark.parametrize("highest", [0.003, 0.1, 0.49, 1, 1.61, 2.5, 7, 33, 1200])
def test_axes_end_at_a_round_number_above_the_highest_value(highest):
    ticks = [float(t.text) for t in draw(lines=[], marks=[plots.Mark(1, highest, "test")])
             .iter("text") if t.get("text-anchor") == "end"]  # fmt: skip
    assert ticks[0] == 0 and highest <= ticks[-1] * 1.0001 <= 2 * highest + 1e-9
    assert 3 <= len(ticks) <= 6
    np.testing.assert_allclose(np.diff(ticks), ticks[1], rtol=1e-6)


def test_the_horizontal_axis_has_at_most_eight_labels():
    svg = draw(x_ticks=list(range(1, 101)), marks=[])
    labels = [t.text for t in svg.iter("text") if t.get("text-anchor") == "middle"]
    assert len(labels) <= 8 and labels[-1] == "100"

"""Figures 4 and 7, drawn from clips whose frames are known."""

import colorsys

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.datasets import clips
from mmer_jax.figures import images

WHOLE = clips.Options(detector="none")  # the largest centered square


def shown(axes) -> np.ndarray:
    """The image in a panel."""
    (image,) = axes.get_images()
    return np.asarray(image.get_array())


def hue(image: np.ndarray) -> float:
    """Degrees of the color of an area, from its mean."""
    return 360 * colorsys.rgb_to_hsv(*image.reshape(-1, 3).mean(axis=0) / 255)[0]


def test_spread_takes_the_middles_of_equal_parts():
    assert images.spread(100, 5) == [10, 30, 50, 70, 90]
    assert images.spread(4, 10, first=1) == [1, 2, 3]


def test_frames_show_the_frames_that_they_name(brightening):
    made = images.frames(brightening, 6, WHOLE)
    assert [axes.get_title() for axes in made.axes] == [
        f"frame {i}, {i / 12:.2f} s" for i in (2, 6, 10, 14, 18, 22)
    ]
    for axes, i in zip(made.axes, (2, 6, 10, 14, 18, 22), strict=True):
        assert shown(axes).shape == (224, 224, 3)
        assert shown(axes).mean() == pytest.approx(10 * i, abs=6)  # a codec lies between
    assert made.get_suptitle() == "brightening, 24 frames, no face found"


def test_frame_0_is_never_shown_and_short_clips_show_what_they_have(tmp_path, write_clip):
    short = write_clip(tmp_path / "short.mp4", np.full((4, 32, 32, 3), 90, np.uint8))
    assert sorted(images.read(short, 12, WHOLE).crops) == [1, 2, 3]
    assert len(images.frames(short, 12, WHOLE).axes) == 3


def test_flow_shows_where_and_whereto_things_move(moving):
    made = images.flows(moving, 3, WHOLE)
    faces_and_flows = [axes for axes in made.axes if axes.get_title() != "key"]
    assert len(faces_and_flows) == 6 and len(made.axes) == 7
    for axes, i in zip(made.axes[-4:-1], (4, 12, 20), strict=True):
        assert axes.get_title() == "flow into it"
        colors, scale = shown(axes), 224 / 96
        x = round((2 + 2 * i + 20) * scale)  # the square's middle
        moved = colors[100:124, x - 12 : x + 12]
        assert min(hue(moved), 360 - hue(moved)) < 20  # red: to the right
        assert moved.max(axis=-1).mean() > 100
        assert colors[:40].max(axis=-1).mean() < 10  # nothing moves there
        fastest = float(axes.get_xlabel().split()[1])
        assert fastest == pytest.approx(2 * scale, rel=0.5)


def test_the_key_is_opencvs_circle_of_hues():
    key = images.color_key(101)
    expected = {(50, 97): 0, (97, 50): 90, (50, 3): 180, (3, 50): 270}  # right, down, left, up
    for place, degrees in expected.items():
        assert hue(key[place]) == pytest.approx(degrees, abs=5)
    assert key[0, 0].max() == 0
    assert key[50, [50, 75, 100]].max(axis=-1) == pytest.approx([0, 128, 255], abs=1)  # speed


@pytest.mark.parametrize("draw", [images.frames, images.flows])
def test_a_clip_that_cannot_be_drawn_is_named(draw, tmp_path, write_clip, write_audio, sine):
    still = write_clip(tmp_path / "still.mp4", np.full((1, 32, 32, 3), 90, np.uint8))
    with pytest.raises(errors.UserError, match=r"still.mp4: too short: flow needs two frames"):
        draw(still, 3, WHOLE)
    with pytest.raises(errors.UserError, match=r"tone.wav: no video stream"):
        draw(write_audio(tmp_path / "tone.wav", sine(440, 0.5)), 3, WHOLE)
    with pytest.raises(errors.UserError, match=r"absent.mp4"):
        draw(tmp_path / "absent.mp4", 3, WHOLE)

"""Figures 4 and 7 of clips with known frames."""

import colorsys

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.datasets import clips
from mmer_jax.figures import images

NO_DETECTOR = clips.Options(detector="none")  # the largest centered square


def get_image(axes) -> np.ndarray:
    """Returns the image in a panel."""
    (image,) = axes.get_images()
    return np.asarray(image.get_array())


def hue(image: np.ndarray) -> float:
    """Returns the hue of an area's mean color in degrees."""
    return 360 * colorsys.rgb_to_hsv(*image.reshape(-1, 3).mean(axis=0) / 255)[0]


def test_spread_frames_are_the_middles_of_equal_intervals():
    assert images.spread_frames(100, 5) == [10, 30, 50, 70, 90]
    assert images.spread_frames(4, 10, first=1) == [1, 2, 3]


def test_frames_match_their_titles(brightening):
    figure = images.draw_frames(brightening, 6, NO_DETECTOR)
    assert [axes.get_title() for axes in figure.axes] == [
        f"frame {i}, {i / 12:.2f} s" for i in (2, 6, 10, 14, 18, 22)
    ]
    for axes, i in zip(figure.axes, (2, 6, 10, 14, 18, 22), strict=True):
        assert get_image(axes).shape == (224, 224, 3)
        assert get_image(axes).mean() == pytest.approx(10 * i, abs=6)  # lossy compression
    assert figure.get_suptitle() == "brightening, 24 frames, no face found"


def test_frame_0_is_never_shown_and_short_clips_give_fewer_frames(tmp_path, write_clip):
    short = write_clip(tmp_path / "short.mp4", np.full((4, 32, 32, 3), 90, np.uint8))
    assert sorted(images.read_faces(short, 12, NO_DETECTOR).crops) == [1, 2, 3]
    assert len(images.draw_frames(short, 12, NO_DETECTOR).axes) == 3


def test_flow_shows_place_and_direction_of_motion(moving):
    figure = images.draw_flow(moving, 3, NO_DETECTOR)
    faces_and_flows = [axes for axes in figure.axes if axes.get_title() != "key"]
    assert len(faces_and_flows) == 6 and len(figure.axes) == 7
    for axes, i in zip(figure.axes[-4:-1], (4, 12, 20), strict=True):
        assert axes.get_title() == f"flow, frames {i - 1}–{i}"
        colors, scale = get_image(axes), 224 / 96
        x = round((2 + 2 * i + 20) * scale)  # the square's middle
        moving = colors[100:124, x - 12 : x + 12]
        assert min(hue(moving), 360 - hue(moving)) < 20  # red: to the right
        assert moving.max(axis=-1).mean() > 100
        assert colors[:40].max(axis=-1).mean() < 10  # nothing moves there
        fastest = float(axes.get_xlabel().split()[1])
        assert fastest == pytest.approx(2 * scale, rel=0.5)


def test_the_color_key_has_opencvs_hues():
    key = images.draw_color_key(101)
    expected = {(50, 97): 0, (97, 50): 90, (50, 3): 180, (3, 50): 270}  # right, down, left, up
    for position, degrees in expected.items():
        assert hue(key[position]) == pytest.approx(degrees, abs=5)
    assert key[0, 0].max() == 0
    assert key[50, [50, 75, 100]].max(axis=-1) == pytest.approx([0, 128, 255], abs=1)  # speed


@pytest.mark.parametrize("draw", [images.draw_frames, images.draw_flow])
def test_a_clip_that_cannot_be_drawn_is_reported(draw, tmp_path, write_clip, write_audio, sine):
    still = write_clip(tmp_path / "still.mp4", np.full((1, 32, 32, 3), 90, np.uint8))
    with pytest.raises(errors.UserError, match=r"still.mp4: too short: flow needs two frames"):
        draw(still, 3, NO_DETECTOR)
    with pytest.raises(errors.UserError, match=r"tone.wav: no video stream"):
        draw(write_audio(tmp_path / "tone.wav", sine(440, 0.5)), 3, NO_DETECTOR)
    with pytest.raises(errors.UserError, match=r"absent.mp4"):
        draw(tmp_path / "absent.mp4", 3, NO_DETECTOR)

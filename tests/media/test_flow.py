"""Tests of optical flow: direction, speed and the colors of both."""

import cv2
import numpy as np
import pytest

from mmer_jax.media import flow

SIZE = 128


def pattern():
    """Returns a smooth random texture, larger than an image on every side."""
    noise = np.random.default_rng(0).uniform(0, 255, (SIZE + 64, SIZE + 64, 3))
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 3) * 4 - 380, 0, 255).astype(np.uint8)


def panned(right, down):
    """Returns two images; the texture moves right and down by the given pixels between them."""
    texture = pattern()
    previous = texture[32 : 32 + SIZE, 32 : 32 + SIZE]
    current = texture[32 - down : 32 - down + SIZE, 32 - right : 32 - right + SIZE]
    return previous, current


def hue_and_value(image):
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    return hsv[..., 0].astype(int) * 2, hsv[..., 2]


# Degrees in the image, clockwise from "right" since y points down.
DIRECTIONS = {(4, 0): 0, (0, 4): 90, (-4, 0): 180, (0, -4): 270, (3, 3): 45, (-3, 3): 135}


@pytest.mark.parametrize("move", DIRECTIONS)
def test_flow_is_the_motion(move):
    motion = flow.dense_flow(*panned(*move))
    assert motion.shape == (SIZE, SIZE, 2)
    assert motion.dtype == np.float32
    inside = motion[16:-16, 16:-16]
    assert np.abs(inside - move).mean() < 0.2


@pytest.mark.parametrize("scale", [None, 8.0])
@pytest.mark.parametrize("move", DIRECTIONS)
def test_panned_texture_has_the_hue_of_its_direction_everywhere(move, scale):
    image = flow.flow_image(flow.dense_flow(*panned(*move)), scale)
    assert image.shape == (SIZE, SIZE, 3)
    assert image.dtype == np.uint8
    hue, value = hue_and_value(image)
    visible = value > 20  # the hue of black is meaningless
    assert visible.mean() > 0.95
    error = np.abs((hue - DIRECTIONS[move] + 180) % 360 - 180)
    assert np.percentile(error[visible], 98) < 15


def test_motion_to_the_right_is_red():
    image = flow.flow_image(np.full((4, 4, 2), (3.0, 0.0), np.float32), None)
    assert (image == (255, 0, 0)).all()


def test_hue_is_half_the_angle_rounded_to_the_nearest_degree():
    degrees = np.array([1.6, 91.5, 181.5, 271.5, 359.5])  # OpenCV is exact to 0.3
    motion = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=-1)
    hue = np.array([[[round(d / 2) % 180, 255, 255] for d in degrees]], np.uint8)
    image = flow.flow_image(motion[None].astype(np.float32), 1.0)
    np.testing.assert_array_equal(image, cv2.cvtColor(hue, cv2.COLOR_HSV2RGB))


def test_per_frame_scaling_uses_the_whole_range():
    speeds = np.zeros((1, 4, 2), np.float32)
    speeds[0, :, 0] = (1, 2, 3, 5)
    value = flow.flow_image(speeds, None)[0, :, 0]
    assert value.tolist() == [0, 64, 128, 255]


def test_fixed_scale_makes_frames_comparable():
    speeds = np.zeros((1, 4, 2), np.float32)
    speeds[0, :, 1] = (0, 2, 4, 9)
    value = flow.flow_image(speeds, 4.0).max(axis=-1)[0]
    assert value.tolist() == [0, 128, 255, 255]
    with pytest.raises(ValueError, match="above 0"):
        flow.flow_image(speeds, 0.0)


@pytest.mark.parametrize("scale", [None, 4.0])
def test_no_motion_is_black(scale):
    still = pattern()[:SIZE, :SIZE]
    assert not flow.flow_image(np.zeros((8, 8, 2), np.float32), scale).any()
    motion = flow.dense_flow(still, still)
    assert motion.shape == (SIZE, SIZE, 2) and not motion.any()
    assert not flow.flow_image(motion, scale).any()
    blank = np.full_like(still, 255)
    assert not flow.flow_image(flow.dense_flow(blank, blank), scale).any()

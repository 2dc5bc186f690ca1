"""Tests of corruptions against SciPy, OpenCV and pixel counts."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from mmer_jax import errors
from mmer_jax.media import corruptions


@pytest.fixture
def face():
    """An image, uint8 [48, 48, 3], without black pixels, so that black ones were occluded."""
    return np.random.default_rng(0).integers(20, 256, (48, 48, 3), np.uint8)


@pytest.mark.parametrize("sigma", [0.01, 0.04, 0.3])
def test_blur_matches_scipy(face, sigma):
    blurred = corruptions.blur(face, sigma)
    pixels = sigma * 48
    expected = ndimage.gaussian_filter(face.astype(np.float64), (pixels, pixels, 0), mode="reflect")
    assert np.abs(blurred - expected).max() <= 0.51  # the rounding
    assert blurred.mean() == pytest.approx(face.mean(), abs=0.5)
    assert blurred.dtype == np.uint8


def test_darkening_is_exact():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    half = corruptions.darken(ramp, 0.5)
    assert np.array_equal(half[::, ::2], ramp[:, ::2] // 2)  # even values: no rounding
    assert not corruptions.darken(ramp, 0).any()


@pytest.mark.parametrize(
    ("share", "side"), [(0.0625, 12), (0.25, 24), (0.1, 15), (0.5, 34), (1, 48)]
)
def test_occlusion_covers_its_share_with_one_square(face, share, side):
    for seed in range(20):
        covered = corruptions.occlude(face, share, np.random.default_rng(seed))
        black = (covered == 0).all(-1)
        assert black.sum() == side**2
        rows, columns = np.flatnonzero(black.any(1)), np.flatnonzero(black.any(0))
        assert len(rows) == len(columns) == side == np.ptp(rows) + 1 == np.ptp(columns) + 1
        assert np.array_equal(covered[~black], face[~black])
    assert side**2 / 48**2 == pytest.approx(share, abs=0.02)
    assert face.all()  # the input is unchanged


def test_occlusion_position_depends_on_the_generator_and_covers_the_image(face):
    def corner(seed, share=0.1):
        covered = corruptions.occlude(face, share, np.random.default_rng(seed))
        return tuple(np.argwhere(covered[..., 0] == 0)[0])

    assert corner(3) == corner(3)
    corners = np.array([corner(seed) for seed in range(500)])
    assert corners.min() == 0 and corners.max() == 48 - 15
    assert corners.mean() == pytest.approx((48 - 15) / 2, abs=1.5)


@pytest.mark.parametrize("pixels", [24, 16, 7, 1])
def test_low_resolution_averages_and_interpolates(face, pixels):
    low = corruptions.reduce(face, pixels)
    small = cv2.resize(face.astype(np.float32), (pixels, pixels), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(small, (48, 48), interpolation=cv2.INTER_LINEAR)
    assert np.abs(low - expected).max() <= 0.51
    if 48 % pixels == 0:
        blocks = face.reshape(pixels, 48 // pixels, pixels, 48 // pixels, 3).mean((1, 3))
        assert np.allclose(small, blocks, atol=1e-3)


@pytest.mark.parametrize("name", [c.name for c in corruptions.CORRUPTIONS.values()])
def test_levels_are_within_their_limits_and_severity_increases(name, face, sine):
    corruption = corruptions.CORRUPTIONS[name]
    clean = face if corruption.stream == "video" else sine(300, 0.2)
    differences = []
    for level in corruption.levels:
        corruption.check(level)
        corrupted = corruption.apply(clean, level, np.random.default_rng(0))
        assert (corrupted.shape, corrupted.dtype) == (clean.shape, clean.dtype)
        differences.append(np.abs(corrupted.astype(float) - clean).mean())
    assert differences == sorted(differences) and differences[0] > 0
    assert all(corruption.axis_position(level) >= 0 for level in corruption.levels)
    with pytest.raises(errors.UserError, match=f"a level of {name} must be .*, found 5000"):
        corruption.check(5000)


def test_the_mildest_level_changes_nothing(face):
    rng = np.random.default_rng(0)
    for name, level in {"blur": 0, "darken": 0, "occlude": 0, "low_resolution": 48}.items():
        assert np.array_equal(corruptions.CORRUPTIONS[name].apply(face, level, rng), face), name


def test_noise_has_the_requested_signal_to_noise_ratio(sine):
    tone = sine(300, 2)
    for level in corruptions.CORRUPTIONS["noise"].levels:
        noisy = corruptions.CORRUPTIONS["noise"].apply(tone, level, np.random.default_rng(0))
        ratio = np.mean(tone**2) / np.mean((noisy - tone) ** 2)
        assert 10 * np.log10(ratio) == pytest.approx(level, abs=0.1)

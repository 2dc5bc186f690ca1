"""Distortions of spectrograms, against closed forms on images made for them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.training import augmentation, distortion

KEYS = [jax.random.key(seed) for seed in range(200)]


def over_keys(function):
    return np.asarray(jax.vmap(function)(jnp.stack(KEYS)))


@pytest.mark.parametrize(("axis", "amounts", "fixed"), [(1, (0.25, 0.0), 20), (0, (0.0, 0.25), 40)])
def test_a_stretched_ramp_has_another_slope_and_keeps_its_fixed_point(axis, amounts, fixed):
    """Linear interpolation of a ramp is exact: x(p) becomes x((p - fixed) * factor + fixed)."""
    size = 41
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    image = jnp.asarray(np.expand_dims(ramp, (1 - axis, 2)) * np.ones((size, size, 1)), jnp.float32)
    images = over_keys(lambda key: distortion.stretch(key, image, *amounts))[..., 0]
    lines = np.take(images, 3, axis=2 - axis)  # [keys, size] along the stretched axis
    np.testing.assert_array_equal(images, np.expand_dims(lines, 2 - axis) + 0 * images)
    factors = (lines[:, fixed] - lines[:, fixed - 5]) * (size - 1) / 5
    expected = (np.arange(size) - fixed) * factors[:, None] + fixed
    np.testing.assert_allclose(lines, np.clip(expected / (size - 1), 0, 1), atol=1e-5)
    logs = np.log(factors)
    assert np.abs(logs).max() <= np.log(1.25) + 1e-4
    # Uniform in ±log(1.25): standard deviation log(1.25) / sqrt(3).
    assert logs.std() == pytest.approx(np.log(1.25) / np.sqrt(3), rel=0.15)
    assert abs(logs.mean()) < 3 * logs.std() / np.sqrt(len(logs))


def test_gain_changes_all_values_alike():
    image = jnp.full((8, 6, 1), 0.5)
    images = over_keys(lambda key: distortion.equalize(key, image, 0.1, 0.0))
    change = images[:, 0, 0, 0] - 0.5
    np.testing.assert_allclose(
        images, 0.5 + change[:, None, None, None] * np.ones((8, 6, 1)), atol=1e-6
    )
    assert np.abs(change).max() <= 0.1 + 1e-6
    assert change.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.15)


def test_equalization_changes_frequencies_by_a_smooth_curve():
    image = jnp.full((64, 6, 1), 0.5)
    change = over_keys(lambda key: distortion.equalize(key, image, 0.0, 0.2))[..., 0] - 0.5
    np.testing.assert_array_equal(change, change[:, :, :1] + np.zeros((64, 6)))
    curves = change[:, :, 0]
    assert 0.1 < np.abs(curves).max() <= 0.2
    # The curve is a sum of the first four cosines of the discrete cosine transform, without a mean.
    spectrum = np.abs(np.cos(np.pi * np.outer(np.arange(64), np.arange(64) + 0.5) / 64) @ curves.T)
    assert spectrum[1:5].max() > 1 and spectrum[0].max() < 1e-4 and spectrum[5:].max() < 1e-4


def test_noise_fills_what_is_quiet_and_leaves_what_is_loud():
    image = jnp.asarray(
        np.repeat([0.0, 0.9], 5).reshape(1, 10, 1) * np.ones((8, 1, 1)), jnp.float32
    )
    images = over_keys(lambda key: distortion.raise_noise_floor(key, image, 0.4))
    np.testing.assert_array_equal(images[:, :, 5:], np.float32(0.9))
    levels = images[:, :, :5].mean((1, 2, 3))
    assert levels.max() < 0.45 and levels.mean() == pytest.approx(0.2, abs=0.03)


def test_levels_stay_in_their_range():
    image = jnp.asarray([[[0.0], [1.0]]])
    images = over_keys(lambda key: distortion.equalize(key, image, 0.5, 0.5))
    assert images.min() == 0 and images.max() == 1


@pytest.mark.parametrize(
    "field", ["time_stretch", "frequency_stretch", "gain", "equalization", "noise_floor"]
)
def test_a_batch_is_distorted_example_by_example_and_photographs_are_not(field):
    rng = np.random.default_rng(0)
    mel = rng.integers(0, 256, (6, 16, 16, 1), np.uint8)
    inputs = {"face": rng.integers(0, 256, (6, 16, 16, 3), np.uint8), "mel": mel}
    distort = jax.jit(augmentation.Augmentation(**{field: 0.4}).distort)
    after = distort(KEYS[0], inputs)
    np.testing.assert_array_equal(after["face"], inputs["face"])
    changed = np.abs(np.asarray(after["mel"]) - mel / np.float32(255)).max((1, 2, 3)) > 1e-3
    assert changed.all()
    # Two equal images of a batch are distorted in two ways, whatever else is in the batch.
    twice = distort(KEYS[0], {**inputs, "mel": mel[[0, 0, 2, 3]]})
    assert np.abs(np.asarray(twice["mel"][0] - twice["mel"][1])).max() > 1e-3
    np.testing.assert_allclose(twice["mel"][2], after["mel"][2], atol=1e-6)
    other = distort(KEYS[1], inputs)
    assert np.abs(np.asarray(other["mel"] - after["mel"])).max() > 1e-3

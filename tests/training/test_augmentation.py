"""Normalization and random changes of a batch, against numpy and planted images."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.datasets import selection
from mmer_jax.training import augmentation, normalization

KEYS = [jax.random.key(seed) for seed in range(20)]


def batch(names=("mel",), b=40, size=50, value=1.0):
    return {name: jnp.full((b, size, size, 1), value) for name in names}


def changed(images, key, **amounts):
    targets = jax.nn.one_hot(jnp.arange(len(next(iter(images.values())))) % 4, 4)
    return augmentation.Augment(**amounts)(key, images, targets), targets


def test_nothing_asked_for_changes_nothing():
    given = {"mel": jnp.zeros((3, 4, 4, 1), jnp.uint8)}
    (images, after), targets = changed(given, KEYS[0], time_width=0.3, frequency_width=0.3)
    assert images["mel"] is given["mel"]
    assert after is targets


@pytest.mark.parametrize("axis, way", [(2, "time"), (1, "frequency")])
def test_strips_are_whole_of_the_image_and_as_wide_as_said(axis, way):
    """A ramp along the other axis has no place with its own mean, so the strip is seen exactly."""
    ramp = jnp.linspace(0, 1, 50).reshape((50, 1) if axis == 2 else (1, 50))
    x = jnp.broadcast_to(ramp, (40, 50, 50))[..., None]
    widths, starts = [], []
    for key in KEYS:
        (images, _), _ = changed({"mel": x}, key, **{f"{way}_masks": 1, f"{way}_width": 0.4})
        hidden = np.isclose(images["mel"][..., 0], 0.5, atol=1e-4)
        np.testing.assert_array_equal(
            np.asarray(images["mel"])[..., 0][~hidden], x[..., 0][~hidden]
        )
        lines = hidden.all(axis=3 - axis)
        np.testing.assert_array_equal(hidden, np.expand_dims(lines, 3 - axis) & hidden)
        for line in lines:
            found = np.flatnonzero(line)
            assert len(found) <= 0.4 * 50 + 1
            assert not len(found) or np.ptp(found) == len(found) - 1  # in one piece
            widths.append(len(found))
            starts.append(found[0] if len(found) else 0)
    # Uniform over 0 to 0.4: the mean of 800 is 0.2, and strips begin everywhere.
    assert np.mean(widths) / 50 == pytest.approx(0.2, abs=0.015)
    assert min(starts) == 0
    assert max(starts) > 40


@pytest.mark.parametrize("axis, way", [(2, "time"), (1, "frequency")])
def test_a_shift_moves_the_whole_image_and_shows_the_mean(axis, way):
    """numpy's roll, but for what would come in from the other side."""
    x = jnp.asarray(np.random.default_rng(0).random((40, 20, 20, 1)), jnp.float32)
    found = set()
    for key in KEYS[:5]:
        (images, _), _ = changed({"mel": x}, key, **{f"{way}_shift": 0.2})
        for before, after in zip(np.asarray(x), np.asarray(images["mel"]), strict=True):
            by = {
                k: np.isclose(np.roll(before, k, axis - 1), after, atol=1e-6).sum()
                for k in range(-5, 6)
            }
            k = max(by, key=by.get)
            assert by[k] >= 20 * (20 - abs(k))
            assert np.isclose(after, before.mean(), atol=1e-4).sum() >= 20 * abs(k)
            found.add(k)
    assert found == set(range(-4, 5))


def test_images_of_light_have_no_strips():
    (images, _), _ = changed(batch(("face", "mel")), KEYS[0], time_masks=2, time_width=0.5)
    np.testing.assert_array_equal(images["face"], 1.0)


def test_mixup_mixes_images_and_targets_alike():
    """Images that are their own target stay so, and most of each is itself."""
    label = jnp.arange(40) % 4
    given = {"mel": jax.nn.one_hot(label, 4)[:, :, None, None]}
    shares = []
    for key in KEYS:
        augment = augmentation.Augment(mixup=0.5)
        images, targets = augment(key, given, jax.nn.one_hot(label, 4))
        np.testing.assert_allclose(images["mel"][..., 0, 0], targets, atol=1e-6)
        np.testing.assert_allclose(targets.sum(1), 1, atol=1e-6)
        own = np.asarray(targets)[np.arange(40), label]
        assert own.min() >= 0.5 - 1e-6
        shares.append(own.mean())
    # E max(s, 1 - s) of Beta(1/2, 1/2), the arcsine law, is 1/2 + 1/pi; a quarter of all partners
    # are of the same class.
    share = 0.5 + 1 / np.pi
    assert np.mean(shares) == pytest.approx(share + (1 - share) / 4, abs=0.02)


def test_modalities_go_missing_at_their_rate_but_never_all():
    there = []
    for key in KEYS:
        given = batch(("face", "flow", "mel"), size=4)
        (images, _), _ = changed(given, key, modality_dropout=0.5)
        seen = np.stack([np.asarray(images[n]).mean((1, 2, 3)) for n in images])
        assert set(np.unique(seen)) <= {0.0, 1.0}
        assert seen.any(0).all()
        there.append(seen.mean())
    # Each is there with 1/2, and with 1/8 none would be, whereupon all are.
    assert np.mean(there) == pytest.approx(0.5 + 1 / 8, abs=0.02)
    (alone, _), _ = changed(batch(size=4), KEYS[0], modality_dropout=0.5)
    np.testing.assert_array_equal(alone["mel"], 1.0)


def test_a_standard_is_numpys_mean_and_deviation():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 6, 5, 1)).astype(np.uint8)
    group = np.array([0, 1] * 5)
    rows = np.r_[np.arange(8), 0, 1]  # some twice: they count once
    mean, deviation = normalization.measure_standard(images, rows, group, by_row=True)
    of_one = images[1:8:2] / 255
    np.testing.assert_allclose(mean[1, :, 0, 0], of_one.mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(deviation[1, :, 0, 0], of_one.std((0, 2, 3)), atol=1e-6)
    whole, spread = normalization.measure_standard(images, np.arange(12), np.zeros(12, int), False)
    assert whole.shape == (1, 1, 1, 1)
    standard = normalization.Standard(*map(jnp.asarray, (whole, spread)), jnp.zeros(12, jnp.int32))
    seen = normalization.normalize(jnp.asarray(images), standard, jnp.arange(12))
    assert float(seen.mean()) == pytest.approx(0, abs=1e-5)
    assert float(seen.std()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("by_row", [False, True])
def test_a_standard_of_more_than_memory_is_measured_in_parts(monkeypatch, by_row):
    images = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 3)).astype(np.uint8)
    images[15:] //= 2
    asked = images, np.arange(30), np.arange(30) // 15, by_row
    expected = normalization.measure_standard(*asked)
    monkeypatch.setattr(normalization, "_AT_ONCE", 0)
    monkeypatch.setattr(normalization, "_PART", 4 * 6 * 5 * 3)
    for found, once in zip(normalization.measure_standard(*asked), expected, strict=True):
        assert (found.shape, found.dtype) == (once.shape, once.dtype)
        np.testing.assert_allclose(found, once, rtol=1e-6)


@pytest.fixture
def two_speakers():
    """A pack of two people, one in training; view 1 is altered audio. Images tell whose it is."""

    table = {
        "subject": np.array(["a", "a", "a", "a", "b", "b", "c"]),
        "audio_variant": np.array(["original", "noise"] * 3 + ["original"]),
    }
    gray = np.array([10, 90, 30, 90, 100, 200, 255], np.uint8)[:, None, None, None]
    data = types.SimpleNamespace(table=table, arrays={"mel": gray})

    def part(rows):
        rows = np.array(rows)
        return selection.Examples({"mel": rows}, rows * 0, rows.astype(str), rows * 0)

    return data, part([0, 1, 2, 3]), {"test": part([4])}


def config_with(normalization):
    from configs import base

    config = base.get_config()
    config.modalities, config.input.normalization = ("mel",), normalization
    return config


def test_speakers_are_measured_by_themselves_and_on_unaltered_audio(two_speakers):
    standard = normalization.of(config_with("per_speaker"), *two_speakers)["mel"]
    means = standard.mean[standard.group].ravel() * 255
    np.testing.assert_allclose(means[:4], 20, atol=1e-4)  # of 10 and 30, heard with noise too
    np.testing.assert_allclose(means[4:6], 100, atol=1e-4)  # nothing of a


def test_a_global_standard_is_the_training_parts(two_speakers):
    standard = normalization.of(config_with("global"), *two_speakers)["mel"]
    np.testing.assert_allclose(standard.mean.ravel() * 255, 55, atol=1e-4)
    assert (standard.group == 0).all()


def test_unit_has_none_and_an_unknown_way_is_named(two_speakers):
    assert normalization.of(config_with("unit"), *two_speakers) == {}
    with pytest.raises(errors.UserError, match="unknown normalization 'batch'"):
        normalization.of(config_with("batch"), *two_speakers)


@pytest.mark.parametrize(
    "field, value", [("time_width", 1.0), ("modality_dropout", -0.1), ("mixup", -1.0)]
)
def test_amounts_out_of_range_are_refused(field, value):
    config = config_with("unit")
    config.augment[field] = value
    with pytest.raises(errors.UserError, match=f"config.augment.{field} is {value}"):
        augmentation.Augment.of(config)

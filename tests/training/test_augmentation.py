"""Random changes of a batch, against closed forms on images made for them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from configs import base
from mmer_jax import errors
from mmer_jax.training import augmentation

KEYS = [jax.random.key(seed) for seed in range(20)]


def batch(names=("mel",), b=40, size=50, value=1.0):
    return {name: jnp.full((b, size, size, 1), value) for name in names}


@functools.cache
def compiled(**amounts):
    return jax.jit(augmentation.Augmentation(**amounts))


def changed(images, key, **amounts):
    targets = jax.nn.one_hot(np.arange(len(next(iter(images.values())))) % 4, 4)
    return compiled(**amounts)(key, images, targets, jnp.ones(len(targets))), targets


def test_nothing_asked_for_changes_nothing():
    given = {"mel": jnp.zeros((3, 4, 4, 1), jnp.uint8)}
    targets = jnp.zeros((3, 4))
    augment = augmentation.Augmentation(time_width=0.3, frequency_width=0.3)
    images, after = augment(KEYS[0], given, targets, jnp.ones(3))
    assert images["mel"] is given["mel"]
    assert after is targets


@pytest.mark.parametrize("axis, way", [(2, "time"), (1, "frequency")])
def test_strips_are_whole_of_the_image_and_as_wide_as_said(axis, way):
    """A ramp along the other axis has no place with its own mean, so the strip is seen exactly."""
    ramp = np.linspace(0, 1, 50, dtype=np.float32).reshape((50, 1) if axis == 2 else (1, 50))
    x = np.broadcast_to(ramp, (40, 50, 50))[..., None]
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
    x = np.random.default_rng(0).random((40, 20, 20, 1)).astype(np.float32)
    found = set()
    for key in KEYS[:5]:
        (images, _), _ = changed({"mel": x}, key, **{f"{way}_shift": 0.2})
        for before, after in zip(x, np.asarray(images["mel"]), strict=True):
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
        images, targets = compiled(mixup=0.5)(key, given, jax.nn.one_hot(label, 4), jnp.ones(40))
        np.testing.assert_allclose(images["mel"][..., 0, 0], targets, atol=1e-6)
        np.testing.assert_allclose(targets.sum(1), 1, atol=1e-6)
        own = np.asarray(targets)[np.arange(40), label]
        assert own.min() >= 0.5 - 1e-6
        shares.append(own.mean())
    # E max(s, 1 - s) of Beta(1/2, 1/2), the arcsine law, is 1/2 + 1/pi; 9 of 39 partners are of
    # the same class.
    share = 0.5 + 1 / np.pi
    assert np.mean(shares) == pytest.approx(share + (1 - share) * 9 / 39, abs=0.02)


def test_mixup_draws_partners_uniformly_from_the_other_real_examples():
    """Seven examples and three of padding; an example's target names it."""
    images = {"mel": jnp.zeros((10, 1, 1, 1))}
    mask = (jnp.arange(10) < 7).astype(jnp.float32)
    augment = augmentation.Augmentation(mixup=1.0)
    keys = jax.random.split(jax.random.key(0), 2000)
    mix = jax.jit(jax.vmap(lambda key: augment(key, images, jnp.eye(10), mask)[1]))
    targets = np.asarray(mix(keys))[:, :7]
    np.testing.assert_array_equal(targets[..., 7:], 0)
    own = np.diagonal(targets, axis1=1, axis2=2)
    # The larger of two shares that are uniform over 0 to 1 is uniform over 1/2 to 1.
    assert stats.kstest(own.ravel(), stats.uniform(0.5, 0.5).cdf).pvalue > 1e-3
    counts = ((targets > 0) & ~np.eye(7, 10, dtype=bool)).sum(0)[:, :7]
    np.testing.assert_array_equal(counts.sum(1), 2000)  # one partner each, never itself
    others = counts[~np.eye(7, dtype=bool)].reshape(7, 6)
    assert stats.chisquare(others, axis=1).pvalue.min() > 1e-3
    # Partners of two examples are drawn independently of each other.
    pairs = np.histogram2d(*(t[:, 2:7].argmax(1) for t in (targets[:, 0], targets[:, 1])), 5)[0]
    assert stats.chi2_contingency(pairs).pvalue > 1e-3


def test_mixup_does_not_change_an_example_that_is_alone():
    images = {"mel": jnp.arange(4.0).reshape(4, 1, 1, 1)}
    mask = jnp.array([1.0, 0, 0, 0])
    after, targets = compiled(mixup=1.0)(KEYS[0], images, jnp.eye(4), mask)
    assert (float(after["mel"][0, 0, 0, 0]), targets[0].tolist()) == (0, [1, 0, 0, 0])


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


DISTORTIONS = ("time_stretch", "frequency_stretch", "gain", "equalization", "noise_floor")
EVERY_AUGMENTATION = {
    **dict.fromkeys(DISTORTIONS, 0.3),
    **dict.fromkeys(("time_shift", "frequency_shift", "time_width", "frequency_width"), 0.3),
    "time_masks": 2,
    "frequency_masks": 2,
    "mixup": 1.0,
    "modality_dropout": 0.3,
}


def test_padding_does_not_change_the_examples_of_a_batch():
    """The same five examples, without padding, with three padded and with others padded."""
    rng = np.random.default_rng(0)
    examples = {name: rng.random((8, 20, 20, 1), np.float32) for name in ("face", "flow", "mel")}
    others = {name: np.concatenate([x[:5], 1 - x[5:]]) for name, x in examples.items()}
    targets = jax.nn.one_hot(np.arange(8) % 4, 4)
    augment = compiled(**EVERY_AUGMENTATION)
    assert {f.name for f in dataclasses.fields(augmentation.Augmentation)} == {*EVERY_AUGMENTATION}
    for key in KEYS[:5]:
        alone = augment(key, {n: x[:5] for n, x in examples.items()}, targets[:5], jnp.ones(5))
        mask = (jnp.arange(8) < 5).astype(jnp.float32)
        for padded, labels in ((examples, targets), (others, targets.at[5:].set(0))):
            after = augment(key, padded, labels, mask)
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[:5], atol=1e-6), alone, after)


@pytest.mark.parametrize(
    "field, value", [("time_width", 1.0), ("modality_dropout", -0.1), ("mixup", -1.0)]
)
def test_amounts_out_of_range_are_refused(field, value):
    config = base.get_config()
    config.augment[field] = value
    with pytest.raises(errors.UserError, match=f"config.augment.{field} is {value}"):
        augmentation.Augmentation.from_config(config)

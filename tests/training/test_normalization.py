"""Normalization statistics, against numpy on images made for them."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from mmer_jax import errors
from mmer_jax.datasets import selection
from mmer_jax.training import normalization
from mmer_jax.training.normalization import NO_NORMALIZATION


def test_statistics_are_numpys_mean_and_std():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 6, 5, 1)).astype(np.uint8)
    group = np.array([0, 1] * 5)
    index = np.r_[np.arange(8), 0, 1]  # some twice: they count once
    stats = normalization.measure(images, index, group, by_row=True)
    of_one = images[1:8:2] / 255
    np.testing.assert_allclose(stats.mean[1, :, 0, 0], of_one.mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(stats.std[1, :, 0, 0], of_one.std((0, 2, 3)), atol=1e-6)
    stats = normalization.measure(images, np.arange(12), np.zeros(12, int), by_row=False)
    assert stats.mean.shape == (1, 1, 1, 1)
    stats = jax.tree.map(jnp.asarray, stats)
    normalized = normalization.normalize(jnp.asarray(images), stats, jnp.zeros(12, jnp.int32))
    assert float(normalized.mean()) == pytest.approx(0, abs=1e-5)
    assert float(normalized.std()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("by_row", [False, True])
def test_images_that_outgrow_memory_are_measured_in_chunks(monkeypatch, by_row):
    images = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 3)).astype(np.uint8)
    images[15:] //= 2
    arguments = images, np.arange(30), np.arange(30) // 15, by_row
    expected = normalization.measure(*arguments)
    monkeypatch.setattr(normalization, "_LARGE", 0)
    monkeypatch.setattr(normalization, "_CHUNK", 4 * 6 * 5 * 3)
    chunked = normalization.measure(*arguments)
    for ours, theirs in ((chunked.mean, expected.mean), (chunked.std, expected.std)):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("by_row", [False, True])
def test_sums_give_the_statistics_of_any_union_of_groups(by_row):
    images = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3)).astype(np.uint8)
    group = np.array([0, 0, 1, 2, 2, 2, 3, 3, 0])
    sums = normalization.sum_images(images, np.arange(9), group, by_row)
    unions = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]], bool)
    stats = sums.unite(unions)
    for i, union in enumerate(unions):
        index = np.flatnonzero(union[group])
        expected = normalization.measure(images, index, 0 * index, by_row)
        np.testing.assert_allclose(stats.mean[i], expected.mean[0], rtol=1e-6)
        np.testing.assert_allclose(stats.std[i], expected.std[0], rtol=1e-5)
    constant = normalization.sum_images(images[:1] * 0, np.zeros(1, int), np.zeros(1, int), by_row)
    assert (constant.unite(np.ones((1, 1), bool)).std == np.float32(1e-3)).all()


@pytest.fixture
def two_speakers():
    """A pack of three speakers, one in training; view 1 is altered audio; gray is the speaker."""
    table = {
        "subject": np.array(["a", "a", "a", "a", "b", "b", "c"]),
        "audio_variant": np.array(["original", "noise"] * 3 + ["original"]),
    }
    gray = np.array([10, 90, 30, 90, 100, 200, 255], np.uint8)[:, None, None, None]
    data = types.SimpleNamespace(table=table, arrays={"mel": gray})

    def subset(indices):
        index = np.array(indices)
        return selection.Examples({"mel": index}, index * 0, index.astype(str), index * 0)

    return data, {"train": subset([0, 1, 2, 3]), "test": subset([4])}


def config_with(name):
    config = base.get_config()
    config.modalities, config.input.normalization = ("mel",), name
    return config


def test_speakers_are_measured_separately_and_on_original_audio(two_speakers):
    norm = normalization.compute(config_with("per_speaker"), *two_speakers)
    means = norm.stats["mel"].mean[norm.groups["mel"]].ravel() * 255
    np.testing.assert_allclose(means[:4], 20, atol=1e-4)  # of 10 and 30, not of the noisy versions
    np.testing.assert_allclose(means[4:6], 100, atol=1e-4)  # nothing of a


def test_a_learning_rate_search_tests_with_the_statistics_that_it_trained_with(two_speakers):
    data, _ = two_speakers

    def subset(*indices):
        index = np.array(indices)
        return selection.Examples({"mel": index}, index * 0, index.astype(str), index * 0)

    # Speaker a trains and is tested, speaker b is only tested.
    subsets = {"train": subset(0, 1), "test": subset(2, 3, 4)}
    candidate = {"train": subset(0, 1)}
    config = config_with("per_speaker")

    def means(subsets):
        norm = normalization.compute(config, data, subsets)
        return norm.stats["mel"].mean[norm.groups["mel"]].ravel()[:6] * 255

    np.testing.assert_allclose(means(subsets)[:4], 20, atol=1e-4)  # without a search: 10 and 30
    config.optimizer.learning_rate_search = (1e-3, 1e-4)
    np.testing.assert_allclose(means(candidate)[:4], 10, atol=1e-4)
    np.testing.assert_allclose(means(subsets)[:4], 10, atol=1e-4)
    np.testing.assert_allclose(means(subsets)[4:], 100, atol=1e-4)


def test_global_statistics_are_those_of_the_training_subset(two_speakers):
    norm = normalization.compute(config_with("global"), *two_speakers)
    np.testing.assert_allclose(norm.stats["mel"].mean.ravel() * 255, 55, atol=1e-4)
    assert (norm.groups["mel"] == 0).all()


def test_unit_has_no_statistics_and_an_unknown_name_is_refused(two_speakers):
    assert normalization.compute(config_with("unit"), *two_speakers) == NO_NORMALIZATION
    with pytest.raises(errors.UserError, match="unknown normalization 'batch'"):
        normalization.compute(config_with("batch"), *two_speakers)

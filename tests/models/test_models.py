"""The parts of the network, and what it does with training mode, sizes and names."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax import errors, models
from mmer_jax.config import resolve, schema
from mmer_jax.models import registry, tower


@pytest.mark.parametrize("size", [8, 7])
def test_max_pool_equals_flax(size):
    x = jax.random.normal(jax.random.key(0), (2, size, size, 3))
    np.testing.assert_array_equal(tower.max_pool_2x2(x), nn.max_pool(x, (2, 2), (2, 2)))


def test_max_pool_gradient_equals_flax_without_ties():
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    ours = jax.grad(lambda x: (tower.max_pool_2x2(x) ** 2).sum())(x)
    flax = jax.grad(lambda x: (nn.max_pool(x, (2, 2), (2, 2)) ** 2).sum())(x)
    np.testing.assert_allclose(ours, flax, rtol=1e-6)


def apply(config, batch=3, train=False, seed=0):
    model = models.build(config)
    images = {
        name: jnp.full(x.shape, 100, x.dtype)
        for name, x in registry.input_shapes(config, batch).items()
    }
    params = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), images)
    rngs = {"dropout": jax.random.key(seed)}
    return jax.jit(functools.partial(model.apply, train=train))(params, images, rngs=rngs)


def test_dropout_is_on_in_training_only(strong_config):
    config = resolve.resolve_row(strong_config, "mel", {"data.size": 32})
    assert not np.array_equal(apply(config, train=True), apply(config, train=True, seed=1))
    np.testing.assert_array_equal(apply(config), apply(config, seed=1))


def test_unknown_model_names_the_known_ones(strong_config):
    config = resolve.resolve_row(strong_config, "mel", {"model.name": "vgg"})
    with pytest.raises(errors.UserError, match=r"unknown model 'vgg'; known: .*concatenation"):
        models.build(config)


def test_a_map_of_one_pixel_is_not_pooled(strong_config):
    deep = resolve.resolve_row(
        strong_config, "mel", {"data.size": 16}
    )  # five blocks: 8, 4, 2, 1, 1
    assert apply(deep).shape == (3, 5)


def test_towers_are_joined_in_the_papers_order_whatever_order_is_asked_for(strong_config):
    strong_config.rows.face_flow_mel.modalities = ("mel", "flow", "face")
    config = resolve.resolve_row(strong_config, "face_flow_mel")
    assert models.build(config).modalities == ("face", "flow", "mel")


@pytest.mark.parametrize("rate", [1.0, -0.1])
def test_a_dropout_rate_out_of_range_is_refused(strong_config, rate):
    config = resolve.resolve_row(strong_config, "mel", {"model.dropout_output": rate})
    with pytest.raises(errors.UserError, match=f"dropout_output is {rate}; it must be at least 0"):
        models.build(config)


def test_fields_that_are_none_take_the_models_own_defaults():
    config = schema.default_config()
    model = models.build(config)
    assert (model.filters, model.hidden, model.patch) == ((32, 64, 128, 256, 512), (2048, 1024), 1)
    described = registry.describe(model)
    assert described["dropout_output"] == 0.4 and described["modalities"] == ("face", "flow", "mel")


def test_a_registered_model_is_built_by_its_name(monkeypatch):
    monkeypatch.setattr(registry, "MODELS", dict(registry.MODELS))

    @registry.register("mine")
    class Mine(nn.Module):
        modalities: tuple
        classes: int
        width: int = 3

    config = schema.default_config()
    config.model.name, config.model.width = "mine", 7
    assert models.build(config) == Mine(("face", "flow", "mel"), 5, 7)
    with pytest.raises(ValueError, match="'concatenation' is taken by ConcatenationNetwork"):
        registry.register("concatenation")(Mine)

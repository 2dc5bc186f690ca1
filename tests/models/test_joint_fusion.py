"""VGG16 and the learned joint fusions: known counts, closed forms, symmetries."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax import errors, models
from mmer_jax.config import resolve
from mmer_jax.models import registry, vgg16
from mmer_jax.models.attention import CrossModalAttention


def test_vgg16_has_the_published_number_of_parameters():
    """138,357,544 for 224x224 RGB images and 1000 classes, as Keras counts too."""
    image = {"face": jnp.zeros((1, 224, 224, 3), jnp.uint8)}
    shapes = jax.eval_shape(
        lambda: vgg16.VGG16(("face",), 1000).init(jax.random.key(0), image, train=False)
    )
    assert models.count_parameters(shapes["params"]) == 138_357_544


def test_vgg16_is_built_by_name_for_small_images_too(strong_config):
    config = resolve.resolve_row(strong_config, "face_vgg16", {"data.size": 32})
    shapes = jax.eval_shape(lambda: init(models.build(config), config))
    assert shapes["params"]["dense1"]["kernel"].shape == (512, 4096)
    assert models.build(config) == vgg16.VGG16(("face",), 5)


def init(model, config):
    images = {
        name: jnp.full(x.shape, 90, x.dtype) for name, x in registry.input_shapes(config, 2).items()
    }
    return model.init(jax.random.key(0), images, train=False)


@pytest.fixture
def joint(strong_config):
    def build(name, row="face_flow_mel", **fields):
        fields = {"model.name": name, "data.size": 16, "model.filters": (4, 8), **fields}
        fields = {"model.hidden": (16,), "model.width": 8, **fields}
        if name == "attention":
            fields["model.heads"] = 2
        return resolve.resolve_row(strong_config, row, fields)

    return build


def images_of(config, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: jnp.asarray(rng.integers(0, 256, x.shape, np.uint8))
        for name, x in registry.input_shapes(config, 3).items()
    }


def test_gates_are_shares_and_equal_gates_give_the_mean(joint):
    config = joint("gated_sum", **{"model.hidden": ()})
    model, images = models.build(config), images_of(config)
    params = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), images)[
        "params"
    ]
    apply = functools.partial(model.apply, train=False)
    _, taps = jax.jit(functools.partial(apply, mutable="intermediates"))({"params": params}, images)
    np.testing.assert_allclose(taps["intermediates"]["gate_weights"][0].sum(axis=-1), 1, rtol=1e-6)

    params["gates"] = jax.tree.map(jnp.zeros_like, params["gates"])
    logits, taps = jax.jit(functools.partial(apply, capture_intermediates=True))(
        {"params": params}, images
    )
    taps = taps["intermediates"]
    projected = [np.tanh(taps[f"project_{m}"]["__call__"][0]) for m in model.modalities]
    kernel, bias = params["output"]["kernel"], params["output"]["bias"]
    np.testing.assert_allclose(logits, np.mean(projected, axis=0) @ kernel + bias, atol=1e-5)


def test_attention_does_not_mind_the_order_of_places_but_whose_they_are():
    rng = np.random.default_rng(0)
    maps = {m: jnp.asarray(rng.normal(size=(2, 5, 6)), jnp.float32) for m in ("face", "mel")}
    module = CrossModalAttention(width=8, heads=2)
    params = jax.jit(module.init)(jax.random.key(0), maps)
    apply = jax.jit(module.apply)
    out = apply(params, maps)
    assert out.shape == (2, 16)
    shuffled = {m: x[:, rng.permutation(5)] for m, x in maps.items()}
    np.testing.assert_allclose(apply(params, shuffled), out, atol=1e-5)
    swapped = {"face": maps["mel"], "mel": maps["face"]}
    assert np.abs(apply(params, swapped) - out).max() > 0.01


def test_each_modality_hears_the_other_alone():
    """With one position each, the attention output is the value of the other modality."""
    rng = np.random.default_rng(0)
    maps = {m: jnp.asarray(rng.normal(size=(1, 1, 6)), jnp.float32) for m in ("face", "mel")}
    module = CrossModalAttention(width=4, heads=1)
    params = jax.jit(module.init)(jax.random.key(0), maps)["params"]
    out = jax.jit(module.apply)({"params": params}, maps)

    def token(name):
        dense = params[f"project_{name}"]
        return maps[name][0] @ dense["kernel"] + dense["bias"] + params[f"modality_{name}"]

    normal = (token("mel") - token("mel").mean()) / np.sqrt(token("mel").var() + 1e-6)
    ask = params["ask_face"]
    value = normal @ ask["value"]["kernel"][:, 0] + ask["value"]["bias"][0]
    attended = value @ ask["out"]["kernel"][0] + ask["out"]["bias"]
    np.testing.assert_allclose(out[0, :4], (token("face") + attended)[0], atol=1e-5)


@pytest.mark.parametrize("name", ["gated_sum", "attention"])
def test_gradients_reach_every_parameter(joint, name):
    config = joint(name)
    model, images = models.build(config), images_of(config)
    params = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), images)[
        "params"
    ]

    def loss(params):
        return (model.apply({"params": params}, images, train=False) ** 2).sum()

    for path, gradient in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(params)):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, path


@pytest.mark.parametrize("name", ["gated_sum", "attention"])
def test_one_input_cannot_be_joined(joint, name):
    with pytest.raises(errors.UserError, match="two modalities or more, found only mel"):
        models.build(joint(name, row="mel"))


def test_heads_divide_the_width(joint):
    with pytest.raises(errors.UserError, match="width 9 is not a multiple"):
        models.build(joint("attention", **{"model.width": 9}))

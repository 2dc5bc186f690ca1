"""Parts of a tower that the paper's network does not have, against lax and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax import errors, models
from mmer_jax.config import resolve
from mmer_jax.models import registry, tower

RNG = np.random.default_rng(0)


def resolved(config, **fields):
    fields = {name.replace("__", "."): value for name, value in fields.items()}
    small = {"data.size": 16, "model.filters": (16, 8), "model.hidden": ()}
    return resolve.resolve_row(config, "face_mel", small | fields)


@pytest.mark.parametrize("patch", [2, 4])
def test_a_product_over_patches_is_a_convolution_with_that_stride(patch):
    x = jnp.asarray(RNG.normal(size=(2, 8, 8, 3)), jnp.float32)
    kernel = jnp.asarray(RNG.normal(size=(patch, patch, 3, 5)), jnp.float32)
    strided = jax.lax.conv_general_dilated(
        x, kernel, (patch, patch), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    places = tower.space_to_depth(x, patch)
    np.testing.assert_allclose(places @ kernel.reshape(-1, 5), strided, atol=1e-4)


def test_heads():
    x = jnp.asarray(RNG.normal(size=(2, 3, 4, 5)), jnp.float32)
    assert tower.POOLINGS["flatten"](x).shape == (2, 60)
    np.testing.assert_allclose(tower.POOLINGS["average"](x), np.mean(x, (1, 2)), atol=1e-6)
    both = tower.POOLINGS["average_max"](x)
    np.testing.assert_allclose(both[:, 5:], np.max(x, (1, 2)), atol=1e-6)


@pytest.mark.parametrize("name, axes", [("group", (1, 2, 4)), ("layer", (4,))])
def test_normalizations_have_mean_zero_and_deviation_one(name, axes):
    """Over places and 8 channels for groups, over all channels of a place for layers."""
    x = jnp.asarray(RNG.normal(3, 5, size=(2, 6, 6, 16)), jnp.float32)
    module = tower.Tower((16,), name)
    outputs = []

    def note(call, inputs, options, context):
        out = call(*inputs, **options)
        if "Norm" in type(context.module).__name__:
            outputs.append(out)
        return out

    with tower.nn.intercept_methods(note):
        module.init_with_output(jax.random.key(0), x)
    channels = 8 if name == "group" else 16
    values = np.asarray(outputs[0]).reshape(2, 6, 6, -1, channels)
    np.testing.assert_allclose(values.mean(axes), 0, atol=1e-4)
    np.testing.assert_allclose(values.std(axes), 1, atol=1e-3)


def test_a_prediction_does_not_depend_on_its_batch(strong_config):
    config = resolved(strong_config, model__normalization="group", model__pooling="average")
    model = models.build(config)
    batch = {
        name: RNG.integers(0, 256, x.shape).astype(np.uint8)
        for name, x in registry.input_shapes(config, 4).items()
    }
    params = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), batch)
    apply = jax.jit(functools.partial(model.apply, train=False))
    whole = apply(params, batch)
    alone = apply(params, {n: x[:1] for n, x in batch.items()})
    np.testing.assert_allclose(whole[:1], alone, atol=1e-5)


def test_pooling_frees_the_parameters_from_the_images_size(strong_config):
    def count(**fields):
        config = resolved(strong_config, model__hidden=(8,), **fields)
        shapes = jax.eval_shape(
            lambda: models.build(config).init(
                jax.random.key(0),
                {n: jnp.zeros(x.shape, x.dtype) for n, x in registry.input_shapes(config).items()},
                train=False,
            )
        )
        return models.count_parameters(shapes)

    assert count(data__size=32, model__pooling="average") == count(model__pooling="average")
    assert count(data__size=32) - count() == 2 * (8 * 8 - 4 * 4) * 8 * 8


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"model__pooling": "mean"}, "unknown pooling 'mean'; known: flatten, average"),
        ({"model__normalization": "batch"}, "unknown layer normalization 'batch'; known: group"),
        ({"model__patch": 3}, "must be a multiple of it"),
        (
            {"model__patch": 2, "model__name": "attention"},
            "patch is not a field of the model attention, which has filters",
        ),
    ],
)
def test_what_is_not_there_is_refused(strong_config, fields, message):
    with pytest.raises(errors.UserError, match=message):
        models.build(resolved(strong_config, **fields))

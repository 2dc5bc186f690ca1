"""Batches and the update, against closed forms and Keras's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax import models
from mmer_jax.models import registry
from mmer_jax.training import batches, optimizers, sharding, step


def test_every_example_is_in_one_batch_once():
    index, weight = batches.batches(75, 30, 32, seed=(1, 2))
    assert index.shape == weight.shape == (3, 32)
    assert weight.sum(1).tolist() == [30, 30, 15]
    assert sorted(index[weight == 1].tolist()) == list(range(75))


def test_order_depends_on_the_seed_alone():
    narrow, wide = (batches.batches(75, 30, w, seed=(0, 1)) for w in (30, 40))
    np.testing.assert_array_equal(narrow[0][:2], wide[0][:2, :30])
    other, _ = batches.batches(75, 30, 30, seed=(0, 2))
    assert not np.array_equal(narrow[0], other)
    kept, _ = batches.batches(5, 2, 2)
    np.testing.assert_array_equal(kept, [[0, 1], [2, 3], [4, 0]])


@pytest.fixture
def setting(small_config, task):
    small_config.model.dropout_features = small_config.model.dropout_output = 0.0
    arrays, examples = task
    model = models.build(small_config)
    optimizer = optimizers.make_optimizer(small_config, 1)
    state = step.init_state(model, optimizer, registry.batch_shapes(small_config), 0)
    data = step.DeviceData(
        {k: jnp.asarray(v) for k, v in arrays.items()}, dict(examples.indices), examples.label
    )
    return model, optimizer, state, data


def test_padding_changes_nothing(setting):
    model, optimizer, state, data = setting
    states = []
    for index, weight in (
        (np.arange(5), np.ones(5)),
        (np.r_[:5, 70:73], np.r_[[1.0] * 5, [0] * 3]),
    ):
        images, label = data.take(jnp.asarray(index))
        states.append(
            step.update(
                state,
                images,
                label,
                jnp.asarray(weight, jnp.float32),
                model=model,
                optimizer=optimizer,
                seed=0,
            )
        )
    assert float(states[1].seen) == 5
    assert float(states[0].loss_sum) == pytest.approx(float(states[1].loss_sum), rel=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), states[0].params, states[1].params
    )


def test_first_update_is_adams_closed_form(setting):
    """The first step of Adam is -rate * g / (|g| + eps), whatever the betas."""
    model, optimizer, state, data = setting
    images, label = data.take(jnp.arange(6))

    def loss(params):
        logits = model.apply({"params": params}, images, train=False)
        return -jax.nn.log_softmax(logits)[jnp.arange(6), label].mean()

    value, grads = jax.value_and_grad(loss)(state.params)
    after = step.update(state, images, label, jnp.ones(6), model=model, optimizer=optimizer, seed=0)
    assert float(after.loss_sum) / 6 == pytest.approx(float(value), rel=1e-6)
    jax.tree.map(
        lambda p, g, q: np.testing.assert_allclose(
            q, p - 3e-3 * g / (jnp.abs(g) + 1e-7), rtol=1e-4, atol=1e-6
        ),
        state.params,
        grads,
        after.params,
    )


def test_loop_on_the_device_makes_the_same_steps(setting):
    model, optimizer, state, data = setting
    mesh = sharding.make_mesh(jax.devices()[:1])
    index, weight = map(jnp.asarray, batches.batches(75, 30, 30, seed=(0, 0)))
    ends = []
    for on_device in (True, False):
        chunk = step.make_chunk(model, optimizer, 0, mesh, loop_on_device=on_device)
        copy = jax.tree.map(jnp.copy, state)
        ends.append(chunk(copy, data, index, weight, 0, 3))
    assert int(ends[0].step) == int(ends[1].step) == 3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *ends)


@pytest.mark.parametrize("model", ["concatenation", "attention"])
def test_bfloat16_is_the_networks_arithmetic_and_nothing_elses(small_config, task, model):
    _, examples = task
    small_config.model.name = model
    small_config.model.dropout_features = small_config.model.dropout_output = 0.0
    if model == "attention":
        small_config.modalities = ("face", "mel")
        small_config.model.width, small_config.model.heads = 8, 2
    network = models.build(small_config)
    optimizer = optimizers.make_optimizer(small_config, 1)
    shapes = registry.batch_shapes(small_config, 6)
    state = step.init_state(network, optimizer, shapes, 0)
    rng = np.random.default_rng(0)
    images = {k: jnp.asarray(rng.integers(0, 256, x.shape, np.uint8)) for k, x in shapes.items()}
    label, one = jnp.asarray(examples.label[:6]), jnp.ones(6)

    def update(state, dtype):
        objective = step.Objective(dtype=dtype)
        return step.update(
            *(state, images, label, one),
            **{"model": network, "optimizer": optimizer, "seed": 0, "objective": objective},
        )

    after = {dtype: update(state, dtype) for dtype in step.DTYPES}
    losses = {dtype: float(x.loss_sum) for dtype, x in after.items()}
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.03)
    assert losses["bfloat16"] != losses["float32"]
    state = after["bfloat16"]
    assert {x.dtype for x in jax.tree.leaves((state.params, state.loss_sum))} == {
        np.dtype("float32")
    }
    # No convolution and no product of matrices is left in float32.
    program = str(jax.make_jaxpr(lambda s: update(s, "bfloat16"))(state))
    heavy = [x for x in program.splitlines() if "conv_general_dilated[" in x or "dot_general[" in x]
    assert heavy
    assert not [x for x in heavy if ":f32" in x]

"""The training step, against closed forms and the numbers of Keras."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax import models
from mmer_jax.models import registry
from mmer_jax.training import optimizers, sharding, step
from mmer_jax.training.augmentation import Augmentation


def make_batch(arrays, index, label, mask=None):
    """A batch of the given examples, as the input pipeline makes it."""
    return {
        "inputs": {name: jnp.asarray(array[index]) for name, array in arrays.items()},
        "label": jnp.asarray(label[index]),
        "mask": jnp.ones(len(index)) if mask is None else jnp.asarray(mask, jnp.float32),
    }


def initial_state(model, optimizer, config):
    """The state before the first step, in one program instead of one for each operation."""
    return jax.jit(lambda: step.init_state(model, optimizer, registry.input_shapes(config), 0))()


def make_step(model, optimizer, **objective):
    return jax.jit(
        functools.partial(
            step.train_step,
            model=model,
            optimizer=optimizer,
            objective=step.Objective(**objective),
        )
    )


@pytest.fixture
def setting(small_config):
    small_config.model.dropout_features = small_config.model.dropout_output = 0.0
    model = models.build(small_config)
    optimizer = optimizers.make_optimizer(small_config, 1)
    return model, optimizer, initial_state(model, optimizer, small_config)


@pytest.mark.parametrize(
    "objective", [{}, {"label_smoothing": 0.1}, {"augmentation": Augmentation(mixup=1.0)}]
)
def test_padding_changes_nothing(small_config, task, objective):
    """Dropout is on: the masks of the examples do not depend on the padding either."""
    model = models.build(small_config)
    optimizer = optimizers.make_optimizer(small_config, 1)
    state = initial_state(model, optimizer, small_config)
    update = make_step(model, optimizer, **objective)
    arrays, examples = task
    states, losses = [], []
    for index, mask in (
        (np.arange(5), np.ones(5)),
        (np.r_[:5, 70:73], np.r_[[1.0] * 5, [0] * 3]),
    ):
        batch = make_batch(arrays, index, examples.label, mask)
        after, loss = update(state, batch, {}, 0)
        states.append(after)
        losses.append(float(loss))
    assert float(states[1].sums["examples"]) == 5
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), states[0].params, states[1].params
    )


@pytest.mark.parametrize("stream", ["dropout", "augmentation"])
def test_each_step_and_each_seed_draws_anew(small_config, task, stream):
    """The loss of one batch under the same parameters shows what was drawn."""
    augmentation = Augmentation()
    if stream == "augmentation":
        small_config.model.dropout_features = small_config.model.dropout_output = 0.0
        augmentation = Augmentation(modality_dropout=0.5)
    model = models.build(small_config)
    optimizer = optimizers.make_optimizer(small_config, 1)
    state = initial_state(model, optimizer, small_config)
    update = make_step(model, optimizer, augmentation=augmentation)
    arrays, examples = task
    batch = make_batch(arrays, np.arange(6), examples.label)

    def loss(number, seed):
        at_number = dataclasses.replace(state, step=jnp.int32(number))
        return float(update(at_number, batch, {}, seed)[1])

    assert len({loss(number, seed) for number in range(3) for seed in range(2)}) == 6
    assert loss(2, 1) == loss(2, 1)


def test_the_compiled_step_reuses_the_memory_of_the_state(setting, task):
    model, optimizer, state = setting
    arrays, examples = task
    batch = make_batch(arrays, np.arange(6), examples.label)
    mesh = sharding.make_mesh(jax.devices()[:1])
    compiled = step.compile_train_step(model, optimizer, step.Objective(), mesh)
    (given, *others), _ = compiled.lower(state, batch, {}, jnp.uint32(0)).args_info
    assert all(x.donated for x in jax.tree.leaves(given))
    assert not any(x.donated for x in jax.tree.leaves(others))


def test_first_update_is_adams_closed_form(setting, task):
    """The first step of Adam is -rate * g / (|g| + eps), whatever the betas."""
    model, optimizer, state = setting
    arrays, examples = task
    batch = make_batch(arrays, np.arange(6), examples.label)

    def mean_loss(params):
        logits = model.apply({"params": params}, batch["inputs"], train=False)
        return -jax.nn.log_softmax(logits)[jnp.arange(6), batch["label"]].mean()

    value, grads = jax.jit(jax.value_and_grad(mean_loss))(state.params)
    after, loss = make_step(model, optimizer)(state, batch, {}, 0)
    assert float(loss) / 6 == pytest.approx(float(value), rel=1e-6)
    norm = np.sqrt(sum((g**2).sum() for g in jax.tree.leaves(grads)))
    assert float(after.sums["grad_norm"]) == pytest.approx(float(norm), rel=1e-5)
    jax.tree.map(
        lambda p, g, q: np.testing.assert_allclose(
            q, p - 3e-3 * g / (jnp.abs(g) + 1e-7), rtol=1e-4, atol=1e-6
        ),
        state.params,
        grads,
        after.params,
    )


@pytest.mark.parametrize("model", ["concatenation", "attention"])
def test_bfloat16_is_the_arithmetic_of_the_network_only(small_config, task, model):
    arrays, examples = task
    small_config.model.name = model
    small_config.model.dropout_features = small_config.model.dropout_output = 0.0
    if model == "attention":
        small_config.model.width, small_config.model.heads = 8, 2
    network = models.build(small_config)
    optimizer = optimizers.make_optimizer(small_config, 1)
    state = initial_state(network, optimizer, small_config)
    batch = make_batch(arrays, np.arange(6), examples.label)

    def update(state, dtype):
        return make_step(network, optimizer, dtype=dtype)(state, batch, {}, 0)

    results = {dtype: update(state, dtype) for dtype in step.DTYPES}
    losses = {dtype: float(loss) for dtype, (_, loss) in results.items()}
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.03)
    assert losses["bfloat16"] != losses["float32"]
    state = results["bfloat16"][0]
    assert {x.dtype for x in jax.tree.leaves((state.params, state.sums))} == {np.dtype("float32")}
    # No convolution and no matrix product is left in float32.
    program = str(jax.make_jaxpr(lambda s: update(s, "bfloat16"))(state))
    heavy = [x for x in program.splitlines() if "conv_general_dilated[" in x or "dot_general[" in x]
    assert heavy
    assert not [x for x in heavy if ":f32" in x]

"""Optimizers, schedules and the running average, against closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mmer_jax import errors, models
from mmer_jax.models import registry
from mmer_jax.training import optimizers, step


def make_step(config, model, optimizer):
    """The jitted step: one program instead of one for each operation."""
    objective = step.Objective.from_config(config)
    return jax.jit(
        functools.partial(step.train_step, model=model, optimizer=optimizer, objective=objective)
    )


def test_adam_is_kerass(small_config):
    """Five updates of one number by hand, with Keras's betas and epsilon."""
    small_config.optimizer.learning_rate = 0.1
    optimizer = optimizers.make_optimizer(small_config, 1)
    p, m, v, theirs = 1.0, 0.0, 0.0, jnp.array(1.0)
    state = optimizer.init(theirs)
    for t in range(1, 6):
        g = 2 * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p -= 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)
        updates, state = optimizer.update(2 * theirs, state, theirs)
        theirs = optax.apply_updates(theirs, updates)
        assert float(theirs) == pytest.approx(p, rel=1e-5)


def test_adamw_shrinks_kernels_alone(small_config):
    """Without a gradient an update is -rate * decay * weight, and biases stay."""
    small_config.optimizer.update({"name": "adamw", "weight_decay": 0.5, "learning_rate": 0.1})
    optimizer = optimizers.make_optimizer(small_config, 1)
    params = {"kernel": jnp.full((2, 2), 3.0), "bias": jnp.full((2,), 3.0)}
    still = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(still, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.5 * 3.0)
    np.testing.assert_allclose(updates["bias"], 0)


def test_cosine_rises_in_a_line_and_falls_as_a_cosine(small_config):
    """The size of an update of Adam under an unchanging gradient is the rate."""
    small_config.optimizer.update({"learning_rate": 0.1, "schedule": "cosine", "warmup_epochs": 2})
    small_config.epochs = 10
    optimizer = optimizers.make_optimizer(small_config, 5)
    state, sizes = optimizer.init(jnp.array(1.0)), []
    make_update = jax.jit(optimizer.update)
    for _ in range(50):
        update, state = make_update(jnp.array(1.0), state, jnp.array(1.0))
        sizes.append(-float(update))
    np.testing.assert_allclose(sizes[:10], 0.1 * np.arange(10) / 10, atol=1e-5)
    falls = 0.05 * (1 + np.cos(np.pi * np.arange(40) / 40))
    np.testing.assert_allclose(sizes[10:], falls, atol=1e-5)


def test_the_ema_is_the_closed_form(small_config):
    """d p(t): the weight of each step's parameters is a product of decays."""
    small_config.optimizer.ema_decay = 0.9
    model = models.build(small_config)
    optimizer = optimizers.make_optimizer(small_config, 1)
    batch = registry.input_shapes(small_config, 4)
    state = jax.jit(lambda: step.init_state(model, optimizer, batch, 0, ema=True))()
    train_step = make_step(small_config, model, optimizer)
    rng = np.random.default_rng(0)
    images = {k: rng.integers(0, 256, x.shape).astype(np.uint8) for k, x in batch.items()}
    expected = jax.tree.leaves(state.params)[0]
    for t in range(5):
        batch = {"inputs": images, "label": np.arange(4, dtype=np.int32) % 3, "mask": np.ones(4)}
        state, _ = train_step(state, batch, {}, 0)
        decay = min(0.9, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * jax.tree.leaves(state.params)[0]
    np.testing.assert_allclose(jax.tree.leaves(state.ema_params)[0], expected, rtol=1e-5)
    assert state.eval_params is state.ema_params


def test_smoothed_targets_are_the_cross_entropys_closed_form(small_config):
    """With eps spread over k classes the loss is (1 - eps) CE + eps * mean of -log p."""
    small_config.model.dropout_features = small_config.model.dropout_output = 0.0
    model = models.build(small_config)
    optimizer = optimizers.make_optimizer(small_config, 1)
    batch = registry.input_shapes(small_config, 4)
    state = jax.jit(lambda: step.init_state(model, optimizer, batch, 0))()
    images = {k: np.full(x.shape, 77, np.uint8) for k, x in batch.items()}
    label = jnp.array([0, 1, 2, 0])
    logits = jax.jit(functools.partial(model.apply, train=False))({"params": state.params}, images)
    log_probabilities = jax.nn.log_softmax(logits)
    small_config.loss.label_smoothing = 0.2
    batch = {"inputs": images, "label": label, "mask": jnp.ones(4)}
    _, loss = make_step(small_config, model, optimizer)(state, batch, {}, 0)
    expected = -(
        0.8 * log_probabilities[jnp.arange(4), label] + 0.2 * log_probabilities.mean(1)
    ).sum()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"name": "sgdd"}, "unknown optimizer 'sgdd'; known: adam"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'.*cosine"),
        ({"weight_decay": 0.1}, "is for adamw"),
        ({"warmup_epochs": 2}, "no effect with the constant schedule"),
        ({"warmup_epochs": 99, "schedule": "cosine"}, "must be below config.epochs"),
    ],
)
def test_what_does_not_fit_is_refused(small_config, fields, message):
    small_config.optimizer.update(fields)
    with pytest.raises(errors.UserError, match=message):
        optimizers.make_optimizer(small_config, 1)

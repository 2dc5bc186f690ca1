"""What a step computes, and how fast the device computes a plain product of matrices."""

import time

import jax
import jax.numpy as jnp

from mmer_jax import models
from mmer_jax.models import registry
from mmer_jax.training import optimizers, step


def operations(config) -> float:
    """Floating-point operations of one training step of a config (of one row), as XLA counts."""
    model, optimizer = models.build(config), optimizers.make_optimizer(config, 1)
    shapes = registry.batch_shapes(config, config.batch_size)
    state = jax.eval_shape(lambda: step.init_state(model, optimizer, shapes, 0))
    label = jax.ShapeDtypeStruct((config.batch_size,), jnp.int32)
    weight = jax.ShapeDtypeStruct((config.batch_size,), jnp.float32)
    lowered = jax.jit(lambda *a: step.update(*a, model=model, optimizer=optimizer, seed=0)).lower(
        state, shapes, label, weight
    )
    return lowered.cost_analysis()["flops"]


def matrix_rate(dtype: str) -> float:
    """Operations a second of a plain product of large matrices, the fastest of five."""
    n = 2048 if jax.default_backend() == "cpu" else 4096
    x = jnp.ones((n, n), dtype)
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(x, x))
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        jax.block_until_ready(product(x, x))
        seconds.append(time.perf_counter() - started)
    return 2 * n**3 / min(seconds)

"""The machine, the operations of a training step, and the rate of a plain matrix product."""

import os
import re
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections

from mmer_jax import models
from mmer_jax.models import registry
from mmer_jax.training import optimizers, sharding, step


def machine() -> str:
    """Returns processor, widest vector extension, cores, load, version of JAX and devices."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*: (.*)", cpuinfo)
    vectors = next((x for x in ("avx512f", "avx2") if x in cpuinfo), "")
    return (
        f"{name[1] if name else 'unknown processor'} {vectors}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}; jax {jax.__version__}, {sharding.describe()}"
    )


def step_flop(config: ml_collections.ConfigDict) -> float:
    """Returns the floating-point operations of a training step in float32, by XLA's count.

    Args:
      config: Config of one row.
    """
    model, optimizer = models.build(config), optimizers.make_optimizer(config, 1)
    inputs = registry.input_shapes(config, config.batch_size)
    batch = {
        "inputs": inputs,
        "label": jax.ShapeDtypeStruct((config.batch_size,), jnp.int32),
        "mask": jax.ShapeDtypeStruct((config.batch_size,), jnp.float32),
    }
    state = jax.eval_shape(lambda: step.init_state(model, optimizer, inputs, 0))

    def train_step(state, batch):
        return step.train_step(state, batch, {}, jnp.uint32(0), model=model, optimizer=optimizer)

    return jax.jit(train_step).lower(state, batch).cost_analysis()["flops"]


def matrix_rate(dtype: str) -> float:
    """Returns the operations per second of a product of large matrices, the fastest of five."""
    n = 2048 if jax.default_backend() == "cpu" else 4096
    x = jnp.ones((n, n), dtype)
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(x, x))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(product(x, x))
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds)

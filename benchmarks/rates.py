"""The machine; what a step computes; how fast the device computes a plain product of matrices."""

import os
import re
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from mmer_jax import models
from mmer_jax.models import registry
from mmer_jax.training import optimizers, sharding, step


def machine() -> str:
    """The processor with its widest vectors, its cores, the devices, and the load before us."""
    facts = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*: (.*)", facts)
    widest = next((x for x in ("avx512f", "avx2") if x in facts), "")
    return (
        f"{name[1] if name else 'unknown processor'} {widest}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}; jax {jax.__version__}, {sharding.describe()}"
    )


def operations(config) -> float:
    """Floating-point operations of one training step of a config (of one row), as XLA counts."""
    model, optimizer = models.build(config), optimizers.make_optimizer(config, 1)
    shapes = registry.input_shapes(config, config.batch_size)
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

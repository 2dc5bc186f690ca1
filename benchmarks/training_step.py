"""Seconds a training step of each kind of network, on images of noise.

    python -m benchmarks.training_step [--size=64] [--batch=30] [--steps=10] [--loop] [ROW ...]

--loop runs the steps in a loop on the device, as accelerators do, where CPUs dispatch them singly.
"""

import argparse
import os
import statistics
import time

import jax
import numpy as np

from configs import base
from mmer_jax import models
from mmer_jax.config import resolve
from mmer_jax.models import registry
from mmer_jax.training import batches, optimizers, sharding, step


def measure(row: str, size: int, batch: int, steps: int, loop: bool | None) -> tuple[float, int]:
    """(median seconds a step, number of parameters)."""
    config = resolve.resolve_row(base.get_config(), row, {"data.size": size, "batch_size": batch})
    mesh = sharding.make_mesh()
    whole = sharding.replicated(mesh)
    model, optimizer = models.build(config), optimizers.make_optimizer(config, 1)
    rng = np.random.default_rng(0)
    n = 4 * batch
    arrays = {
        name: rng.integers(0, 256, (n, *x.shape[1:]), np.uint8)
        for name, x in registry.input_shapes(config).items()
    }
    rows = {name: np.arange(n, dtype=np.int32) for name in arrays}
    data = jax.device_put(step.DeviceData(arrays, rows, np.arange(n, dtype=np.int32) % 5), whole)
    state = jax.jit(
        lambda: step.init_state(model, optimizer, registry.input_shapes(config), 0),
        out_shardings=whole,
    )()
    chunk = step.make_chunk(model, optimizer, 0, mesh, loop_on_device=loop)
    index, weight = batches.batches(n, batch, sharding.padded_size(batch, mesh), seed=0)
    index, weight = jax.device_put((index, weight), sharding.by_batch(mesh, axis=1))
    times = []
    for i in range(steps + 1):  # the first compiles
        start = time.perf_counter()
        state = chunk(state, data, index, weight, i % 4, i % 4 + 1)
        jax.block_until_ready(state)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]), models.count_parameters(state.params)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", default=["face", "mel", "face_mel", "face_flow_mel"])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--loop", action="store_true")
    given = parser.parse_args()
    sharding.keep_freed_memory()  # as run.py does
    print(f"jax {jax.__version__}, {sharding.describe()}, {os.cpu_count()} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}, {given.size} pixels, batch {given.batch}")
    print(f"{'row':<16}{'parameters':>12}{'s a step':>10}{'images/s':>12}")
    for row in given.rows:
        seconds, parameters = measure(row, given.size, given.batch, given.steps, given.loop or None)
        print(f"{row:<16}{parameters:>12,}{seconds:>10.3f}{given.batch / seconds:>12.0f}")


if __name__ == "__main__":
    main()

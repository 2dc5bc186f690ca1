"""Where the seconds of a run go: each stage of an epoch, and the rate of its steps.

    python -m benchmarks.epoch [--rows=mel,face_flow_mel] [--size=128] [--batch=30]

1440 triplets of noise, RAVDESS's true number, four fifths to train. Once a run: images onto the
device, parameters, the first step (which compiles). Then an epoch: its order, its steps, the
prediction of the other fifth, and a checkpoint until it is on disk. The share is that of a plain
matrix product in the same arithmetic, by XLA's count of a step's operations.
"""

import argparse
import contextlib
import pathlib
import tempfile
import time

import jax
import numpy as np

from benchmarks import rates
from configs import base
from mmer_jax import models
from mmer_jax.config import resolve
from mmer_jax.datasets.selection import Examples
from mmer_jax.models import registry
from mmer_jax.training import batches, checkpoints, feeds, loop, optimizers, sharding, step

TRIPLETS, TRAINED = 1440, 1152


def examples(config, numbers: np.ndarray) -> Examples:
    """Examples with the given numbers; every modality has an image for each."""
    rows = {name: numbers.astype(np.int32) for name in config.modalities}
    label = (numbers % len(config.data.emotions)).astype(np.int32)
    return Examples(rows, label, numbers.astype(str), np.zeros(len(numbers), np.int32))


def images(config) -> dict[str, np.ndarray]:
    """For each modality uint8 [TRIPLETS, size, size, channels] of noise."""
    rng = np.random.default_rng(0)
    shapes = registry.input_shapes(config, TRIPLETS)
    return {name: rng.integers(0, 256, x.shape, np.uint8) for name, x in shapes.items()}


def stages(config) -> dict[str, float]:
    """Seconds of each stage, by its name."""
    found = {}

    @contextlib.contextmanager
    def stage(name):
        started = time.perf_counter()
        yield
        found[name] = time.perf_counter() - started

    mesh, model = sharding.make_mesh(jax.local_devices()[:1]), models.build(config)
    order = np.random.default_rng(0).permutation(TRIPLETS)
    parts = {
        n: examples(config, x)
        for n, x in zip(("train", "test"), np.split(order, [TRAINED]), strict=False)
    }
    arrays, steps = images(config), -(-TRAINED // config.batch_size)
    optimizer, objective = optimizers.make_optimizer(config, steps), step.Objective.of(config)
    with stage("images"):
        feed = feeds.make_feed(config, arrays, parts, {}, mesh)
        (window,) = feed.windows("test", *batches.batches(1, 1, 1))
        jax.block_until_ready(window.data)
    with stage("parameters"):
        batch = tuple(registry.input_shapes(config).items())
        init = step.make_init(model, optimizer, batch, mesh, averaged=False, keeps_best=False)
        state = jax.block_until_ready(init(np.uint32(0)))
    chunk = step.make_chunk(model, optimizer, 0, mesh, objective=objective)
    width = sharding.padded_size(config.batch_size, mesh)
    for first_time in (True, False):
        with stage("order"):
            drawn = batches.batches(TRAINED, config.batch_size, width, seed=(0, 0, 0))
            (window,) = feed.windows("train", *drawn)
            by_batch = sharding.by_batch(mesh, axis=1)
            index, weight = jax.device_put((window.index, window.weight), by_batch)
        with stage("first step" if first_time else "steps"):
            last = 1 if first_time else steps
            state = jax.block_until_ready(chunk(state, window.data, index, weight, 0, last))
    for _ in range(2):  # the first compiles
        with stage("prediction"):
            predict = step.make_predict(model, mesh)
            loop.predict_all(config, feed, predict, mesh, state.params, "test", parts["test"])
    with tempfile.TemporaryDirectory() as folder, stage("checkpoint"):
        saves = checkpoints.Checkpoints(pathlib.Path(folder), 0, mesh)
        saves.save(state, [])
        saves.close()
    return found | {"a step": found["steps"] / steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="mel,face_flow_mel")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--dtype", default="float32", choices=step.DTYPES)
    given = parser.parse_args()
    sharding.keep_freed_memory()
    rate = rates.matrix_rate(given.dtype)
    print(
        f"{rates.machine()}; "
        f"{given.dtype}, {given.size} pixels, batch {given.batch}; "
        f"matrix product {rate / 1e9:.0f} GFLOP/s"
    )
    fields = {"data.size": given.size, "batch_size": given.batch, "model.dtype": given.dtype}
    columns = {}
    for row in given.rows.split(","):
        config = resolve.resolve_row(base.get_config(), row, fields)
        columns[row] = stages(config)
        flop = rates.operations(config)
        columns[row] |= {"GFLOP a step": flop / 1e9}
        columns[row] |= {"share of product": flop / columns[row]["a step"] / rate}
    print(f"{'seconds':<18}" + "".join(f"{row:>16}" for row in columns))
    for name in next(iter(columns.values())):
        print(f"{name:<18}" + "".join(f"{column[name]:>16.4f}" for column in columns.values()))


if __name__ == "__main__":
    main()

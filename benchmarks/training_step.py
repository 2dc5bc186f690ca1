"""Seconds per training step of several rows, on images of noise that are on the devices.

    python -m benchmarks.training_step [--size=64] [--batch=30] [--steps=10] [ROW ...]

Each step is waited for; the median is printed. The first step, which compiles, is not counted.
"""

import argparse
import itertools
import statistics
import time

import jax
import ml_collections
import numpy as np

from benchmarks import rates, trainer
from configs import base
from mmer_jax import models
from mmer_jax.config import resolve
from mmer_jax.training import input_pipeline, sharding

BATCHES = 4


def measure(config: ml_collections.ConfigDict, steps: int) -> tuple[float, int]:
    """Returns the median seconds per step and the number of parameters."""
    mesh = sharding.make_mesh()
    n = BATCHES * config.batch_size
    examples = trainer.make_examples(config, np.arange(n))
    pipeline = input_pipeline.InputPipeline(trainer.noise_images(config, n), {}, mesh)
    batches = list(trainer.epoch_batches(pipeline, examples, config.batch_size))
    training = trainer.Trainer(config, mesh)
    seconds = []
    for batch in itertools.islice(itertools.cycle(batches), steps + 1):
        start = time.perf_counter()
        training.step(batch)
        jax.block_until_ready(training.state)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]), models.count_parameters(training.state.params)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", default=["face", "mel", "face_mel", "face_flow_mel"])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    sharding.keep_freed_memory()  # as run.py does
    print(f"{rates.machine()}; {args.size} pixels, batch {args.batch}")
    print(f"{'row':<16}{'parameters':>12}{'s per step':>12}{'examples/s':>12}")
    for row in args.rows:
        fields = {"data.size": args.size, "batch_size": args.batch}
        config = resolve.resolve_row(base.get_config(), row, fields)
        seconds, parameters = measure(config, args.steps)
        print(f"{row:<16}{parameters:>12,}{seconds:>12.3f}{args.batch / seconds:>12.0f}")


if __name__ == "__main__":
    main()

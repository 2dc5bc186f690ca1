"""Seconds of each stage of a run, and the rate of its training steps.

    python -m benchmarks.epoch [--rows=mel,face_flow_mel] [--size=128] [--batch=30]

1440 triplets of noise, as many as RAVDESS has, four fifths of them for training. Once per run: the
initialization of the parameters and the first training step, both with compilation. Per epoch: its
order, its batches read and placed on the device without training, its steps with the input
pipeline, the prediction of the test subset (its programs compiled), and a checkpoint until it is on
disk. The rate of a step, by XLA's count of its operations, is also given as a share of that of a
plain matrix product in the same arithmetic.
"""

import argparse
import contextlib
import pathlib
import tempfile
import time

import jax
import ml_collections
import numpy as np

from benchmarks import rates, trainer
from configs import base
from mmer_jax.config import resolve
from mmer_jax.inference.predictor import Predictor
from mmer_jax.training import checkpoints, input_pipeline, sharding, step

TRIPLETS, TRAINED = 1440, 1152


def measure(config: ml_collections.ConfigDict) -> dict[str, float]:
    """Returns the seconds of each stage, and per step."""
    stages = {}

    @contextlib.contextmanager
    def stage(name):
        start = time.perf_counter()
        yield
        stages[name] = time.perf_counter() - start

    devices = jax.local_devices()[:1]
    mesh = sharding.make_mesh(devices)
    train, test = np.split(np.random.default_rng(0).permutation(TRIPLETS), [TRAINED])
    train, test = trainer.make_examples(config, train), trainer.make_examples(config, test)
    arrays = trainer.noise_images(config, TRIPLETS)
    pipeline = input_pipeline.InputPipeline(arrays, {}, mesh)

    with stage("parameters"):
        training = trainer.Trainer(config, mesh)
        jax.block_until_ready(training.state)
    batch = next(iter(trainer.epoch_batches(pipeline, train, config.batch_size)))
    with stage("first step"):
        training.train([batch])

    with stage("order"):
        input_pipeline.shuffled(len(train), 0, 0)
    with stage("batches"):
        for batch in trainer.epoch_batches(pipeline, train, config.batch_size):
            jax.block_until_ready(batch)
    with stage("steps"):
        training.train(trainer.epoch_batches(pipeline, train, config.batch_size))
    predictor = Predictor(config, devices)
    for _ in range(2):  # the first compiles
        with stage("prediction"):
            predictor.probabilities(training.state.params, arrays, test.indices)
    with tempfile.TemporaryDirectory() as folder, stage("checkpoint"):
        saves = checkpoints.Checkpoints(pathlib.Path(folder), 0, mesh)
        saves.save(training.state, [])
        saves.close()
    steps = input_pipeline.num_batches(len(train), config.batch_size)
    return stages | {"per step": stages["steps"] / steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="mel,face_flow_mel")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--dtype", default="float32", choices=step.DTYPES)
    args = parser.parse_args()
    sharding.keep_freed_memory()  # as run.py does
    rate = rates.matrix_rate(args.dtype)
    print(
        f"{rates.machine()}; {args.dtype}, {args.size} pixels, batch {args.batch}; "
        f"matrix product {rate / 1e9:.0f} GFLOP/s"
    )
    fields = {"data.size": args.size, "batch_size": args.batch, "compute_dtype": args.dtype}
    columns = {}
    for row in args.rows.split(","):
        config = resolve.resolve_row(base.get_config(), row, fields)
        columns[row] = measure(config)
        flop = rates.step_flop(config)
        columns[row] |= {"GFLOP per step": flop / 1e9}
        columns[row] |= {"share of product": flop / columns[row]["per step"] / rate}
    print(f"{'seconds':<18}" + "".join(f"{row:>16}" for row in columns))
    for name in next(iter(columns.values())):
        print(f"{name:<18}" + "".join(f"{column[name]:>16.4f}" for column in columns.values()))


if __name__ == "__main__":
    main()

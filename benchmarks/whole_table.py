"""Time of a whole table: all rows of table 8 with several seeds, on images of noise.

    python -m benchmarks.whole_table [--size=128] [--seeds=5] [--epochs=40] [--dtype=float32]
    python -m benchmarks.whole_table --size=32 --seeds=1 --epochs=1     # on a CPU: minutes

1440 triplets, as many as RAVDESS has, four fifths of them for training, as in tables 7 and 8. The
cells are distributed over the devices of this process as run.py distributes them: one after another
on a single device. When the table is done, one cell of each row trains alone for a few epochs, its
programs compiled: these give the best rate of a single network.

Prints for each row the seconds of training of its cells in the table (without the first step of
each, which may compile), then of the single cell the seconds per step, its rate by XLA's count of
operations, and its share of the rate of a plain matrix product in the same arithmetic. At the end
the seconds of the whole table, with compilation, evaluation and checkpoints, and as a multiple of
what its operations take at the best row's rate on one device; where cells train one after another,
the same of the seconds of training.
"""

import argparse
import collections
import pathlib
import tempfile
import threading
import time
from collections.abc import Sequence

import jax
import numpy as np

from benchmarks import epoch, rates, trainer
from configs import ravdess_strong
from mmer_jax import models, training
from mmer_jax.config import resolve
from mmer_jax.config.cell import Cell
from mmer_jax.experiments import scheduling
from mmer_jax.inference.predictor import Predictor
from mmer_jax.training import distributed, input_pipeline, sharding, step

# Epochs of a single cell: hundreds of steps, so that the few while a device wakes up count little.
SINGLE_EPOCHS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--dtype", default="float32", choices=step.DTYPES)
    args = parser.parse_args()
    sharding.keep_freed_memory()  # as run.py does

    table = ravdess_strong.get_config()
    fields = {"data.size": args.size, "epochs": args.epochs, "compute_dtype": args.dtype}
    rows = {row: resolve.resolve_row(table, row, fields) for row in table.table_rows}
    arrays = {}
    for config in rows.values():
        arrays |= trainer.noise_images(config, epoch.TRIPLETS)
    train_indices, test_indices = np.split(
        np.random.default_rng(0).permutation(epoch.TRIPLETS), [epoch.TRAINED]
    )
    rate = rates.matrix_rate(args.dtype)
    print(
        f"{rates.machine()}; {args.dtype}, {args.size} pixels, {args.seeds} seeds, {args.epochs} "
        f"epochs; matrix product {rate / 1e12:.2f} TFLOP/s"
    )

    def train(
        row: str,
        seed: int,
        epochs: int,
        devices: Sequence[jax.Device],
        preemption: training.Preemption,
    ) -> Sequence[dict]:
        """Trains and evaluates a cell; returns its history."""
        config = rows[row]
        subsets = {
            "train": trainer.make_examples(config, train_indices),
            "test": trainer.make_examples(config, test_indices),
        }
        predictor = Predictor(config, devices)
        with tempfile.TemporaryDirectory() as folder:
            result = training.train(
                config,
                models.build(config),
                arrays,
                subsets,
                seed=seed,
                measure_epochs=(epochs,),
                folder=pathlib.Path(folder),
                evaluate=lambda params, subset: predictor.probabilities(
                    params, arrays, subsets[subset].indices
                ),
                devices=devices,
                preemption=preemption,
            )
        return result.history

    seconds_by_row, lock = collections.Counter(), threading.Lock()

    def train_cell(cell, devices, preemption) -> None:
        history = train(cell.row, cell.seed, args.epochs, devices, preemption)
        with lock:
            seconds_by_row[cell.row] += sum(entry["seconds"] for entry in history)

    cells = [Cell(row, "", 0, seed) for row in rows for seed in range(args.seeds)]
    places, own = distributed.assign(cells)
    start = time.perf_counter()
    with (
        training.preemption.catch_signals() as preemption,
        scheduling.PlacePool(places, preemption) as pool,
    ):
        for cell in own:
            pool.submit(train_cell, cell)
    total = time.perf_counter() - start

    def seconds_per_step(row: str) -> float:
        epochs = min(SINGLE_EPOCHS, args.epochs)
        history = train(row, 0, epochs, jax.local_devices()[:1], training.Preemption())
        steps = sum(entry["steps_per_second"] * entry["seconds"] for entry in history)
        return sum(entry["seconds"] for entry in history) / steps

    print(f"{'row':<16}{'training, s':>12}{'s per step':>12}{'TFLOP/s':>9}{'share':>7}")
    table_flop = best_rate = 0.0
    for row, config in rows.items():
        steps = input_pipeline.num_batches(epoch.TRAINED, config.batch_size)
        flop, seconds = rates.step_flop(config), seconds_per_step(row)
        table_flop += flop * steps * args.epochs * args.seeds
        best_rate = max(best_rate, flop / seconds)
        print(
            f"{row:<16}{seconds_by_row[row]:>12.1f}{seconds:>12.4f}{flop / seconds / 1e12:>9.3f}"
            f"{flop / seconds / rate:>7.0%}"
        )
    least = table_flop / best_rate
    print(
        f"the table's operations at the best row's rate ({best_rate / 1e12:.3f} TFLOP/s): "
        f"{least:.1f} s"
    )
    print(f"the whole table: {total:.1f} s, {total / least:.2f} times that")
    if len(places) == 1:
        trained = sum(seconds_by_row.values())
        print(f"its training alone: {trained:.1f} s, {trained / least:.2f} times that")


if __name__ == "__main__":
    main()

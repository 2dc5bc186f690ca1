"""All rows of table 8 with several seeds, at RAVDESS's true size, on images of noise.

    python -m benchmarks.whole_table [--size=128] [--seeds=5] [--epochs=40] [--dtype=float32]
        [--at_once=1]
    python -m benchmarks.whole_table --size=32 --seeds=1 --epochs=1     # on a CPU: minutes

1440 triplets, four fifths to train, as tables 7 and 8 divide them. With --at_once=0 as many cells
train at once as is found best, with a number so many. When the table is done, a cell of each row
trains alone for a few epochs, its programs compiled: this gives the best rate of a single run,
whatever --at_once says.

Prints for each row the seconds that its cells of the table trained (without each one's first chunk,
which compiles; of cells at once each counts the same seconds), then of the cell alone the seconds a
step, its rate by XLA's own count of operations, and the share of a plain matrix product's in the
same arithmetic. At the end the whole table's seconds, compilation and all but without the cells
alone, and how many times they are what its operations take at the best row's rate; and the same of
the seconds of training, where cells train one after the other.
"""

import argparse
import collections
import pathlib
import tempfile
import threading
import time

import jax
import numpy as np

from benchmarks import epoch, rates
from configs import ravdess_strong
from mmer_jax import models, training
from mmer_jax.config import resolve
from mmer_jax.config.cell import Cell
from mmer_jax.training import lanes, sharding, step

# Epochs of a cell alone: hundreds of steps, so that the few while a device wakes up count little.
ALONE = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--dtype", default="float32", choices=step.DTYPES)
    parser.add_argument("--at_once", type=int, default=1)
    given = parser.parse_args()
    sharding.keep_freed_memory()

    table = ravdess_strong.get_config()
    fields = {"data.size": given.size, "epochs": given.epochs, "model.dtype": given.dtype}
    rows = {r: resolve.resolve_row(table, r, fields) for r in table.table_rows}
    arrays = {name: x for config in rows.values() for name, x in epoch.images(config).items()}
    rate = rates.matrix_rate(given.dtype)
    print(
        f"jax {jax.__version__}, {sharding.describe()}, {given.dtype}, {given.size} pixels, "
        f"{given.seeds} seeds, {given.epochs} epochs; matrix product {rate / 1e12:.2f} TFLOP/s"
    )
    order = np.random.default_rng(0).permutation(epoch.TRIPLETS)
    trained_for, lock = collections.Counter(), threading.Lock()

    def train(row, seed, epochs, place, on_steps) -> float:
        """Seconds of a cell's steps, without its first chunk."""
        config = rows[row]
        with tempfile.TemporaryDirectory() as folder:
            outcome = training.train(
                config,
                models.build(config),
                {name: arrays[name] for name in config.modalities},
                epoch.examples(config, order[: epoch.TRAINED]),
                {"test": epoch.examples(config, order[epoch.TRAINED :])},
                seed=seed,
                measure_epochs=(epochs,),
                folder=pathlib.Path(folder),
                on_measure=lambda measured: None,
                on_steps=on_steps,
                devices_used=place,
            )
        return sum(e["seconds"] for e in outcome.history)

    def train_cell(cell, place, on_steps):
        seconds = train(cell.row, cell.seed, given.epochs, place, on_steps)
        with lock:  # cells may end at once
            trained_for[cell.row] += seconds

    def step_alone(row) -> float:
        """Seconds a step of a cell that trains alone, without its first chunk."""
        chunks = []
        place, epochs = jax.local_devices()[:1], min(ALONE, given.epochs)
        train(row, 0, epochs, place, lambda *chunk: chunks.append(chunk))
        steps, seconds = np.sum(chunks[1:], axis=0)
        return seconds / steps

    cells = [Cell(row, "", 0, seed) for row in rows for seed in range(given.seeds)]
    started = time.perf_counter()
    lanes.train_all(cells, [[device] for device in jax.local_devices()], train_cell, given.at_once)
    total = time.perf_counter() - started

    print(f"{'row':<16}{'training s':>12}{'s a step':>10}{'TFLOP/s':>9}{'share':>7}")
    work, best = 0.0, 0.0
    for row, config in rows.items():
        steps = -(-epoch.TRAINED // config.batch_size) * given.epochs * given.seeds
        flop, took = rates.operations(config), step_alone(row)
        work, best = work + flop * steps, max(best, flop / took)
        print(
            f"{row:<16}{trained_for[row]:>12.1f}{took:>10.4f}{flop / took / 1e12:>9.3f}"
            f"{flop / took / rate:>7.0%}"
        )
    least = work / best
    print(
        f"the table's operations at the best row's rate ({best / 1e12:.3f} TFLOP/s): {least:.1f} s"
    )
    print(f"the whole table: {total:.1f} s, {total / least:.2f} times that")
    if given.at_once == 1 and jax.local_device_count() == 1:  # else cells overlap
        training_alone = sum(trained_for.values())
        print(
            f"its training alone: {training_alone:.1f} s, {training_alone / least:.2f} times that"
        )


if __name__ == "__main__":
    main()

"""All rows of table 8 with several seeds, at RAVDESS's true size, on pictures of noise.

    python -m benchmarks.whole_table [--size=128] [--seeds=5] [--epochs=40] [--dtype=float32]
    python -m benchmarks.whole_table --size=32 --seeds=1 --epochs=1     # on a CPU: minutes

1440 triplets, four fifths to train, as tables 7 and 8 divide them. Prints for each row the seconds
of its cells, of which training (without the first chunk, which compiles), the rate of its steps by
XLA's own count of operations, and its share of a plain matrix product's in the same arithmetic. At
the end the whole table's seconds, and how many times they are what its operations take at the best
rate that a row reached.
"""

import argparse
import pathlib
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

from configs import ravdess_strong
from mmer_jax import configuration, models, training
from mmer_jax.datasets.selection import Examples
from mmer_jax.models import registry
from mmer_jax.training import devices, optimizers, step

TRIPLETS, TRAINED = 1440, 1152


def examples(config, numbers: np.ndarray) -> Examples:
    """Examples with the given numbers; every modality has a picture for each."""
    rows = {name: numbers.astype(np.int32) for name in config.modalities}
    label = (numbers % len(config.data.emotions)).astype(np.int32)
    return Examples(rows, label, numbers.astype(str), np.zeros(len(numbers), np.int32))


def operations(config) -> float:
    """Floating-point operations of one step, as XLA counts them."""
    model, optimizer = models.build(config), optimizers.make_optimizer(config, 1)
    shapes = registry.batch_shapes(config, config.batch_size)
    state = jax.eval_shape(lambda: step.init_state(model, optimizer, shapes, 0))
    label = jax.ShapeDtypeStruct((config.batch_size,), jnp.int32)
    weight = jax.ShapeDtypeStruct((config.batch_size,), jnp.float32)
    lowered = jax.jit(lambda *a: step.update(*a, model=model, optimizer=optimizer, seed=0)).lower(
        state, shapes, label, weight
    )
    return lowered.cost_analysis()["flops"]


def matrix_rate(dtype: str, n: int = 4096) -> float:
    """Operations a second of a plain product of matrices, the fastest of five."""
    x = jnp.ones((n, n), dtype)
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(x, x))
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        jax.block_until_ready(product(x, x))
        seconds.append(time.perf_counter() - started)
    return 2 * n**3 / min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--dtype", default="float32", choices=step.DTYPES)
    given = parser.parse_args()

    table = ravdess_strong.get_config()
    fields = {"data.size": given.size, "epochs": given.epochs, "model.dtype": given.dtype}
    rows = {r: configuration.resolve_row(table, r, fields) for r in table.table_rows}
    rng = np.random.default_rng(0)
    shapes = {k: x for c in rows.values() for k, x in registry.batch_shapes(c, TRIPLETS).items()}
    arrays = {name: rng.integers(0, 256, x.shape, np.uint8) for name, x in shapes.items()}
    rate = matrix_rate(given.dtype, 4096 if jax.default_backend() != "cpu" else 2048)
    print(
        f"jax {jax.__version__}, {devices.describe()}, {given.dtype}, {given.size} pixels, "
        f"{given.seeds} seeds, {given.epochs} epochs; matrix product {rate / 1e12:.2f} TFLOP/s"
    )
    print(f"{'row':<16}{'s':>9}{'training s':>12}{'s a step':>10}{'TFLOP/s':>9}{'share':>7}")
    total, work, best = 0.0, 0.0, 0.0
    for row, config in rows.items():
        order = rng.permutation(TRIPLETS)
        trained, tested = examples(config, order[:TRAINED]), examples(config, order[TRAINED:])
        steps = -(-TRAINED // config.batch_size) * given.epochs
        started, trained_for = time.perf_counter(), 0.0
        for seed in range(given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                outcome = training.train(
                    config,
                    models.build(config),
                    {name: arrays[name] for name in config.modalities},
                    trained,
                    {"test": tested},
                    seed=seed,
                    measure_epochs=(given.epochs,),
                    folder=pathlib.Path(folder),
                    on_measure=lambda measured: None,
                )
            trained_for += sum(epoch["seconds"] for epoch in outcome.history)
        seconds = time.perf_counter() - started
        flop = operations(config) * steps * given.seeds
        total, work = total + seconds, work + flop
        best = max(best, flop / trained_for)
        print(
            f"{row:<16}{seconds:>9.1f}{trained_for:>12.1f}"
            f"{trained_for / steps / given.seeds:>10.4f}"
            f"{flop / trained_for / 1e12:>9.3f}{flop / trained_for / rate:>7.0%}",
            flush=True,
        )
    print(f"the whole table: {total:.1f} s, {total / (work / best):.2f} times its operations at")
    print(f"the best row's rate ({best / 1e12:.3f} TFLOP/s)")


if __name__ == "__main__":
    main()

"""The tower's convolutions: XLA's own, and ours for small maps.

    python -m benchmarks.convolutions [--size=64] [--batch=30] [--repeats=7]

First each block: forward, weight gradient and input gradient. Then the blocks whose map is 2x2
pixels or less, where ours differ. Prints the fastest of the repeats, beside the rate of a plain
matrix product.
"""

import argparse
import functools
import time

import jax
import jax.numpy as jnp

from benchmarks import rates
from mmer_jax.models import convolution


def seconds(function, *arguments, repeats: int) -> float:
    """The fastest of some runs, after one that compiles."""
    function = jax.jit(function)
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return min(times)


def random(batch, size, before, after):
    """A map, a kernel, and the gradient of the kernel's output."""
    shapes = (batch, size, size, before), (3, 3, before, after), (batch, size, size, after)
    keys = jax.random.split(jax.random.key(0), 3)
    return [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]


def forward(convolve, x, kernel, dy):
    del dy
    return convolve(x, kernel)


def kernel_gradient(convolve, x, kernel, dy):
    return jax.vjp(lambda k: convolve(x, k), kernel)[1](dy)[0]


def input_gradient(convolve, x, kernel, dy):
    return jax.vjp(lambda x: convolve(x, kernel), x)[1](dy)[0]


WORK = (
    ("forward", forward),
    ("weight gradient", kernel_gradient),
    ("input gradient", input_gradient),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()

    square = jnp.ones((2048, 2048))
    product = 2 * 2048**3 / seconds(jnp.matmul, square, square, repeats=given.repeats) / 1e9
    print(f"{rates.machine()}; matrix product {product:.0f} GFLOP/s")
    print(f"{'convolution':<22}" + "".join(f"{what:>20}" for what, _ in WORK))
    filters = (32, 64, 128, 256, 512)
    layers = [(given.size, 3, 32)]
    layers += [(given.size >> i, filters[i - 1], filters[i]) for i in range(1, 5)]
    for size, before, after in layers:
        arrays = random(given.batch, size, before, after)
        gflop = 2 * 9 * given.batch * size * size * before * after / 1e9
        times = [
            seconds(functools.partial(of, convolution._convolve), *arrays, repeats=given.repeats)
            for _, of in WORK
        ]
        cells = "".join(f"{1e3 * t:>9.1f} ms {gflop / t:>5.0f} G" for t in times)
        print(f"{before:>4} to {after:<4}at {size:<8}{cells}")
    print(f"\n{'small map, 256 to 512':<22}{'XLA':>18}{'one product':>18}{'ratio':>8}")
    for size in (2, 1):
        arrays = random(given.batch, size, 256, 512)
        for what, of in WORK:
            theirs, ours = (
                seconds(functools.partial(of, f), *arrays, repeats=given.repeats)
                for f in (convolution._convolve, convolution.convolve_3x3)
            )
            cells = "".join(f"{1e3 * t:>15.1f} ms" for t in (theirs, ours))
            print(f"{what:<16}at {size:<3}{cells}{theirs / ours:>8.1f}")


if __name__ == "__main__":
    main()

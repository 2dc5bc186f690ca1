"""Rates of the tower's convolutions: XLA's own, and one matrix product for small feature maps.

    python -m benchmarks.convolutions [--size=64] [--batch=30] [--repeats=7]

The first table has each block of figure 6's network with `lax.conv_general_dilated`: forward,
weight gradient and input gradient. The second compares it with `convolution.convolve_3x3` on
feature maps of 2x2 pixels and less, where the two differ. Times are the fastest of the repeats.
"""

import argparse
import functools
import itertools
import time
from collections.abc import Callable

import jax
from jax import lax

from benchmarks import rates
from mmer_jax.models import convolution

xla_convolution = functools.partial(
    lax.conv_general_dilated,
    window_strides=(1, 1),
    padding="SAME",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
)


def fastest(function: Callable, *arguments: jax.Array, repeats: int) -> float:
    """Returns the seconds of the fastest of some calls, after one that compiles."""
    function = jax.jit(function)
    jax.block_until_ready(function(*arguments))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def random_arrays(batch: int, size: int, channels: int, filters: int) -> list[jax.Array]:
    """Returns a feature map, a kernel, and a gradient of the output."""
    shapes = (
        (batch, size, size, channels),
        (3, 3, channels, filters),
        (batch, size, size, filters),
    )
    keys = jax.random.split(jax.random.key(0), 3)
    return [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]


def forward(convolve, x, kernel, dy):
    del dy
    return convolve(x, kernel)


def weight_gradient(convolve, x, kernel, dy):
    return jax.vjp(lambda k: convolve(x, k), kernel)[1](dy)[0]


def input_gradient(convolve, x, kernel, dy):
    return jax.vjp(lambda x: convolve(x, kernel), x)[1](dy)[0]


PASSES = (
    ("forward", forward),
    ("weight gradient", weight_gradient),
    ("input gradient", input_gradient),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()

    rate = rates.matrix_rate("float32")
    print(f"{rates.machine()}; matrix product {rate / 1e9:.0f} GFLOP/s")
    print(f"{'ms and GFLOP/s':<22}" + "".join(f"{name:>20}" for name, _ in PASSES))
    channels = (3, 32, 64, 128, 256, 512)
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        size = args.size >> i
        arrays = random_arrays(args.batch, size, before, after)
        gflop = 2 * 9 * args.batch * size * size * before * after / 1e9
        seconds = [
            fastest(functools.partial(run, xla_convolution), *arrays, repeats=args.repeats)
            for _, run in PASSES
        ]
        cells = "".join(f"{1e3 * t:>12.1f}{gflop / t:>8.0f}" for t in seconds)
        print(f"{before:>4} to {after:<4}at {size:<8}{cells}")
    print(f"\n{'small maps, 256 to 512':<24}{'XLA, ms':>16}{'one product, ms':>18}{'ratio':>8}")
    for size in (2, 1):
        arrays = random_arrays(args.batch, size, 256, 512)
        for name, run in PASSES:
            xla, product = (
                fastest(functools.partial(run, convolve), *arrays, repeats=args.repeats)
                for convolve in (xla_convolution, convolution.convolve_3x3)
            )
            cells = f"{1e3 * xla:>16.1f}{1e3 * product:>18.1f}{xla / product:>8.1f}"
            print(f"{name:<18}at {size:<3}{cells}")


if __name__ == "__main__":
    main()

"""The tower's convolutions: XLA's own, and ours for CPUs.

    python -m benchmarks.convolutions [--size=64] [--batch=30] [--repeats=7]

First the weight gradient of each block, then everything about a block whose map is 2x2 pixels or
less. Prints the fastest of the repeats and GFLOP/s, beside the rate of a plain matrix product.
"""

import argparse
import functools
import os
import time

import jax
import jax.numpy as jnp

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


def xlas(x, dy):
    kernel = jnp.zeros((3, 3, x.shape[-1], dy.shape[-1]))
    return jax.vjp(lambda k: convolution._convolve(x, k), kernel)[1](dy)[0]


def forward(convolve, x, kernel, dy):
    del dy
    return convolve(x, kernel)


def input_gradient(convolve, x, kernel, dy):
    return jax.vjp(lambda x: convolve(x, kernel), x)[1](dy)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()

    square = jnp.ones((2048, 2048))
    product = 2 * 2048**3 / seconds(jnp.matmul, square, square, repeats=given.repeats) / 1e9
    print(
        f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {os.cpu_count()} cores, ", end=""
    )
    print(f"load {os.getloadavg()[0]:.1f}, matrix product {product:.0f} GFLOP/s")
    print(f"{'convolution':<22}{'XLA':>18}{'products':>18}{'ratio':>8}")
    filters = (32, 64, 128, 256, 512)
    layers = [(given.size, 3, 32)]
    layers += [(given.size >> i, filters[i - 1], filters[i]) for i in range(1, 5)]
    for size, before, after in layers:
        x = jax.random.normal(jax.random.key(0), (given.batch, size, size, before))
        dy = jax.random.normal(jax.random.key(1), (given.batch, size, size, after))
        gflop = 2 * 9 * given.batch * size * size * before * after / 1e9
        theirs = seconds(xlas, x, dy, repeats=given.repeats)
        ours = seconds(convolution.kernel_gradient_as_products, x, dy, repeats=given.repeats)
        cells = "".join(f"{1e3 * t:>8.0f} ms {gflop / t:>5.0f} G" for t in (theirs, ours))
        print(f"{before:>4} to {after:<4}at {size:<8}{cells}{theirs / ours:>8.1f}")
    print(f"\n{'small map, 256 to 512':<22}{'XLA':>18}{'one product':>18}{'ratio':>8}")
    for size in (2, 1):
        x = jax.random.normal(jax.random.key(0), (given.batch, size, size, 256))
        kernel = jax.random.normal(jax.random.key(1), (3, 3, 256, 512))
        dy = jnp.ones((given.batch, size, size, 512))
        for what, of in (("forward", forward), ("input gradient", input_gradient)):
            theirs, ours = (
                seconds(functools.partial(of, f), x, kernel, dy, repeats=given.repeats)
                for f in (convolution._convolve, convolution.convolve_3x3)
            )
            cells = "".join(f"{1e3 * t:>15.1f} ms" for t in (theirs, ours))
            print(f"{what:<15}at {size:<4}{cells}{theirs / ours:>8.1f}")


if __name__ == "__main__":
    main()

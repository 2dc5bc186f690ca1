"""The 3x3 convolution, with a weight gradient that CPUs compute fast."""

import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_LAYOUT)


@jax.custom_vjp
def convolve_3x3(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution with padding "same" and stride 1.

    It is `lax.conv_general_dilated`, whose gradient with respect to the kernel XLA's CPU backend
    computes at a small part of the rate of a matrix product (docs/performance.md). There it is
    computed as the matrix products that it is, one for each of the nine places in the kernel. The
    numbers are the same up to the order of summation. Other devices use XLA's own.

    Args:
      x: float [b, h, w, c].
      kernel: float [3, 3, c, d].

    Returns:
      float [b, h, w, d].
    """
    return _convolve(x, kernel)


def _forward(x, kernel):
    return _convolve(x, kernel), (x, kernel)


def _backward(saved, dy):
    x, kernel = saved
    _, backward = jax.vjp(_convolve, x, kernel)
    dkernel = lax.platform_dependent(
        x, dy, cpu=kernel_gradient_as_products, default=lambda x, dy: backward(dy)[1]
    )
    return backward(dy)[0], dkernel


convolve_3x3.defvjp(_forward, _backward)


def kernel_gradient_as_products(x: jax.Array, dy: jax.Array) -> jax.Array:
    """The kernel's gradient: x shifted to each place in the kernel, times the output's gradient.

    Args:
      x: float [b, h, w, c], the input.
      dy: float [b, h, w, d], the gradient with respect to the output.

    Returns:
      float [3, 3, c, d].
    """
    b, h, w, c = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    dy = dy.reshape(b * h * w, -1)
    if c <= 3:  # pictures: nine very thin products are slower than one
        patches = jnp.concatenate(shifted, axis=-1).reshape(b * h * w, 9 * c)
        return (patches.T @ dy).reshape(3, 3, c, -1)
    return jnp.stack([s.reshape(b * h * w, c).T @ dy for s in shifted]).reshape(3, 3, c, -1)

"""The 3x3 convolution, in forms that CPUs compute fast."""

import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_LAYOUT)


# Maps of up to so many pixels are convolved as one matrix product.
_SMALL = 4


def convolve_3x3(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution with padding "same" and stride 1.

    It is `lax.conv_general_dilated`, but for two things that XLA's CPU backend computes at a small
    part of the rate of a matrix product (docs/performance.md): maps of 2x2 pixels or less, which
    are one product of patches and kernel here, on all devices; and the gradient with respect to
    the kernel, which on CPUs is a product for each of the nine places in the kernel. The numbers
    are the same up to the order of summation.

    Args:
      x: float [b, h, w, c].
      kernel: float [3, 3, c, d].

    Returns:
      float [b, h, w, d].
    """
    b, h, w, c = x.shape
    if h * w <= _SMALL:
        patches = jnp.concatenate(_shifted(x), axis=-1).reshape(b * h * w, 9 * c)
        return (patches @ kernel.reshape(9 * c, -1)).reshape(b, h, w, -1)
    return _convolve_large(x, kernel)


@jax.custom_vjp
def _convolve_large(x, kernel):
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


_convolve_large.defvjp(_forward, _backward)


def _shifted(x):
    """What each of the nine places in the kernel sees: nine of float [b, h, w, c]."""
    h, w = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]


def kernel_gradient_as_products(x: jax.Array, dy: jax.Array) -> jax.Array:
    """The kernel's gradient: x shifted to each place in the kernel, times the output's gradient.

    Args:
      x: float [b, h, w, c], the input.
      dy: float [b, h, w, d], the gradient with respect to the output.

    Returns:
      float [3, 3, c, d].
    """
    b, h, w, c = x.shape
    shifted = _shifted(x)
    dy = dy.reshape(b * h * w, -1)
    if c <= 3:  # pictures: nine very thin products are slower than one
        patches = jnp.concatenate(shifted, axis=-1).reshape(b * h * w, 9 * c)
        return (patches.T @ dy).reshape(3, 3, c, -1)
    return jnp.stack([s.reshape(b * h * w, c).T @ dy for s in shifted]).reshape(3, 3, c, -1)

"""The 3x3 convolution and its bias, in forms that CPUs compute fast."""

import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ("NHWC", "HWIO", "NHWC")

# Feature maps of up to so many pixels are convolved as one matrix product.
_SMALL = 4


def convolve_3x3(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Computes a 3x3 convolution with padding "same" and stride 1.

    Calls `lax.conv_general_dilated`, except for feature maps of 2x2 pixels or less: these are
    computed as one product of patches and kernel, on all devices, because the CPU backend of XLA
    convolves them at a small fraction of the rate of a matrix product (docs/performance.md). The
    results are equal up to the order of summation.

    Args:
      x: float [b, h, w, c].
      kernel: float [3, 3, c, d].

    Returns:
      float [b, h, w, d].
    """
    b, h, w, c = x.shape
    if h * w > _SMALL:
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_LAYOUT)
    patches = jnp.concatenate(_shifted(x), axis=-1).reshape(b * h * w, 9 * c)
    return (patches @ kernel.reshape(9 * c, -1)).reshape(b, h, w, -1)


def _shifted(x):
    """Returns what each of the kernel's nine positions reads: nine of float [b, h, w, c]."""
    h, w = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]


@jax.custom_vjp
def add_bias(x: jax.Array, bias: jax.Array) -> jax.Array:
    """Computes `x + bias`, where the bias's gradient is a product with ones on CPUs.

    There XLA sums over positions with `reduce-window`, at a tenth of the memory bandwidth; its
    matrix product is faster.

    Args:
      x: float [..., d].
      bias: float [d].

    Returns:
      float [..., d].
    """
    return x + bias


def _bias_gradient(_, dy):
    positions = dy.reshape(-1, dy.shape[-1])
    product = lambda x: (jnp.ones((1, len(x)), x.dtype) @ x)[0]  # noqa: E731
    return dy, lax.platform_dependent(positions, cpu=product, default=lambda x: x.sum(0))


add_bias.defvjp(lambda x, bias: (x + bias, None), _bias_gradient)

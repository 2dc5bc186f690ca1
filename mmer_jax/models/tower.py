"""The tower of figure 6: blocks of one 3x3 convolution and one 2x2 maximum."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmer_jax.models import convolution


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Maximum over 2x2 windows with stride 2; an odd last row or column is dropped, as Keras does.

    The same function as `nn.max_pool(x, (2, 2), (2, 2))`. On CPUs XLA's gradient of that one
    (select-and-scatter) is very slow, and so, less, is that of a maximum over two axes; this one is
    written out. Where several elements of a window share the maximum, it splits the gradient among
    them.

    Args:
      x: float [b, h, w, c], h and w at least 2.

    Returns:
      float [b, h // 2, w // 2, c].
    """
    b, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2]
    return _maximum(x.reshape(b, h // 2, 2, w // 2, 2, c))


@jax.custom_vjp
def _maximum(x: jax.Array) -> jax.Array:
    """float [b, h, 2, w, 2, c] -> float [b, h, w, c]."""
    return x.max(axis=(2, 4))


def _maximum_forward(x):
    largest = _maximum(x)
    return largest, (x, largest)


def _maximum_backward(kept, dy):
    x, largest = kept
    shared = sum((x[:, :, i, :, j] == largest).astype(dy.dtype) for i in (0, 1) for j in (0, 1))
    wide = lambda y: y[:, :, None, :, None]  # noqa: E731
    return (jnp.where(x == wide(largest), wide(dy / shared), 0),)


_maximum.defvjp(_maximum_forward, _maximum_backward)


def _group_norm(x: jax.Array, name: str) -> jax.Array:
    """Wu and He (2018), arXiv:1803.08494, in groups of 8 channels where they divide."""
    groups = math.gcd(x.shape[-1], max(1, x.shape[-1] // 8))
    return nn.GroupNorm(num_groups=groups, name=name)(x)


# Name in configs -> x float [b, h, w, c], name of the layer -> the same shape. None of them needs
# more than the example itself, so that a prediction does not depend on its batch.
NORMALISATIONS = {
    "": lambda x, name: x,
    "group": _group_norm,
    "layer": lambda x, name: nn.LayerNorm(name=name)(x),
}


# A feature map, float [b, h, w, c] -> one vector an example, float [b, n].
POOLINGS = {
    "flatten": lambda x: x.reshape(x.shape[0], -1),
    "average": lambda x: x.mean((1, 2)),
    "average_max": lambda x: jnp.concatenate([x.mean((1, 2)), x.max((1, 2))], axis=-1),
}


class Convolution(nn.Module):
    """3x3, stride 1, padding "same", with a bias.

    The parameters are those of `nn.Conv`: kernel [3, 3, c, features] and bias [features].

    Attributes:
      features: filters.
      pooled: whether the 2x2 maximum follows. It comes before the bias, which it commutes with (as
        with ReLU), so that all that follows is a quarter of the size.
    """

    features: int
    pooled: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """float [b, h, w, c] -> float [b, h, w, features], or half as high and wide."""
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x = convolution.convolve_3x3(x, kernel)
        return convolution.add_bias(max_pool_2x2(x) if self.pooled else x, bias)


class Tower(nn.Module):
    """Image -> feature map: blocks of one convolution (or more) with ReLU and a 2x2 maximum.

    Keras's defaults, which the paper used: Glorot uniform kernels and zero bias; padding "same".
    A map of one pixel is not pooled any more.

    Attributes:
      filters: the number of filters of each block; several numbers are several convolutions.
      normalization: one of NORMALISATIONS, between each convolution and its ReLU.
      patch: pixels of a side that are one place with their values as channels before the first
        convolution; the side is a multiple of it. A large image then costs what a small one does.
    """

    filters: Sequence[int | Sequence[int]]
    normalization: str = ""
    patch: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """float [b, s, s, c] -> [b, t, t, filters[-1]], t = s / patch / 2^n after n blocks."""
        x = space_to_depth(x, self.patch)
        count = 0
        for block in self.filters:
            *others, last = (block,) if isinstance(block, int) else block
            pooled = min(x.shape[1:3]) > 1  # one pixel has nothing left to pool
            early = pooled and not self.normalization  # a normalization sees all places
            for features, at_once in (*((n, False) for n in others), (last, early)):
                count += 1
                x = Convolution(features, at_once, name=f"conv{count}")(x)
                x = nn.relu(NORMALISATIONS[self.normalization](x, f"norm{count}"))
            if pooled and not early:
                x = max_pool_2x2(x)
        return x


def space_to_depth(x: jax.Array, patch: int) -> jax.Array:
    """float [b, h, w, c] -> [b, h / patch, w / patch, patch * patch * c]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // patch, patch, w // patch, patch, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // patch, w // patch, -1)


def to_unit_range(image: jax.Array) -> jax.Array:
    """uint8 0..255 -> float32 0..1, the one normalization of the paper's network.

    Images that are float32 already were normalized in another way, and stay as they are.
    """
    return image.astype(jnp.float32) / 255.0 if image.dtype == jnp.uint8 else image

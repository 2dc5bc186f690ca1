"""The tower of figure 6: blocks of one 3x3 convolution and one 2x2 max pooling."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmer_jax import errors
from mmer_jax.models import convolution

# Number of filters of each block; "32, 64, 18, 56, 51" in the paper, which loses digits.
FILTERS = (32, 64, 128, 256, 512)


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Computes the maximum over 2x2 windows with stride 2.

    Equals `nn.max_pool(x, (2, 2), (2, 2))`: an odd last row or column is dropped, as in Keras. The
    gradient is written out, because XLA's own (select-and-scatter) is very slow on CPUs, as is, to
    a lesser degree, the gradient of a maximum over two axes. If several elements of a window equal
    the maximum, the gradient is split among them.

    Args:
      x: float [b, h, w, c], h and w at least 2.

    Returns:
      float [b, h // 2, w // 2, c].
    """
    b, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2]
    return _max_over_windows(x.reshape(b, h // 2, 2, w // 2, 2, c))


@jax.custom_vjp
def _max_over_windows(x: jax.Array) -> jax.Array:
    """Reduces float [b, h, 2, w, 2, c] to float [b, h, w, c]."""
    return x.max(axis=(2, 4))


def _max_forward(x):
    largest = _max_over_windows(x)
    return largest, (x, largest)


def _max_backward(residuals, dy):
    x, largest = residuals
    count = sum((x[:, :, i, :, j] == largest).astype(dy.dtype) for i in (0, 1) for j in (0, 1))
    expand = lambda y: y[:, :, None, :, None]  # noqa: E731
    return (jnp.where(x == expand(largest), expand(dy / count), 0),)


_max_over_windows.defvjp(_max_forward, _max_backward)


def _group_norm(x: jax.Array, name: str) -> jax.Array:
    """Wu and He (2018), arXiv:1803.08494, in groups of 8 channels where they divide."""
    groups = math.gcd(x.shape[-1], max(1, x.shape[-1] // 8))
    return nn.GroupNorm(num_groups=groups, name=name)(x)


# Name in configs -> function of x, float [b, h, w, c], and the layer's name. Each uses statistics
# of one example only, so that a prediction does not depend on the batch.
NORMALIZATIONS = {
    "": lambda x, name: x,
    "group": _group_norm,
    "layer": lambda x, name: nn.LayerNorm(name=name)(x),
}


# Name in configs -> function from a feature map, float [b, h, w, c], to vectors, float [b, n].
POOLINGS = {
    "flatten": lambda x: x.reshape(x.shape[0], -1),
    "average": lambda x: x.mean((1, 2)),
    "average_max": lambda x: jnp.concatenate([x.mean((1, 2)), x.max((1, 2))], axis=-1),
}


class Convolution(nn.Module):
    """A 3x3 convolution with stride 1, padding "same" and a bias.

    The parameters are those of `nn.Conv`: kernel [3, 3, c, features] and bias [features].

    Attributes:
      features: Number of filters.
      pooled: Whether 2x2 max pooling follows. It is applied before the bias, with which it commutes
        (as with ReLU), so that everything after it has a quarter of the size.
    """

    features: int
    pooled: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps float [b, h, w, c] to float [b, h, w, features], or half the height and width."""
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x = convolution.convolve_3x3(x, kernel)
        return convolution.add_bias(max_pool_2x2(x) if self.pooled else x, bias)


class Tower(nn.Module):
    """A VGG-like feature extractor: blocks of convolutions with ReLU and 2x2 max pooling.

    Initialization as in Keras, which the paper used: Glorot uniform kernels and zero biases. A
    feature map of one pixel is not pooled any further.

    Attributes:
      filters: Number of filters of each block; a sequence of numbers makes several convolutions.
      normalization: One of NORMALIZATIONS, between each convolution and its ReLU.
      patch: Side of the square patches whose pixels become the channels of one position before the
        first convolution; the image's side is a multiple of it. A large image then costs as much as
        a small one.
    """

    filters: Sequence[int | Sequence[int]]
    normalization: str = ""
    patch: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps float [b, s, s, c] to [b, t, t, filters[-1]], t = s / patch / 2^n after n blocks."""
        x = space_to_depth(x, self.patch)
        count = 0
        for block in self.filters:
            *others, last = (block,) if isinstance(block, int) else block
            pooled = min(x.shape[1:3]) > 1
            early = pooled and not self.normalization  # a normalization needs all positions
            for features, pooled_early in (*((n, False) for n in others), (last, early)):
                count += 1
                x = Convolution(features, pooled_early, name=f"conv{count}")(x)
                x = nn.relu(NORMALIZATIONS[self.normalization](x, f"norm{count}"))
            if pooled and not early:
                x = max_pool_2x2(x)
        return x


def space_to_depth(x: jax.Array, patch: int) -> jax.Array:
    """Reshapes float [b, h, w, c] to [b, h / patch, w / patch, patch * patch * c]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // patch, patch, w // patch, patch, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // patch, w // patch, -1)


def to_unit_range(image: jax.Array) -> jax.Array:
    """Scales uint8 0..255 to float32 0..1, the paper's only normalization.

    float32 images have been normalized in another way already and are returned unchanged.
    """
    return image.astype(jnp.float32) / 255.0 if image.dtype == jnp.uint8 else image


def check_several(model: str, modalities: Sequence[str]) -> None:
    """Checks that a model of intermediate fusion has two modalities or more; raises UserError."""
    if len(modalities) < 2:
        raise errors.UserError(
            f"the model {model} fuses two modalities or more, found only {', '.join(modalities)}"
        )

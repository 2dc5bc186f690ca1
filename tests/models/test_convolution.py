"""The convolution and both of its weight gradients, against Flax's own."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from mmer_jax.models import convolution, tower


@pytest.mark.parametrize("channels", [1, 3, 4, 8])
@pytest.mark.parametrize("size", [(8, 8), (7, 5), (2, 2), (1, 3), (1, 1)])
def test_it_and_its_gradients_are_flaxs(channels, size):
    x = jax.random.normal(jax.random.key(0), (2, *size, channels))
    theirs = nn.Conv(6, (3, 3), padding="SAME", bias_init=nn.initializers.normal())
    params = theirs.init(jax.random.key(1), x)
    ours = tower.Convolution(6)
    np.testing.assert_allclose(ours.apply(params, x), theirs.apply(params, x), atol=1e-6)

    def gradients(module):
        return jax.grad(lambda p, x: (module.apply(p, x) ** 2).sum(), argnums=(0, 1))(params, x)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        gradients(ours),
        gradients(theirs),
    )


def test_the_products_are_the_gradient_on_any_device():
    """Called by name, since a GPU takes XLA's own."""
    x = jax.random.normal(jax.random.key(0), (2, 6, 6, 4))
    dy = jax.random.normal(jax.random.key(1), (2, 6, 6, 5))
    kernel = np.zeros((3, 3, 4, 5), np.float32)
    _, backward = jax.vjp(lambda k: convolution._convolve(x, k), kernel)
    np.testing.assert_allclose(
        convolution.kernel_gradient_as_products(x, dy), backward(dy)[0], rtol=1e-4, atol=1e-4
    )

"""The convolution and its gradients, against Flax's own."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from mmer_jax.models import tower


@pytest.mark.parametrize("channels", [1, 3, 4, 8])
@pytest.mark.parametrize("size", [(8, 8), (7, 5), (2, 2), (1, 3), (1, 1)])
def test_it_and_its_gradients_are_flaxs(channels, size):
    x = jax.random.normal(jax.random.key(0), (2, *size, channels))
    theirs = nn.Conv(6, (3, 3), padding="SAME", bias_init=nn.initializers.normal())
    params = jax.jit(theirs.init)(jax.random.key(1), x)
    ours = tower.Convolution(6)
    np.testing.assert_allclose(
        jax.jit(ours.apply)(params, x), jax.jit(theirs.apply)(params, x), atol=1e-6
    )

    def gradients(module):
        loss = lambda p, x: (module.apply(p, x) ** 2).sum()  # noqa: E731
        return jax.jit(jax.grad(loss, argnums=(0, 1)))(params, x)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        gradients(ours),
        gradients(theirs),
    )


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (2, 2)])
def test_a_maximum_before_the_bias_is_one_after_it_and_relu(size):
    x = jax.random.normal(jax.random.key(0), (2, *size, 3))
    pooled, plain = tower.Convolution(6, pooled=True), tower.Convolution(6)
    params = plain.init(jax.random.key(1), x)
    params["params"]["bias"] = jax.random.normal(jax.random.key(2), (6,))

    def late(params, x):  # as the paper has it, in Flax's words
        return nn.max_pool(nn.relu(plain.apply(params, x)), (2, 2), (2, 2))

    def early(params, x):
        return nn.relu(pooled.apply(params, x))

    np.testing.assert_array_equal(early(params, x), late(params, x))
    theirs, ours = (
        jax.jit(jax.grad(lambda *a, f=f: (f(*a) ** 2).sum(), argnums=(0, 1)))(params, x)
        for f in (late, early)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, theirs)

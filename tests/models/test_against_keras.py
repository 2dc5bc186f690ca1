"""Figures 6 and 8 written in Keras, which the paper used, against the Flax modules."""

import functools

import jax
import numpy as np
import pytest

from mmer_jax import models
from mmer_jax.config import resolve
from mmer_jax.models import registry

pytest.importorskip("keras", reason="Keras comes with TensorFlow (mmer-jax[data])")
from benchmarks.peers import in_keras

SIZE = 64


@pytest.mark.parametrize("row", ["face", "mel", "face_mel", "face_flow_mel"])
def test_logits_and_parameter_counts_equal_keras(strong_config, row):
    config = resolve.resolve_row(strong_config, row, {"data.size": SIZE})
    model = models.build(config)
    names = list(config.modalities)
    rng = np.random.default_rng(0)
    images = {
        name: rng.integers(0, 256, x.shape, np.uint8)
        for name, x in registry.input_shapes(config, batch=4).items()
    }
    params = jax.jit(functools.partial(model.init, train=False))(jax.random.key(1), images)[
        "params"
    ]
    # Biases start at zero; other values would show if one were left out.
    params = jax.tree.map(
        lambda p: p if p.ndim > 1 else rng.normal(0, 0.1, p.shape).astype(np.float32), params
    )

    network = in_keras.network(config)
    in_keras.copy_weights(network, params)
    scaled = {name: images[name].astype(np.float32) / 255 for name in names}
    expected = network(scaled, training=False).numpy()
    with jax.default_matmul_precision("highest"):
        logits = jax.jit(functools.partial(model.apply, train=False))({"params": params}, images)

    assert models.count_parameters(params) == network.count_params()
    np.testing.assert_allclose(logits, expected, atol=1e-5, rtol=0)


def test_initial_weights_follow_kerass_distributions(strong_config):
    config = resolve.resolve_row(strong_config, "face", {"data.size": SIZE})
    model = models.build(config)
    zeros = {k: np.zeros(x.shape, x.dtype) for k, x in registry.input_shapes(config).items()}
    params = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), zeros)["params"]
    for name, fan_in, fan_out in (("dense2", 2048, 1024), ("dense1", 2 * 2 * 512, 2048)):
        limit = np.sqrt(6 / (fan_in + fan_out))
        kernel = np.asarray(params[name]["kernel"])
        assert abs(kernel).max() <= limit
        assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)
        assert not np.any(params[name]["bias"])
    kernel = np.asarray(params["face"]["conv5"]["kernel"])
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * (256 + 512))), rel=0.01)

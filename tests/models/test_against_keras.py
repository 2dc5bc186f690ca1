"""Figures 6 and 8 written in Keras, which the paper used, against the Flax modules."""

import os

import jax
import numpy as np
import pytest

from mmer_jax import modalities, models
from mmer_jax.configuration import resolve_row
from mmer_jax.models import registry

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
keras = pytest.importorskip("keras", reason="Keras comes with TensorFlow (mmer-jax[data])")

SIZE, CLASSES = 64, 5


def keras_network(names, filters, hidden, dropout_features, dropout_output):
    inputs, joined = [], []
    for m in modalities.get(names):
        x = given = keras.Input((SIZE, SIZE, m.channels), name=m.name)
        for n in filters:
            x = keras.layers.Conv2D(n, 3, padding="same", activation="relu")(x)
            x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Dropout(dropout_features)(x)
        inputs.append(given)
        joined.append(keras.layers.Flatten()(x))
    x = keras.layers.Concatenate()(joined) if len(joined) > 1 else joined[0]
    for n in hidden:
        x = keras.layers.Dense(n, activation="relu")(x)
    x = keras.layers.Dropout(dropout_output)(x)
    inputs = {x.name: x for x in inputs}
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def copy_weights(network, names, params):
    """Keras's layers come in the order of depth; within a kind of layer, in that of the towers."""
    convolutions = {m: [] for m in names}
    for tower, x in network.input.items():
        layer = next(op for op in network.layers if getattr(op, "input", None) is x and op.weights)
        while True:
            if isinstance(layer, keras.layers.Conv2D):
                convolutions[tower].append(layer)
            after = [n.operation for n in layer._outbound_nodes]
            if isinstance(layer, keras.layers.Flatten) or not after:
                break
            layer = after[0]
    dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    for m in names:
        for i, layer in enumerate(convolutions[m]):
            p = params[m][f"conv{i + 1}"]
            layer.set_weights([np.asarray(p["kernel"]), np.asarray(p["bias"])])
    tops = [*(f"dense{i + 1}" for i in range(len(dense) - 1)), "output"]
    for name, layer in zip(tops, dense, strict=True):
        layer.set_weights([np.asarray(params[name]["kernel"]), np.asarray(params[name]["bias"])])


@pytest.mark.parametrize("row", ["face", "mel", "face_mel", "face_flow_mel"])
def test_logits_and_parameter_counts_equal_keras(strong_config, row):
    config = resolve_row(strong_config, row, {"data.size": SIZE})
    model = models.build(config)
    names = list(config.modalities)
    rng = np.random.default_rng(0)
    pictures = {
        name: rng.integers(0, 256, x.shape, np.uint8)
        for name, x in registry.batch_shapes(config, batch=4).items()
    }
    params = model.init(jax.random.key(1), pictures, train=False)["params"]
    # Biases start at zero; other values would show if one were left out.
    params = jax.tree.map(
        lambda p: p if p.ndim > 1 else rng.normal(0, 0.1, p.shape).astype(np.float32), params
    )

    m = config.model
    network = keras_network(names, m.filters, m.hidden, m.dropout_features, m.dropout_output)
    copy_weights(network, names, params)
    scaled = {name: pictures[name].astype(np.float32) / 255 for name in names}
    expected = network(scaled, training=False).numpy()
    with jax.default_matmul_precision("highest"):
        logits = model.apply({"params": params}, pictures, train=False)

    assert models.count_parameters(params) == network.count_params()
    np.testing.assert_allclose(logits, expected, atol=1e-5, rtol=0)


def test_initial_weights_follow_kerass_distributions(strong_config):
    config = resolve_row(strong_config, "face", {"data.size": SIZE})
    model = models.build(config)
    zeros = {k: np.zeros(x.shape, x.dtype) for k, x in registry.batch_shapes(config).items()}
    params = model.init(jax.random.key(0), zeros, train=False)["params"]
    for name, fan_in, fan_out in (("dense2", 2048, 1024), ("dense1", 2 * 2 * 512, 2048)):
        limit = np.sqrt(6 / (fan_in + fan_out))
        kernel = np.asarray(params[name]["kernel"])
        assert abs(kernel).max() <= limit
        assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)
        assert not np.any(params[name]["bias"])
    kernel = np.asarray(params["face"]["conv5"]["kernel"])
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * (256 + 512))), rel=0.01)

"""The same network and training step in Keras on TensorFlow, which the paper used."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import keras
import ml_collections
import numpy as np

from benchmarks.peers.workload import BATCHES, Workload
from mmer_jax import modalities, models


def network(config: ml_collections.ConfigDict) -> keras.Model:
    """Returns the network of figure 6 or 8, from images in 0..1 to logits.

    Its layers are named as this project's parameters.
    """
    model = models.build(config)
    inputs, features = {}, []
    for m in modalities.get(config.modalities):
        x = inputs[m.name] = keras.Input(
            (config.data.size, config.data.size, m.channels), name=m.name
        )
        for i, n in enumerate(model.filters):
            name = f"{m.name}_conv{i + 1}"
            x = keras.layers.Conv2D(n, 3, padding="same", activation="relu", name=name)(x)
            x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Dropout(model.dropout_features)(x)
        features.append(keras.layers.Flatten()(x))
    x = keras.layers.Concatenate()(features) if len(features) > 1 else features[0]
    for i, n in enumerate(model.hidden):
        x = keras.layers.Dense(n, activation="relu", name=f"dense{i + 1}")(x)
    x = keras.layers.Dropout(model.dropout_output)(x)
    x = keras.layers.Dense(len(config.data.emotions), name="output", dtype="float32")(x)
    return keras.Model(inputs, x)


def copy_weights(model: keras.Model, params) -> None:
    """Copies this project's parameters into the layers of the same names."""
    for name, layer in params.items():
        convolutions = {"": layer} if "kernel" in layer else layer
        for suffix, values in convolutions.items():
            target = model.get_layer(f"{name}_{suffix}" if suffix else name)
            target.set_weights([np.asarray(values["kernel"]), np.asarray(values["bias"])])


class Training:
    """Keras's `train_on_batch`, compiled as Keras does by default."""

    def __init__(self, workload: Workload):
        keras.mixed_precision.set_global_policy(
            "mixed_bfloat16" if workload.dtype == "bfloat16" else "float32"
        )
        self._model = network(workload.config)
        copy_weights(self._model, workload.params())
        self._model.compile(
            keras.optimizers.Adam(workload.config.optimizer.learning_rate, epsilon=1e-7),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        images = {k: v.astype(np.float32) / 255 for k, v in workload.images().items()}
        b, labels = workload.batch, workload.labels()
        self._batches = [
            ({k: v[i * b : (i + 1) * b] for k, v in images.items()}, labels[i * b : (i + 1) * b])
            for i in range(BATCHES)
        ]
        self._steps = 0

    def losses(self, count: int) -> list[float]:
        """Makes `count` steps; returns the mean loss of each."""
        return [self._step() for _ in range(count)]

    def run(self, count: int) -> None:
        """Makes `count` steps and waits for each."""
        self.losses(count)

    def _step(self) -> float:
        # train_on_batch returns a mean over the batches since the metrics were reset.
        self._model.reset_metrics()
        loss = self._model.train_on_batch(*self._batches[self._steps % BATCHES])
        self._steps += 1
        return float(np.ravel(loss)[0])

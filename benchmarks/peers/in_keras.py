"""The same network and step in Keras on TensorFlow, which the paper used."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import keras
import numpy as np

from benchmarks.peers import work
from mmer_jax import modalities, models


def network(config) -> keras.Model:
    """Figures 6 and 8, from images in 0..1 to logits; layers bear the names of our parameters."""
    model = models.build(config)
    inputs, joined = {}, []
    for m in modalities.get(config.modalities):
        x = inputs[m.name] = keras.Input(
            (config.data.size, config.data.size, m.channels), name=m.name
        )
        for i, n in enumerate(model.filters):
            name = f"{m.name}_conv{i + 1}"
            x = keras.layers.Conv2D(n, 3, padding="same", activation="relu", name=name)(x)
            x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Dropout(model.dropout_features)(x)
        joined.append(keras.layers.Flatten()(x))
    x = keras.layers.Concatenate()(joined) if len(joined) > 1 else joined[0]
    for i, n in enumerate(model.hidden):
        x = keras.layers.Dense(n, activation="relu", name=f"dense{i + 1}")(x)
    x = keras.layers.Dropout(model.dropout_output)(x)
    x = keras.layers.Dense(len(config.data.emotions), name="output", dtype="float32")(x)
    return keras.Model(inputs, x)


def copy_weights(model: keras.Model, params) -> None:
    """Gives each layer the parameters of our layer of the same name."""
    for name, layer in params.items():
        convolutions = {"": layer} if "kernel" in layer else layer
        for part, values in convolutions.items():
            target = model.get_layer(f"{name}_{part}" if part else name)
            target.set_weights([np.asarray(values["kernel"]), np.asarray(values["bias"])])


class Training:
    """Keras's own loop over batches, compiled as Keras does by default."""

    def __init__(self, given: work.Work):
        keras.mixed_precision.set_global_policy(
            "mixed_bfloat16" if given.dtype == "bfloat16" else "float32"
        )
        self._model = network(given.config)
        copy_weights(self._model, given.params())
        self._model.compile(
            keras.optimizers.Adam(given.config.optimizer.learning_rate, epsilon=1e-7),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        images = {k: v.astype(np.float32) / 255 for k, v in given.images().items()}
        b, labels = given.batch, given.labels()
        self._batches = [
            ({k: v[i * b : (i + 1) * b] for k, v in images.items()}, labels[i * b : (i + 1) * b])
            for i in range(work.BATCHES)
        ]
        self._made = 0

    def _step(self) -> float:
        # What it returns is a mean over the batches since the metrics were reset.
        self._model.reset_metrics()
        loss = self._model.train_on_batch(*self._batches[self._made % work.BATCHES])
        self._made += 1
        return float(np.ravel(loss)[0])

    def losses(self, count: int) -> list[float]:
        """The loss of each of `count` further steps."""
        return [self._step() for _ in range(count)]

    def run(self, count: int) -> None:
        """Makes `count` further steps; each is waited for."""
        self.losses(count)

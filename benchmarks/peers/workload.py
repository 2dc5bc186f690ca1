"""What every peer is given: a network's architecture, its initial weights, and batches."""

import dataclasses
import functools

import jax
import ml_collections
import numpy as np

from benchmarks import trainer
from configs import base
from mmer_jax import models
from mmer_jax.config import resolve
from mmer_jax.models import registry
from mmer_jax.training import rng

BATCHES = 4  # different batches, which repeat


@dataclasses.dataclass(frozen=True)
class Workload:
    """A row of configs/base.py on images of noise.

    Attributes:
      row: Name of the row.
      size: Side of the images in pixels.
      batch: Examples per batch.
      dropout: Whether dropout is on; without it all peers compute the same numbers.
      dtype: Arithmetic of the network, float32 or bfloat16; parameters are float32.
      reverse: Whether the examples of each batch are reversed: the same numbers, summed in another
        order.
    """

    row: str
    size: int
    batch: int
    dropout: bool = True
    dtype: str = "float32"
    reverse: bool = False

    @functools.cached_property
    def config(self) -> ml_collections.ConfigDict:
        """Config of the row."""
        fields = {"data.size": self.size, "batch_size": self.batch, "compute_dtype": self.dtype}
        if not self.dropout:
            fields |= {"model.dropout_features": 0.0, "model.dropout_output": 0.0}
        return resolve.resolve_row(base.get_config(), self.row, fields)

    def images(self) -> dict[str, np.ndarray]:
        """Returns modality -> uint8 [BATCHES * batch, size, size, channels]."""
        images = trainer.noise_images(self.config, BATCHES * self.batch)
        return {name: x[self._order()] for name, x in images.items()}

    def labels(self) -> np.ndarray:
        """Returns class labels, int32 [BATCHES * batch]."""
        return (self._order() % len(self.config.data.emotions)).astype(np.int32)

    def _order(self) -> np.ndarray:
        indices = np.arange(BATCHES * self.batch).reshape(BATCHES, self.batch)
        return (indices[:, ::-1] if self.reverse else indices).ravel()

    def params(self) -> dict:
        """Returns the initial parameters of this project's network for seed 0."""
        inputs = {
            name: np.zeros(x.shape, x.dtype)
            for name, x in registry.input_shapes(self.config).items()
        }
        model = models.build(self.config)
        return jax.device_get(model.init(rng.key(0, "init"), inputs, train=False)["params"])

"""The work that all are given: a network's shape, its first weights, and batches."""

import dataclasses
import functools

import jax
import numpy as np

from configs import base
from mmer_jax import models
from mmer_jax.config import resolve
from mmer_jax.models import registry

BATCHES = 4  # go round


@dataclasses.dataclass(frozen=True)
class Work:
    """A row of configs/base.py on images of noise.

    Attributes:
      row: its name.
      size: pixels of an image's side.
      batch: examples of a batch.
      dropout: whether the network drops out; off, all peers compute the same numbers.
      dtype: of the arithmetic, float32 or bfloat16; parameters are float32.
      reverse: whether the examples of each batch come the other way round: the same numbers, summed
        in another order.
    """

    row: str
    size: int
    batch: int
    dropout: bool = True
    dtype: str = "float32"
    reverse: bool = False

    @functools.cached_property
    def config(self):
        """The row's config."""
        fields = {"data.size": self.size, "batch_size": self.batch, "compute_dtype": self.dtype}
        if not self.dropout:
            fields |= {"model.dropout_features": 0.0, "model.dropout_output": 0.0}
        return resolve.resolve_row(base.get_config(), self.row, fields)

    @functools.cached_property
    def model(self):
        """Ours."""
        return models.build(self.config)

    def images(self) -> dict[str, np.ndarray]:
        """For each modality uint8 [BATCHES * batch, size, size, channels]."""
        rng = np.random.default_rng(0)
        shapes = registry.input_shapes(self.config, BATCHES * self.batch)
        drawn = {name: rng.integers(0, 256, x.shape, np.uint8) for name, x in shapes.items()}
        return {name: x[self._order()] for name, x in drawn.items()}

    def labels(self) -> np.ndarray:
        """int32 [BATCHES * batch]."""
        return (self._order() % len(self.config.data.emotions)).astype(np.int32)

    def _order(self) -> np.ndarray:
        numbers = np.arange(BATCHES * self.batch).reshape(BATCHES, self.batch)
        return (numbers[:, ::-1] if self.reverse else numbers).ravel()

    def params(self) -> dict:
        """Our network's first parameters for seed 0, as every run of ours has them."""
        zeros = {
            name: np.zeros(x.shape, x.dtype)
            for name, x in registry.input_shapes(self.config).items()
        }
        key = jax.random.fold_in(jax.random.key(0), 0)
        return jax.device_get(self.model.init(key, zeros, train=False)["params"])

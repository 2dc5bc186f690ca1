"""A trained network applied to examples: the one place where probabilities come from."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh

from mmer_jax import modalities, models
from mmer_jax.datasets.storage import ImageArray
from mmer_jax.models import tower
from mmer_jax.training import input_pipeline, loop, normalization, sharding
from mmer_jax.training.normalization import NO_NORMALIZATION, Normalization


class Predictor:
    """Applies the network of a config to images of examples.

    Used for evaluation in training, robustness tests, frame selection and the commands.

    Args:
      config: Config of one row.
      devices: The devices to use; all of this process by default.
    """

    def __init__(
        self, config: ml_collections.ConfigDict, devices: Sequence[jax.Device] | None = None
    ):
        self._config = config
        self._model = models.build(config)
        self._names = [m.name for m in modalities.get(config.modalities)]
        self._mesh = sharding.make_mesh(devices)

    def probabilities(
        self,
        params: Any,
        arrays: Mapping[str, ImageArray],
        indices: Mapping[str, np.ndarray],
        norm: Normalization = NO_NORMALIZATION,
        absent: Sequence[str] = (),
    ) -> np.ndarray:
        """Computes class probabilities.

        Args:
          params: Parameters of the network.
          arrays: Modality -> images of a pack, uint8 [images, size, size, channels], in memory or
            on disk.
          indices: Modality -> int [n], the index of each example's image in `arrays`.
          norm: Normalization of the inputs. Its `groups` tell which mean and standard deviation
            apply to each image of `arrays`.
          absent: Modalities whose inputs are set to zero, as `augment.modality_dropout` does in
            training. `arrays` and `indices` must have them nevertheless.

        Returns:
          float32 [n, classes].

        Raises:
          TrainingDivergedError: A probability is not finite.
        """
        outputs = self._apply(params, arrays, indices, norm, tuple(absent), jax.nn.softmax)
        if not np.isfinite(outputs).all():
            raise loop.diverged_error("a network's output", "when it was evaluated", self._config)
        return outputs

    def logits(
        self,
        params: Any,
        arrays: Mapping[str, ImageArray],
        indices: Mapping[str, np.ndarray],
        norm: Normalization = NO_NORMALIZATION,
        absent: Sequence[str] = (),
    ) -> np.ndarray:
        """Computes logits, float32 [n, classes]; the arguments are those of `probabilities`."""
        return self._apply(params, arrays, indices, norm, tuple(absent), None)

    def _apply(self, params, arrays, indices, norm, absent, activation) -> np.ndarray:
        indices = {name: np.asarray(indices[name]) for name in self._names}
        n = len(indices[self._names[0]])
        if n == 0:
            return np.zeros((0, self._model.classes), np.float32)
        forward = _compile_forward(self._model, self._mesh, absent, activation)
        replicated = sharding.replicated(self._mesh)
        params, stats = jax.device_put((params, dict(norm.stats)), replicated)
        # Every batch has the same size, so that one program serves all.
        size = sharding.padded_size(min(self._config.run.predict_batch, n), self._mesh)
        pipeline = input_pipeline.InputPipeline(arrays, norm.groups, self._mesh)
        batches = pipeline.batches(indices, np.zeros(n, np.int32), np.arange(n), size)
        outputs = [np.asarray(forward(params, batch, stats)) for batch in batches]
        return np.concatenate(outputs)[:n]


@functools.lru_cache(32)
def _compile_forward(
    model: nn.Module, mesh: Mesh, absent: tuple[str, ...], activation: Callable | None
) -> Callable[..., jax.Array]:
    """Returns the jitted network without dropout: (params, batch, norm_stats) -> float32 [b, c]."""

    def forward(params, batch, norm_stats):
        inputs = normalization.normalize_inputs(batch, norm_stats)
        for name in absent:
            inputs[name] = jnp.zeros_like(tower.to_unit_range(inputs[name]))
        output: Any = model.apply({"params": params}, inputs, train=False)
        logits = output.astype(jnp.float32)
        return activation(logits) if activation else logits

    return jax.jit(
        forward,
        out_shardings=sharding.replicated(mesh),
        compiler_options=sharding.compiler_options(mesh),
    )

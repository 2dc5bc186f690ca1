"""Figures 6 and 8 as one module: towers side by side, concatenated, then dense layers."""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmer_jax import errors
from mmer_jax.models import registry, tower


@registry.register("concatenation")
class ConcatenationNetwork(nn.Module):
    """Intermediate fusion by concatenation: one tower per modality, then dense layers.

    With one modality this is figure 6, with two or three figure 8. The two figures differ in the
    dropout rate before flattening and in the hidden layers, which are fields.

    Attributes:
      modalities: Names of the inputs, in the order in which their features are concatenated.
      classes: Number of emotions.
      filters: Number of filters of each block of a tower.
      hidden: Widths of the dense layers before the output.
      dropout_features: Dropout rate on each tower's last feature map.
      dropout_output: Dropout rate before the output layer.
      pooling: How a feature map becomes a vector, one of tower.POOLINGS; the paper flattens it, in
        NHWC order.
      normalization: Normalization of the towers' layers, one of tower.NORMALIZATIONS; none in the
        paper.
      patch: Side of the patches that a tower reads as one position; 1 in the paper.
    """

    modalities: Sequence[str]
    classes: int
    filters: Sequence[int] = tower.FILTERS
    hidden: Sequence[int] = (2048, 1024)
    dropout_features: float = 0.5
    dropout_output: float = 0.4
    pooling: str = "flatten"
    normalization: str = ""
    patch: int = 1

    def validate(self, size: int) -> None:
        """Checks the fields for images of `size` pixels; raises UserError."""
        if self.pooling not in tower.POOLINGS:
            raise errors.unknown("pooling", self.pooling, tower.POOLINGS)
        if self.normalization not in tower.NORMALIZATIONS:
            known = [name for name in tower.NORMALIZATIONS if name]
            raise errors.unknown("layer normalization", self.normalization, known)
        if self.patch < 1 or size % self.patch:
            raise errors.UserError(
                f"config.model.patch is {self.patch}; config.data.size, {size}, must be a "
                "multiple of it"
            )

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, train: bool) -> jax.Array:
        """Classifies a batch.

        Args:
          inputs: For each modality uint8 [b, s, s, c], or normalized float32.
          train: Whether dropout is active; it then needs a random stream named "dropout".

        Returns:
          Logits, float32 [b, classes].
        """
        features = []
        for name in self.modalities:
            x = tower.to_unit_range(inputs[name])
            x = tower.Tower(self.filters, self.normalization, self.patch, name=name)(x)
            x = nn.Dropout(self.dropout_features, deterministic=not train)(x)
            features.append(tower.POOLINGS[self.pooling](x))
        x = jnp.concatenate(features, axis=-1)
        init = nn.initializers.glorot_uniform()
        for i, width in enumerate(self.hidden):
            x = nn.relu(nn.Dense(width, kernel_init=init, name=f"dense{i + 1}")(x))
        x = nn.Dropout(self.dropout_output, deterministic=not train)(x)
        return nn.Dense(self.classes, kernel_init=init, name="output")(x)

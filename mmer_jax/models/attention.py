"""Intermediate fusion by cross-modal attention over the towers' feature maps.

Modeled on the cross-modal blocks of Tsai et al. (2019), arXiv:1906.00295: each position of one
modality's last feature map attends to all positions of all other modalities.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmer_jax import errors
from mmer_jax.models import registry, tower


@registry.register("attention")
class AttentionNetwork(nn.Module):
    """Towers, cross-modal attention, the mean over positions, dense layers.

    Each position becomes a vector of length `width`: a projection of its features plus a learned
    vector of its modality. Its place is not encoded, so the result does not depend on the order of
    the positions.

    Attributes:
      modalities: Names of the inputs, two or more.
      classes: Number of emotions.
      filters: Number of filters of each block of a tower.
      hidden: Widths of the dense layers before the output.
      dropout_features: Dropout rate on each tower's last feature map.
      dropout_output: Dropout rate before the output layer.
      width: Length of the vector of a position; a multiple of `heads`.
      heads: Number of attention heads.
    """

    modalities: Sequence[str]
    classes: int
    filters: Sequence[int] = tower.FILTERS
    hidden: Sequence[int] = (2048, 1024)
    dropout_features: float = 0.5
    dropout_output: float = 0.4
    width: int = 256
    heads: int = 4

    def validate(self, size: int) -> None:
        """Checks the fields; raises UserError."""
        del size
        tower.check_several("attention", self.modalities)
        if self.width % self.heads:
            raise errors.UserError(
                f"config.model.width {self.width} is not a multiple of config.model.heads "
                f"{self.heads}"
            )

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, train: bool) -> jax.Array:
        """Classifies a batch.

        Maps uint8 or normalized float [b, s, s, c] per modality to logits, float32 [b, classes], or
        bfloat16 if parameters and inputs are.
        """
        maps = {}
        for name in self.modalities:
            x = tower.Tower(self.filters, name=name)(tower.to_unit_range(inputs[name]))
            x = nn.Dropout(self.dropout_features, deterministic=not train)(x)
            maps[name] = x.reshape(x.shape[0], -1, x.shape[-1])  # [b, positions, filters]
        x = CrossModalAttention(self.width, self.heads, name="attention")(maps)
        init = nn.initializers.glorot_uniform()
        for i, width in enumerate(self.hidden):
            x = nn.relu(nn.Dense(width, kernel_init=init, name=f"dense{i + 1}")(x))
        x = nn.Dropout(self.dropout_output, deterministic=not train)(x)
        return nn.Dense(self.classes, kernel_init=init, name="output")(x)


class CrossModalAttention(nn.Module):
    """Attention of each modality's positions to all positions of the other modalities.

    Attributes:
      width: Width of the vectors.
      heads: Number of attention heads.
    """

    width: int
    heads: int

    @nn.compact
    def __call__(self, maps: Mapping[str, jax.Array]) -> jax.Array:
        """Maps float [b, positions, filters] per modality to float [b, width x modalities]."""
        init = nn.initializers.glorot_uniform()
        tokens = {}
        for name, x in maps.items():
            modality = self.param(f"modality_{name}", nn.initializers.normal(0.02), (self.width,))
            tokens[name] = (
                nn.Dense(self.width, kernel_init=init, name=f"project_{name}")(x) + modality
            )
        means = []
        for name, x in tokens.items():
            others = jnp.concatenate([o for n, o in tokens.items() if n != name], axis=1)
            # Do not rename these layers: initialization derives random keys from their names.
            attended = nn.MultiHeadDotProductAttention(self.heads, name=f"ask_{name}")(
                nn.LayerNorm(name=f"norm_{name}")(x), nn.LayerNorm(name=f"others_{name}")(others)
            )
            means.append((x + attended).mean(axis=1))
        return jnp.concatenate(means, axis=-1)

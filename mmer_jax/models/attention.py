"""Joint fusion by cross-modal attention over the towers' feature maps.

After the cross-modal blocks of Tsai et al. (2019), arXiv:1906.00295: each place in one modality's
last feature map asks the places of the others.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmer_jax.models import tower


class AttentionNetwork(nn.Module):
    """Towers, cross-modal attention, the mean over places, dense layers.

    A place knows its modality by a learned vector, and nothing of where it is: the mean over places
    does not depend on their order.

    Attributes:
      modalities: names of the inputs, two or more.
      classes: the number of emotions.
      filters: filters of each tower's blocks.
      width: of the places' vectors; a multiple of `heads`.
      heads: of the attention.
      hidden: widths of the dense layers before the output.
      dropout_features: rate on each tower's last feature map.
      dropout_output: rate before the output layer.
    """

    modalities: Sequence[str]
    classes: int
    filters: Sequence[int]
    width: int
    heads: int
    hidden: Sequence[int]
    dropout_features: float
    dropout_output: float

    @nn.compact
    def __call__(self, images: Mapping[str, jax.Array], *, train: bool) -> jax.Array:
        """uint8 [b, s, s, c] for each modality -> logits, float32 [b, classes]."""
        maps = {}
        for name in self.modalities:
            x = tower.Tower(self.filters, name=name)(tower.to_unit_range(images[name]))
            x = nn.Dropout(self.dropout_features, deterministic=not train)(x)
            maps[name] = x.reshape(x.shape[0], -1, x.shape[-1])  # [b, places, filters]
        x = CrossModalAttention(self.width, self.heads, name="attention")(maps)
        init = nn.initializers.glorot_uniform()
        for i, width in enumerate(self.hidden):
            x = nn.relu(nn.Dense(width, kernel_init=init, name=f"dense{i + 1}")(x))
        x = nn.Dropout(self.dropout_output, deterministic=not train)(x)
        return nn.Dense(self.classes, kernel_init=init, name="output")(x)


class CrossModalAttention(nn.Module):
    """Each modality's places attend to all places of the others.

    Attributes:
      width: of the vectors.
      heads: of the attention.
    """

    width: int
    heads: int

    @nn.compact
    def __call__(self, maps: Mapping[str, jax.Array]) -> jax.Array:
        """For each modality float [b, places, filters] -> float [b, width x modalities]."""
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
            heard = nn.MultiHeadDotProductAttention(self.heads, name=f"ask_{name}")(
                nn.LayerNorm(name=f"norm_{name}")(x), nn.LayerNorm(name=f"others_{name}")(others)
            )
            means.append((x + heard).mean(axis=1))
        return jnp.concatenate(means, axis=-1)

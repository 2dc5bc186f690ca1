"""Figure 6 and figure 8 as one module: towers side by side, joined, then dense layers."""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmer_jax.models import tower


class ConcatenationNetwork(nn.Module):
    """One tower a modality; their last feature maps are made vectors, joined, classified.

    With one modality this is figure 6, with two or three figure 8. They differ in the rate of the
    dropout before flattening and in the hidden layers, which are both fields.

    Attributes:
      modalities: names of the inputs, in the order in which they are joined.
      classes: the number of emotions.
      filters: filters of each tower's blocks.
      hidden: widths of the dense layers before the output.
      dropout_features: rate on each tower's last feature map.
      dropout_output: rate before the output layer.
      pooling: how a feature map becomes a vector, of tower.POOLINGS; the paper flattens it (NHWC order).
      normalization: of the towers' layers, of tower.NORMALISATIONS; the paper has none.
      patch: of the towers; 1 in the paper.
    """

    modalities: Sequence[str]
    classes: int
    filters: Sequence[int]
    hidden: Sequence[int]
    dropout_features: float
    dropout_output: float
    pooling: str = "flatten"
    normalization: str = ""
    patch: int = 1

    @nn.compact
    def __call__(self, images: Mapping[str, jax.Array], *, train: bool) -> jax.Array:
        """Classifies a batch.

        Args:
          images: for each modality uint8 [b, s, s, c].
          train: whether dropout is on; it then needs an rng named "dropout".

        Returns:
          logits, float32 [b, classes].
        """
        features = []
        for name in self.modalities:
            x = tower.to_unit_range(images[name])
            x = tower.Tower(self.filters, self.normalization, self.patch, name=name)(x)
            x = nn.Dropout(self.dropout_features, deterministic=not train)(x)
            features.append(tower.POOLINGS[self.pooling](x))
        x = jnp.concatenate(features, axis=-1)
        init = nn.initializers.glorot_uniform()
        for i, width in enumerate(self.hidden):
            x = nn.relu(nn.Dense(width, kernel_init=init, name=f"dense{i + 1}")(x))
        x = nn.Dropout(self.dropout_output, deterministic=not train)(x)
        return nn.Dense(self.classes, kernel_init=init, name="output")(x)

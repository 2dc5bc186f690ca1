"""Joint fusion by a gated sum: the network weighs its inputs, example by example.

After the gated multimodal unit of Arevalo et al. (2017), arXiv:1702.01992, with a softmax over the
modalities in place of one sigmoid, so that two or more are treated alike.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmer_jax.models import tower


class GatedSumNetwork(nn.Module):
    """Towers, a projection of each to one width, their sum by gates, dense layers.

    Attributes:
      modalities: names of the inputs.
      classes: the number of emotions.
      filters: filters of each tower's blocks.
      width: of the projections.
      hidden: widths of the dense layers between sum and output.
      dropout_features: rate on each tower's last feature map.
      dropout_output: rate before the output layer.
    """

    modalities: Sequence[str]
    classes: int
    filters: Sequence[int]
    width: int
    hidden: Sequence[int]
    dropout_features: float
    dropout_output: float

    @nn.compact
    def __call__(self, images: Mapping[str, jax.Array], *, train: bool) -> jax.Array:
        """uint8 [b, s, s, c] for each modality -> logits, float32 [b, classes]."""
        init = nn.initializers.glorot_uniform()
        features = []
        for name in self.modalities:
            x = tower.Tower(self.filters, name=name)(tower.to_unit_range(images[name]))
            x = nn.Dropout(self.dropout_features, deterministic=not train)(x)
            features.append(x.reshape(x.shape[0], -1))
        joined = jnp.concatenate(features, axis=-1)
        gates = nn.Dense(len(features), kernel_init=init, name="gates")(joined)
        gates = jax.nn.softmax(gates)  # [b, modalities]
        self.sow("intermediates", "shares", gates)
        projected = [
            nn.tanh(nn.Dense(self.width, kernel_init=init, name=f"project_{name}")(x))
            for name, x in zip(self.modalities, features, strict=True)
        ]
        x = jnp.einsum("bm,mbw->bw", gates, jnp.stack(projected))
        for i, width in enumerate(self.hidden):
            x = nn.relu(nn.Dense(width, kernel_init=init, name=f"dense{i + 1}")(x))
        x = nn.Dropout(self.dropout_output, deterministic=not train)(x)
        return nn.Dense(self.classes, kernel_init=init, name="output")(x)

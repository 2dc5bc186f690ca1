"""Intermediate fusion by a gated sum: the network weights its inputs example by example.

After the gated multimodal unit of Arevalo et al. (2017), arXiv:1702.01992, with a softmax over the
modalities in place of one sigmoid, so that two or more modalities are treated alike.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmer_jax.models import registry, tower


@registry.register("gated_sum")
class GatedSumNetwork(nn.Module):
    """Towers, a projection of each to one width, their sum weighted by gates, dense layers.

    Attributes:
      modalities: Names of the inputs, two or more.
      classes: Number of emotions.
      filters: Number of filters of each block of a tower.
      hidden: Widths of the dense layers between the sum and the output.
      dropout_features: Dropout rate on each tower's last feature map.
      dropout_output: Dropout rate before the output layer.
      width: Width of the projections.
    """

    modalities: Sequence[str]
    classes: int
    filters: Sequence[int] = tower.FILTERS
    hidden: Sequence[int] = (2048, 1024)
    dropout_features: float = 0.5
    dropout_output: float = 0.4
    width: int = 256

    def validate(self, size: int) -> None:
        """Checks that there are modalities to fuse; raises UserError."""
        del size
        tower.check_several("gated_sum", self.modalities)

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, train: bool) -> jax.Array:
        """Classifies a batch: uint8 [b, s, s, c] per modality -> logits, float32 [b, classes]."""
        init = nn.initializers.glorot_uniform()
        features = []
        for name in self.modalities:
            x = tower.Tower(self.filters, name=name)(tower.to_unit_range(inputs[name]))
            x = nn.Dropout(self.dropout_features, deterministic=not train)(x)
            features.append(x.reshape(x.shape[0], -1))
        concatenated = jnp.concatenate(features, axis=-1)
        gates = nn.Dense(len(features), kernel_init=init, name="gates")(concatenated)
        gates = jax.nn.softmax(gates)  # [b, modalities]
        self.sow("intermediates", "gate_weights", gates)
        projected = [
            nn.tanh(nn.Dense(self.width, kernel_init=init, name=f"project_{name}")(x))
            for name, x in zip(self.modalities, features, strict=True)
        ]
        x = jnp.einsum("bm,mbw->bw", gates, jnp.stack(projected))
        for i, width in enumerate(self.hidden):
            x = nn.relu(nn.Dense(width, kernel_init=init, name=f"dense{i + 1}")(x))
        x = nn.Dropout(self.dropout_output, deterministic=not train)(x)
        return nn.Dense(self.classes, kernel_init=init, name="output")(x)

"""Figure 5: VGG16, whose 20 minutes per epoch led the paper to its small network.

Simonyan and Zisserman (2015), configuration D, arXiv:1409.1556.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmer_jax.models import registry, tower

# Numbers of filters of the convolutions before each 2x2 max pooling.
GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
HIDDEN = (4096, 4096)
DROPOUT = 0.5


@registry.register("vgg16")
class VGG16(nn.Module):
    """Thirteen convolutions and three dense layers; several inputs are concatenated as in figure 8.

    Attributes:
      modalities: Names of the inputs, in the order in which their features are concatenated.
      classes: Number of emotions.
      groups: Numbers of filters of the convolutions before each 2x2 max pooling.
      hidden: Widths of the dense layers before the output.
    """

    modalities: Sequence[str]
    classes: int
    groups: Sequence[Sequence[int]] = GROUPS
    hidden: Sequence[int] = HIDDEN

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, train: bool) -> jax.Array:
        """Classifies a batch: uint8 [b, s, s, c] per modality -> logits, float32 [b, classes]."""
        features = []
        for name in self.modalities:
            x = tower.to_unit_range(inputs[name])
            x = tower.Tower(self.groups, name=name)(x)
            features.append(x.reshape(x.shape[0], -1))
        x = jnp.concatenate(features, axis=-1)
        init = nn.initializers.glorot_uniform()
        for i, width in enumerate(self.hidden):
            x = nn.relu(nn.Dense(width, kernel_init=init, name=f"dense{i + 1}")(x))
            x = nn.Dropout(DROPOUT, deterministic=not train)(x)
        return nn.Dense(self.classes, kernel_init=init, name="output")(x)

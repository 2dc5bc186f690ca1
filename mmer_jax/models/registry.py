"""Builds a model by name from a config."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from mmer_jax import errors, modalities
from mmer_jax.models import network


def _concatenation(config: ml_collections.ConfigDict) -> nn.Module:
    return network.ConcatenationNetwork(
        modalities=tuple(m.name for m in modalities.get(config.modalities)),
        classes=len(config.data.emotions),
        filters=tuple(config.model.filters),
        hidden=tuple(config.model.hidden),
        dropout_features=config.model.dropout_features,
        dropout_output=config.model.dropout_output,
    )


# Name -> builder. A new architecture is one new module and one entry here.
MODELS = {"concatenation": _concatenation}


def build(config: ml_collections.ConfigDict) -> nn.Module:
    """The model that a config (of one row) names.

    Raises:
      UserError: an unknown model or modality.
    """
    if config.model.name not in MODELS:
        raise errors.unknown("model", config.model.name, MODELS)
    return MODELS[config.model.name](config)


def batch_shapes(
    config: ml_collections.ConfigDict, batch: int = 1
) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes of a batch of the config's inputs: uint8 [batch, size, size, channels]."""
    size = config.data.size
    return {
        m.name: jax.ShapeDtypeStruct((batch, size, size, m.channels), jnp.uint8)
        for m in modalities.get(config.modalities)
    }


def count_parameters(params) -> int:
    """The number of parameters in a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))

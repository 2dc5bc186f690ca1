"""Builds a model by name from a config."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from mmer_jax import errors, modalities
from mmer_jax.models import attention, concatenation, gated_sum, tower, vgg16


def _ends(config: ml_collections.ConfigDict) -> dict:
    """What every network is told: its inputs and its outputs."""
    names = tuple(m.name for m in modalities.get(config.modalities))
    return {"modalities": names, "classes": len(config.data.emotions)}


def _small(config: ml_collections.ConfigDict) -> dict:
    """What the networks made of figure 6's towers have in common."""
    return _ends(config) | {
        "filters": tuple(config.model.filters),
        "hidden": tuple(config.model.hidden),
        "dropout_features": config.model.dropout_features,
        "dropout_output": config.model.dropout_output,
    }


def _concatenation(config: ml_collections.ConfigDict) -> nn.Module:
    pooling, normalization = config.model.pooling, config.model.normalization
    if pooling not in tower.POOLINGS:
        raise errors.unknown("pooling", pooling, tower.POOLINGS)
    if normalization not in tower.NORMALISATIONS:
        known = [name for name in tower.NORMALISATIONS if name]
        raise errors.unknown("layer normalization", normalization, known)
    patch = config.model.patch
    if patch < 1 or config.data.size % patch:
        raise errors.UserError(
            f"config.model.patch is {patch}; config.data.size, {config.data.size}, must be a "
            "multiple of it"
        )
    return concatenation.ConcatenationNetwork(
        **_small(config), pooling=pooling, normalization=normalization, patch=patch
    )


def _joint(config: ml_collections.ConfigDict) -> dict:
    if len(config.modalities) < 2:
        raise errors.UserError(
            f"the model {config.model.name} joins two modalities or more, found only "
            f"{', '.join(config.modalities)}"
        )
    return _small(config) | {"width": config.model.width}


def _attention(config: ml_collections.ConfigDict) -> nn.Module:
    if config.model.width % config.model.heads:
        raise errors.UserError(
            f"config.model.width {config.model.width} is not a multiple of config.model.heads "
            f"{config.model.heads}"
        )
    return attention.AttentionNetwork(**_joint(config), heads=config.model.heads)


# Name -> builder. A new architecture is one new module and one entry here.
MODELS = {
    "concatenation": _concatenation,
    "gated_sum": lambda config: gated_sum.GatedSumNetwork(**_joint(config)),
    "attention": _attention,
    "vgg16": lambda config: vgg16.VGG16(**_ends(config)),
}


def build(config: ml_collections.ConfigDict) -> nn.Module:
    """The model that a config (of one row) names.

    Raises:
      UserError: an unknown model or modality, or values that do not fit together.
    """
    if config.model.name not in MODELS:
        raise errors.unknown("model", config.model.name, MODELS)
    paper = {"pooling": "flatten", "normalization": "", "patch": 1}
    changed = [field for field, value in paper.items() if config.model[field] != value]
    if changed and config.model.name != "concatenation":
        raise errors.UserError(
            f"config.model.{changed[0]} is for the model concatenation, not for {config.model.name}"
        )
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

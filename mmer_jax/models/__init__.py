"""Towers, fusion, and the registry that builds a model from a config."""

from mmer_jax.models import attention, concatenation, gated_sum, vgg16
from mmer_jax.models.registry import MODELS, build, count_parameters, register

__all__ = [
    "MODELS",
    "attention",
    "build",
    "concatenation",
    "count_parameters",
    "gated_sum",
    "register",
    "vgg16",
]

"""Towers, fusion, and the registry that builds a model from a config."""

from mmer_jax.models.registry import MODELS, build, count_parameters

__all__ = ["MODELS", "build", "count_parameters"]

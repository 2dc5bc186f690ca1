"""Rendered talking heads in the data sets' own layouts: the embedded default."""

from mmer_jax.synthetic.ravdess import render_ravdess

__all__ = ["render_ravdess"]

"""Rendered talking heads in the data sets' own layouts: the embedded default."""

from mmer_jax.synthetic.ravdess import render_ravdess

__all__ = ["RENDERERS", "render_ravdess"]


def _ravdess(folder, *, intensities, **fields):
    return render_ravdess(folder, intensities=intensities or ("normal", "strong"), **fields)


# Data set, as configs call it -> its renderer: (folder, *, emotions, intensities, workers,
# progress, and the fields of config.data.rendered).
RENDERERS = {"ravdess": _ravdess}

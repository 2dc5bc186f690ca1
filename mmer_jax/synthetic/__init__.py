"""Synthetic talking-head clips in the layouts of the datasets.

The clips are the default input if no recordings are available.
"""

import functools

from mmer_jax.synthetic.baum1 import render_baum1
from mmer_jax.synthetic.ravdess import render_ravdess

__all__ = ["RENDERERS", "render_baum1", "render_ravdess"]


def _ravdess(folder, *, intensities, **fields):
    return render_ravdess(folder, intensities=intensities or ("normal", "strong"), **fields)


def _baum1(folder, *, intensities, actors=8, subset, **fields):
    del intensities  # each set has one intensity
    return render_baum1(folder, subset, subjects=actors, **fields)


# Name of a dataset in configs -> function that renders clips: (folder, *, emotions, intensities,
# workers, progress, and the fields of config.data.rendered) -> paths of the clips.
RENDERERS = {
    "ravdess": _ravdess,
    "baum1_acted": functools.partial(_baum1, subset="acted"),
    "baum1_spontaneous": functools.partial(_baum1, subset="spontaneous"),
}

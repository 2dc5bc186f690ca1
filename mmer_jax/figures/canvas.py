"""Paper to draw on, and where drawings go.

Matplotlib's figures without its pyplot, which keeps every figure of a process and looks for a
screen.
"""

import os
from pathlib import Path

import numpy as np

from mmer_jax import errors

ENDINGS = (".png", ".svg")
# Lightness rises evenly along both, so that they read in gray print and with any color vision.
IMAGE_COLOURS, COUNT_COLOURS = "magma", "cividis"
_FILE_STYLE = {
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "mmer-jax",  # the same drawing is the same file
    "savefig.dpi": 150,
}


def figure(width: float, height: float):
    """An empty matplotlib Figure of that size in inches, whose panels do not overlap.

    Raises:
      UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as e:
        raise errors.UserError("figures need matplotlib: install mmer-jax[data]") from e
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def show(axes, image: np.ndarray, title: str) -> None:
    """Puts an image into a panel, without axes.

    Args:
      axes: of matplotlib.
      image: uint8 [h, w, 3], RGB.
      title: above it.
    """
    axes.imshow(image)
    axes.set_title(title, fontsize="small")
    axes.set_xticks([])
    axes.set_yticks([])


def path_for(out: Path, name: str, of: int = 1) -> Path:
    """Where a figure goes.

    Args:
      out: a file, if its ending is one of ENDINGS; else a folder.
      name: of the file in a folder, without an ending.
      of: how many figures there are.

    Raises:
      UserError: several figures for one file.
    """
    if out.suffix.lower() not in ENDINGS:
        return out / f"{name}.png"
    if of > 1:
        raise errors.UserError(f"{of} figures do not fit into {out}: name a folder instead")
    return out


def save(made, path: str | os.PathLike) -> Path:
    """Writes a Figure; its kind is told by the path's ending. Folders are made.

    Raises:
      UserError: another ending than ENDINGS, or the file cannot be written.
    """
    import matplotlib

    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise errors.unknown("kind of image", path.suffix, ENDINGS)
    # What a viewer does not see must not differ between two runs: no date, no version.
    metadata = {"Date": None, "Creator": None} if path.suffix.lower() == ".svg" else {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context(_FILE_STYLE):
            made.savefig(path, metadata=metadata or {"Software": None})
    except OSError as e:
        raise errors.UserError(f"cannot write {path}: {e.strerror or e}") from e
    return path

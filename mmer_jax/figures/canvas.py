"""Matplotlib figures, and the files that they are saved to.

This module uses Matplotlib without pyplot, which keeps every figure of a process in memory and may
look for a display.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmer_jax import errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg")
# Perceptually uniform colormaps, which can be read in gray print and with any color vision.
IMAGE_COLORMAP, COUNT_COLORMAP = "magma", "cividis"
_FILE_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "mmer-jax",  # the same figure gives the same bytes
    "savefig.dpi": 150,
}


def make_figure(width: float, height: float) -> "Figure":
    """Makes an empty Matplotlib figure with a layout in which panels do not overlap.

    Args:
      width: Width in inches.
      height: Height in inches.

    Raises:
      UserError: Matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as e:
        raise errors.UserError("figures need matplotlib: install mmer-jax[data]") from e
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def show_image(axes: "Axes", image: np.ndarray, title: str) -> None:
    """Shows an image in a panel, without ticks.

    Args:
      axes: The panel.
      image: uint8 [h, w, 3], RGB.
      title: Title above the image.
    """
    axes.imshow(image)
    axes.set_title(title, fontsize="small")
    axes.set_xticks([])
    axes.set_yticks([])


def choose_path(out: Path, name: str, count: int = 1) -> Path:
    """Chooses the path of the file that a figure is saved to.

    Args:
      out: Path of the file if the suffix of `out` is in ENDINGS; otherwise path of a folder.
      name: Name of the file, without a suffix, if `out` is a folder.
      count: Number of figures that are saved with the same `out`.

    Returns:
      `out`, or a .png file in it.

    Raises:
      UserError: `out` is a file, and `count` is above 1.
    """
    if out.suffix.lower() not in ENDINGS:
        return out / f"{name}.png"
    if count > 1:
        raise errors.UserError(f"cannot save {count} figures to the file {out}: name a folder")
    return out


def save(figure: "Figure", path: str | os.PathLike) -> Path:
    """Saves a figure in the format given by the suffix of its path.

    Args:
      figure: The figure.
      path: Path of the file; its folder is created if it does not exist.

    Returns:
      `path`.

    Raises:
      UserError: The suffix of `path` is not in ENDINGS, or the file cannot be written.
    """
    import matplotlib

    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise errors.unknown("image format", path.suffix, ENDINGS)
    # No date and no version, so that two runs give the same bytes.
    metadata = {"Date": None, "Creator": None} if path.suffix.lower() == ".svg" else {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context(_FILE_STYLE):
            figure.savefig(path, metadata=metadata or {"Software": None})
    except OSError as e:
        raise errors.UserError(f"cannot write {path}: {e.strerror or e}") from e
    return path

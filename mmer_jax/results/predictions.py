"""Predictions of a cell for its test and validation examples, in WORKDIR/predictions/<cell>.npz.

Arrays of the file:

- `emotions`: str [classes], the class names in the order of the probabilities' columns.
- `<subset>/clip` (str [n]), `<subset>/view` (int32 [n]) and `<subset>/label` (int32 [n]) for each
  measured subset, "test" or "validation". They are stored once, since the examples of a subset are
  the same at every epoch.
- `<subset>/probabilities/<epoch>`: float32 [n, classes], for each measured epoch.

Equal arrays give equal bytes, whichever epoch was saved first, so that the file of a resumed run
can be compared with that of an uninterrupted one.
"""

import dataclasses
import glob
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmer_jax import errors
from mmer_jax.utils import files

SUBSETS = ("test", "validation")


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for the examples of one subset after a given number of training epochs.

    Attributes:
      clip: str [n], name of each example's clip.
      view: int32 [n], number of each example within its clip.
      label: int32 [n], index of each example's true class.
      probabilities: float32 [n, classes], softmax output of the network, or the
        combined probabilities of a late fusion.
    """

    clip: np.ndarray
    view: np.ndarray
    label: np.ndarray
    probabilities: np.ndarray

    def __post_init__(self):
        dtypes = {"clip": np.str_, "view": np.int32, "label": np.int32, "probabilities": np.float32}
        for name, dtype in dtypes.items():
            # A fixed dtype and C order, because equal arrays must be written as equal bytes.
            value: np.ndarray = np.ascontiguousarray(np.asarray(getattr(self, name), dtype))
            object.__setattr__(self, name, value)
        n = self.clip.shape
        if self.probabilities.ndim != 2 or len(n) != 1:
            raise ValueError(
                f"expected clip [n] and probabilities [n, classes], found shapes {n} and "
                f"{self.probabilities.shape}"
            )
        if {self.view.shape, self.label.shape, self.probabilities.shape[:1]} != {n}:
            raise ValueError("clip, view, label and probabilities differ in length")

    def __len__(self) -> int:
        return len(self.clip)


@dataclasses.dataclass(frozen=True, eq=False)
class CellPredictions:
    """Predictions of one cell.

    Attributes:
      emotions: Class names, in the order of the probabilities' columns.
      examples: (number of epochs trained, name of a subset) -> predictions.
    """

    emotions: tuple[str, ...]
    examples: dict[tuple[int, str], Predictions]

    @property
    def epochs(self) -> tuple[int, ...]:
        """The numbers of epochs after which the cell was measured, in ascending order."""
        return tuple(sorted({epoch for epoch, _ in self.examples}))


def save(
    path: str | os.PathLike, epoch: int, subsets: Mapping[str, Predictions], emotions: Sequence[str]
) -> None:
    """Adds the predictions of one epoch to a cell's file.

    The file is replaced atomically. Predictions of other epochs are kept; predictions of the same
    epoch and subset are overwritten.

    Args:
      path: Path of the cell's file, which is created with its folder if it does not exist.
      epoch: Number of epochs trained.
      subsets: Name of a subset, one of SUBSETS -> its predictions.
      emotions: Class names, in the order of the probabilities' columns.

    Raises:
      ValueError: A name in `subsets` is not in SUBSETS, the probabilities do not have one column
        for each of `emotions`, or emotions or examples differ from those in the file.
      UserError: The existing file cannot be read.
    """
    path, emotions = Path(path), tuple(emotions)
    by_epoch = {}
    if path.exists():
        stored = load(path)
        if stored.emotions != emotions:
            raise ValueError(f"{path} holds predictions of {stored.emotions}, not of {emotions}")
        by_epoch = dict(stored.examples)
    for subset, new in subsets.items():
        if subset not in SUBSETS:
            raise ValueError(f"unknown subset {subset!r}; known: {SUBSETS}")
        if new.probabilities.shape[1] != len(emotions):
            raise ValueError(f"{new.probabilities.shape[1]} columns for {len(emotions)} emotions")
        for (_, other), old in by_epoch.items():
            if other == subset and not all(
                np.array_equal(getattr(old, name), getattr(new, name))
                for name in ("clip", "view", "label")
            ):
                raise ValueError(f"{path} holds predictions of other {subset} examples")
        by_epoch[epoch, subset] = new

    arrays: dict[str, Any] = {"emotions": np.asarray(emotions, np.str_)}
    for (measured_epoch, subset), examples in sorted(by_epoch.items()):
        for name in ("clip", "view", "label"):
            arrays[f"{subset}/{name}"] = getattr(examples, name)
        arrays[f"{subset}/probabilities/{measured_epoch}"] = examples.probabilities
    with files.atomic_write(path, "wb") as file:
        # NumPy dates every member 1980 (a test checks it), so the bytes do not depend on the clock.
        np.savez(file, **{name: arrays[name] for name in sorted(arrays)})
    # A process that was killed while it wrote the file left a temporary one. One process at a time
    # writes a cell's file.
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        leftover.unlink(missing_ok=True)


def load(path: str | os.PathLike) -> CellPredictions:
    """Reads the predictions of a cell.

    Args:
      path: Path of the cell's file, which `save` has written.

    Raises:
      UserError: The file does not exist or is not a file of predictions.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        emotions = tuple(arrays["emotions"].tolist())
        examples = {}
        for name, probabilities in arrays.items():
            subset, *rest = name.split("/")
            if rest[:1] == ["probabilities"]:
                clip, view, label = (
                    arrays[f"{subset}/{field}"] for field in ("clip", "view", "label")
                )
                examples[int(rest[1]), subset] = Predictions(clip, view, label, probabilities)
    except FileNotFoundError as error:
        raise errors.UserError(
            f"no predictions at {path}: run the cell first (run.py writes them)"
        ) from error
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise errors.UserError(
            f"{path} is not a file of predictions ({error}): remove it and run the cell again"
        ) from error
    return CellPredictions(emotions, examples)

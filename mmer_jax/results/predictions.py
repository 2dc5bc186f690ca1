"""Predictions: WORKDIR/predictions/<cell>.npz, what a network said of every measured example.

Members of the file: `emotions` (str [classes], the order of the columns), and for each part of the
split that was measured ("test", "validation") `<part>/clip` (str [n]), `<part>/view` (int32 [n]),
`<part>/label` (int32 [n]) and, for each measured epoch, `<part>/probabilities/<epoch>` (float32
[n, classes]). The examples of a part are the same at every epoch, so they stand there once.

The same arrays give the same bytes, whichever epoch was saved first: a resumed run's file can be
compared with that of a run never stopped.
"""

import dataclasses
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmer_jax import errors
from mmer_jax.results import records

PARTS = ("test", "validation")


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """One part's predictions after one number of epochs.

    Attributes:
      clip: str [n], the clip's name.
      view: int32 [n], which of the clip's examples.
      label: int32 [n], the true class.
      probabilities: float32 [n, classes], the network's softmax output.
    """

    clip: np.ndarray
    view: np.ndarray
    label: np.ndarray
    probabilities: np.ndarray

    def __post_init__(self):
        dtypes = {"clip": np.str_, "view": np.int32, "label": np.int32, "probabilities": np.float32}
        for name, dtype in dtypes.items():
            # In C order and of a fixed type, or equal arrays could be written as different bytes.
            value: np.ndarray = np.ascontiguousarray(np.asarray(getattr(self, name), dtype))
            object.__setattr__(self, name, value)
        n = self.clip.shape
        if self.probabilities.ndim != 2 or len(n) != 1:
            raise ValueError(
                f"expected clip [n] and probabilities [n, classes], found {n} and "
                f"{self.probabilities.shape}"
            )
        if {self.view.shape, self.label.shape, self.probabilities.shape[:1]} != {n}:
            raise ValueError("clip, view, label and probabilities differ in length")

    def __len__(self) -> int:
        return len(self.clip)


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """A cell's predictions.

    Attributes:
      emotions: the classes' names, in the order of the probabilities' columns.
      examples: by (epoch, part).
    """

    emotions: tuple[str, ...]
    examples: dict[tuple[int, str], Examples]

    @property
    def epochs(self) -> tuple[int, ...]:
        """The measured epochs, ascending."""
        return tuple(sorted({epoch for epoch, _ in self.examples}))


def save(
    path: str | os.PathLike, epoch: int, parts: Mapping[str, Examples], emotions: Sequence[str]
) -> None:
    """Puts one epoch's predictions into the cell's file, beside those of other epochs.

    The file is replaced in one step: a reader, or a process killed at any moment, finds either the
    old one or the new one. Predictions of the same epoch are replaced.

    Args:
      path: the cell's file, made with its folder if it isn't there.
      epoch: the number of epochs trained.
      parts: by name, one or both of PARTS.
      emotions: the classes' names in the order of the columns.

    Raises:
      ValueError: if the emotions or a part's examples aren't those already in the file.
      UserError: if the file that is there cannot be read.
    """
    path, emotions = Path(path), tuple(emotions)
    examples = {}
    if path.exists():
        before = load(path)
        if before.emotions != emotions:
            raise ValueError(f"{path} is about {before.emotions}, not {emotions}")
        examples = dict(before.examples)
    for part, new in parts.items():
        if part not in PARTS:
            raise ValueError(f"unknown part {part!r}; known: {PARTS}")
        if new.probabilities.shape[1] != len(emotions):
            raise ValueError(f"{new.probabilities.shape[1]} columns for {len(emotions)} emotions")
        for (_, other), old in examples.items():
            if other == part and not all(
                np.array_equal(getattr(old, name), getattr(new, name))
                for name in ("clip", "view", "label")
            ):
                raise ValueError(f"{path} holds predictions of other {part} examples")
        examples[epoch, part] = new

    arrays: dict[str, Any] = {"emotions": np.asarray(emotions, np.str_)}
    for (at, part), given in sorted(examples.items()):
        for name in ("clip", "view", "label"):
            arrays[f"{part}/{name}"] = getattr(given, name)
        arrays[f"{part}/probabilities/{at}"] = given.probabilities
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name for all tries: what a killed process left is overwritten by the next.
    unfinished = path.with_name(f".{path.name}.tmp")
    with open(unfinished, "wb") as file:
        # Numpy dates every member 1980 (a test watches it), so the bytes hold no clock.
        np.savez(file, **{name: arrays[name] for name in sorted(arrays)})
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    records.sync_folder(path.parent)


def load(path: str | os.PathLike) -> Predictions:
    """Reads a cell's file.

    Raises:
      UserError: if there is none, or it isn't one.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        emotions = tuple(arrays["emotions"].tolist())
        examples = {}
        for name, probabilities in arrays.items():
            part, *rest = name.split("/")
            if rest[:1] == ["probabilities"]:
                clip, view, label = (
                    arrays[f"{part}/{field}"] for field in ("clip", "view", "label")
                )
                examples[int(rest[1]), part] = Examples(clip, view, label, probabilities)
    except FileNotFoundError as error:
        raise errors.UserError(
            f"no predictions at {path}: run the cell first (run.py writes them)"
        ) from error
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise errors.UserError(
            f"{path} is not a file of predictions ({error}): remove it and run the cell again"
        ) from error
    return Predictions(emotions, examples)

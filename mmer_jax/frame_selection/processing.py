"""Selects recordings of a folder, and applies a function to each of them in parallel."""

import difflib
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from mmer_jax import errors
from mmer_jax.corpora import sets
from mmer_jax.corpora.recordings import Recording
from mmer_jax.datasets import clips
from mmer_jax.utils import parallel
from mmer_jax.utils.progress import Progress

Result = TypeVar("Result")


def select_recordings(
    dataset: str, folder: str | os.PathLike, names: Sequence[str] = ()
) -> tuple[Recording, ...]:
    """Selects the recordings that a build with the builder config `frames` reads.

    Args:
      dataset: Name of the dataset, a key of `sets.SETS`.
      folder: Folder of the recordings.
      names: Names of clips; all clips if empty.

    Returns:
      The recordings, sorted by name.

    Raises:
      UserError: A name in `names` is not the name of a clip in `folder`, or `folder` does not have
        the layout of the dataset.
    """
    choices = clips.KINDS["frames"].choices(clips.Options())
    by_name = {r.name: r for r in sets.get(dataset).select(folder, choices).recordings}
    for name in names:
        if name not in by_name:
            close = difflib.get_close_matches(name, by_name, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise errors.UserError(f"{folder} has no clip {name} of {dataset}{hint}")
    return tuple(by_name[name] for name in sorted(names or by_name))


def map_recordings(
    function: Callable[[Recording], Result],
    recordings: Sequence[Recording],
    description: str,
    workers: int | None = None,
) -> Iterator[Result]:
    """Yields function(recording) for each usable recording, and prints the skipped recordings.

    Args:
      function: Picklable function; a recording for which it raises ClipError is skipped.
      recordings: The recordings.
      description: Description of the work in the progress display, such as "picking frames".
      workers: Number of processes; None for one per core.

    Raises:
      UserError: No recording is usable.
    """
    skipped: dict[str, list[str]] = defaultdict(list)
    with Progress(len(recordings), description, "clips") as progress:
        for recording, outcome in zip(
            recordings,
            parallel.ordered_map(partial(_try, function), recordings, workers),
            strict=True,
        ):
            if isinstance(outcome, errors.ClipError):
                skipped[outcome.kind].append(f"{recording.name} ({outcome.detail})")
            else:
                yield outcome
            progress.update()
    lines = [f"  {kind}: {', '.join(names)}" for kind, names in sorted(skipped.items())]
    count = sum(map(len, skipped.values()))
    if count == len(recordings):
        raise errors.UserError("\n".join([f"none of {count} recordings is usable:", *lines]))
    if count:
        print("\n".join([f"skipped {count} of {len(recordings)}:", *lines]), file=sys.stderr)


def _try(
    function: Callable[[Recording], Result], recording: Recording
) -> Result | errors.ClipError:
    """Returns function(recording), or the ClipError that the function raises."""
    try:
        return function(recording)
    except errors.ClipError as error:
        return error

"""The recordings of a folder, and work on each: what the commands on recordings share."""

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


def select(
    dataset: str, folder: str | os.PathLike, names: Sequence[str] = ()
) -> tuple[Recording, ...]:
    """The recordings that a build of the builder config `frames` reads, sorted by name.

    Args:
      dataset: as sets.SETS calls it.
      folder: of the recordings.
      names: of clips, if not all are wanted.

    Raises:
      UserError: as the data set's `select`; or a clip that is not there.
    """
    choices = clips.KINDS["frames"].choices(clips.Options())
    found = {r.name: r for r in sets.get(dataset).select(folder, choices).recordings}
    for name in names:
        if name not in found:
            close = difflib.get_close_matches(name, found, 1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise errors.UserError(f"{folder} holds no clip {name} of {dataset}{meant}")
    return tuple(found[name] for name in sorted(names or found))


def each(
    work: Callable[[Recording], Result],
    recordings: Sequence[Recording],
    what: str,
    workers: int | None = None,
) -> Iterator[Result]:
    """Yields work(recording) for those that can be used; names the others at the end.

    Args:
      work: picklable; a ClipError of it leaves the recording out.
      recordings: what to work on.
      what: is being done, for people.
      workers: processes; None for one a core.

    Raises:
      UserError: no recording can be used.
    """
    skipped: dict[str, list[str]] = defaultdict(list)
    with Progress(len(recordings), what, "clips") as progress:
        for recording, outcome in zip(
            recordings,
            parallel.ordered_map(partial(_attempt, work), recordings, workers),
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
        raise errors.UserError("\n".join([f"none of {count} recordings can be used:", *lines]))
    if count:
        print("\n".join([f"left out {count} of {len(recordings)}:", *lines]), file=sys.stderr)


def _attempt(work: Callable[[Recording], Result], recording: Recording):
    try:
        return work(recording)
    except errors.ClipError as problem:
        return problem

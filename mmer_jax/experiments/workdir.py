"""A workdir belongs to one config and, while a run lasts, to one process."""

import contextlib
import fcntl
import json
import os
import pathlib
from collections.abc import Mapping

import ml_collections

from mmer_jax import errors
from mmer_jax.config import identity
from mmer_jax.results import records

NOTE = "config.json"


@contextlib.contextmanager
def lock_workdir(workdir: pathlib.Path):
    """Keeps a second process out of the workdir. A process that ends in any way frees it."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = open(workdir / ".lock", "w")  # noqa: SIM115
    except OSError as e:
        raise errors.UserError(f"{workdir} cannot be a workdir: {e.strerror}") from e
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise errors.UserError(
                f"another process is at work in {workdir}; wait for it, or choose another --workdir"
            ) from e
        yield


def check_workdir(
    workdir: pathlib.Path,
    config: ml_collections.ConfigDict,
    rows: Mapping[str, ml_collections.ConfigDict],
    data: Mapping[str, str],
) -> dict:
    """What WORKDIR/config.json shall say of its cells, if they and new ones fit together.

    Args:
      workdir: of the run; may not be there yet.
      config: as loaded, with the command line's overrides.
      rows: the rows about to run -> their resolved configs.
      data: digests of what they are trained from, by name; empty where it is not known yet.

    Raises:
      UserError: the workdir holds cells made with another config or other data; names the fields.
    """
    mine = {
        "config": identity.fields(config),
        "rows": {row: identity.fields(resolved) for row, resolved in rows.items()},
        "data": dict(data),
    }
    path = workdir / NOTE
    saved = ("checkpoints/*/[0-9]*", "checkpoints/*/rate*/[0-9]*", "checkpoints/*/rate*.json")
    traces = (records.FILE_NAME, "predictions/*", *saved)
    if not any(any(workdir.glob(trace)) for trace in traces):
        return mine
    if not path.exists():
        raise errors.UserError(
            f"{workdir} holds cells but no {NOTE} that says what they were made with; choose "
            "another --workdir"
        )
    theirs = json.loads(path.read_text())
    differ = identity.differences(mine["config"], theirs["config"])
    if not differ:  # or each row would tell the same once more
        for row in sorted(set(mine["rows"]) & set(theirs["rows"])):
            differ += identity.differences(mine["rows"][row], theirs["rows"][row], f"row {row}: ")
    for name in set(mine["data"]) & set(theirs["data"]):
        differ += identity.differences(
            {name: data[name]}, {name: theirs["data"][name]}, "data digest of "
        )
    if differ:
        raise errors.UserError(
            f"{workdir} holds cells made with another config. What differs: {'; '.join(differ)}. "
            "Choose another --workdir, or go back to the fields of that one."
        )
    return {"config": mine["config"]} | {k: {**theirs[k], **mine[k]} for k in ("rows", "data")}


def claim_workdir(workdir: pathlib.Path, *config_rows_data) -> None:
    """Checks as `check_workdir`, and writes the note."""
    note = check_workdir(workdir, *config_rows_data)
    workdir.mkdir(parents=True, exist_ok=True)
    temporary = workdir / f"{NOTE}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(note, indent=1, sort_keys=True) + "\n")
    temporary.replace(workdir / NOTE)

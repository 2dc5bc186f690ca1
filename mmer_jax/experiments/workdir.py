"""A workdir belongs to one config and, during a run, to one process."""

import contextlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import filelock
import ml_collections

from mmer_jax import errors
from mmer_jax.config import identity
from mmer_jax.datasets import pack
from mmer_jax.results import records
from mmer_jax.utils import files

NOTE = "config.json"

# Files that show that a workdir holds cells.
_TRACES = (records.FILE_NAME, "predictions/*", "candidates/*", "checkpoints/*/[0-9]*")


@contextlib.contextmanager
def lock_workdir(workdir: pathlib.Path) -> Iterator[None]:
    """Keeps other processes out of a workdir while the context is open.

    Raises:
      UserError: Another process uses it, or it cannot be created.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with files.lock(workdir / ".lock", timeout=0):
            yield
    except filelock.Timeout as e:
        raise errors.UserError(
            f"another process is at work in {workdir}; wait for it, or choose another --workdir"
        ) from e
    except OSError as e:
        if e.filename not in (str(workdir), str(workdir / ".lock")):
            raise
        raise errors.UserError(f"{workdir} cannot be a workdir: {e.strerror}") from e


def check_workdir(
    workdir: pathlib.Path,
    config: ml_collections.ConfigDict,
    rows: Mapping[str, ml_collections.ConfigDict],
    data: Mapping[str, str],
) -> dict[str, Any]:
    """Checks that the cells of a workdir and those of a config belong together.

    Args:
      workdir: The workdir; need not exist.
      config: The config as loaded, with the overrides of the command line.
      rows: Row -> config of the rows about to run.
      data: Name -> digest of the data, see `data_digests`; empty where they are not known yet.

    Returns:
      The content of WORKDIR/config.json for the cells of both.

    Raises:
      UserError: The workdir holds cells of another config or other data; names the fields.
    """
    mine: dict[str, dict[str, Any]] = {
        "config": identity.fields(config),
        "rows": {row: identity.fields(resolved) for row, resolved in rows.items()},
        "data": dict(data),
    }
    if not any(any(workdir.glob(trace)) for trace in _TRACES):
        return mine
    path = workdir / NOTE
    if not path.exists():
        raise errors.UserError(
            f"{workdir} holds cells but no {NOTE} that names their config; choose another --workdir"
        )
    theirs = json.loads(path.read_text())
    differences = identity.differences(mine["config"], theirs["config"])
    if not differences:  # otherwise each row would repeat them
        for row in sorted(set(mine["rows"]) & set(theirs["rows"])):
            prefix = f"row {row}: "
            differences += identity.differences(mine["rows"][row], theirs["rows"][row], prefix)
    for name in set(mine["data"]) & set(theirs["data"]):
        one, other = {name: data[name]}, {name: theirs["data"][name]}
        differences += identity.differences(one, other, "data digest of ")
    if differences:
        raise errors.UserError(
            f"{workdir} holds cells made with another config. What differs: "
            f"{'; '.join(differences)}. Choose another --workdir, or go back to the fields of that "
            "one."
        )
    return {"config": mine["config"]} | {k: {**theirs[k], **mine[k]} for k in ("rows", "data")}


def claim_workdir(workdir: pathlib.Path, *config_rows_data) -> None:
    """Checks as `check_workdir` does, and writes WORKDIR/config.json."""
    files.write_json(workdir / NOTE, check_workdir(workdir, *config_rows_data), indent=1)


def data_digests(data: Mapping[str, pack.Pack]) -> dict[str, str]:
    """Returns digests of the data that cells are trained on.

    Args:
      data: Row -> pack.

    Returns:
      "DATASET BUILDER_CONFIG table" or "DATASET BUILDER_CONFIG MODALITY" -> digest.
    """
    digests = {}
    for opened in data.values():
        masked = " masked" * bool(opened.info["options"].get("mask_background"))
        for name in ("table", *opened.arrays):
            key = f"{opened.info['dataset']} {opened.info['builder_config']}{masked} {name}"
            digests[key] = opened.info["digests"][name]
    return digests

"""What makes a result what it is: the fields of a config that identify it, and their digest."""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections

from mmer_jax import errors

# Fields that choose among cells, or say where things are and how they run. They are no part of what
# a result is, so they may differ within a workdir.
EXCLUDED = (
    "row",
    "table_rows",
    "protocols",
    "folds",
    "seeds",
    "protocol_seeds",
    "run",
    "data.manual_dir",
    "data.download",
    "data.data_dir",
    "data.pack",
    "data.pack_storage",
    "test_data.manual_dir",
    "test_data.data_dir",
    "test_data.pack",
    "sets",
)


# Fields that name a file; what is in it is part of what a result is, and not where it lies.
FILE_FIELDS = ("data.picked", "data.build.frame_scores", "data.build.detector_model")


def fields(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Every field that makes a result what it is, as dotted field -> JSON value."""
    flat = flatten(config.to_dict())
    for field in FILE_FIELDS:
        if flat.get(field):
            flat[field] = file_digest(flat[field], field)
    return {
        field: value
        for field, value in flat.items()
        if not is_excluded(field) and not field.startswith("rows.")
    }


def is_excluded(field: str) -> bool:
    """Whether a dotted field is no part of what a result is: one of EXCLUDED, or within one."""
    return any(field == excluded or field.startswith(excluded + ".") for excluded in EXCLUDED)


def digest(config: ml_collections.ConfigDict) -> str:
    """Twelve hex digits over `identity`."""
    return hashlib.sha256(json.dumps(fields(config), sort_keys=True).encode()).hexdigest()[:12]


def file_digest(path: str, field: str) -> str:
    """Digest of the file that a field of the config names.

    Raises:
      UserError: there is no such file.
    """
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise errors.UserError(f"there is no file {path}, which config.{field} names")
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def flatten(tree: Mapping, prefix: str = "") -> dict[str, Any]:
    """Nested mapping -> dotted field -> JSON value (tuples become lists)."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat


def differences(mine: Mapping, theirs: Mapping, prefix: str = "") -> list[str]:
    """Which fields two flat configs do not share, in words."""
    absent = "(absent)"
    return [
        f"{prefix}{field}: there {theirs.get(field, absent)}, now {mine.get(field, absent)}"
        for field in sorted({*mine, *theirs})
        if mine.get(field, absent) != theirs.get(field, absent)
    ]

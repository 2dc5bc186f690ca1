"""The identity of a config: the fields that determine a result, and their digest."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import ml_collections

from mmer_jax import errors
from mmer_jax.config import plugins, schema

# Fields that select cells, say where things are or how they run, or only describe: they do not
# determine a result, so they may differ within a workdir.
EXCLUDED = (
    "table",
    "row",
    "rows",
    "table_rows",
    "protocols",
    "folds",
    "seeds",
    "protocol_seeds",
    "paper",
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

# Fields that name a file: its content determines a result, not its path.
FILE_FIELDS = ("data.picked", "data.build.frame_scores", "data.build.detector_model")


def fields(config: ml_collections.ConfigDict) -> dict[str, object]:
    """Returns the fields that determine a result: dotted field name -> JSON value.

    A file is represented by the digest of its content.

    Raises:
      UserError: A file that the config names does not exist.
    """
    flat = flatten(config.to_dict())
    for field in FILE_FIELDS:
        if path := flat.get(field):
            flat[field] = file_digest(str(path), field)
    flat["plugins"] = [
        file_digest(path, "plugins") if (path := plugins.source(name)) else name
        for name in config.get("plugins", ())
    ]
    return {field: value for field, value in flat.items() if not is_excluded(field)}


def is_excluded(field: str) -> bool:
    """Returns whether a dotted field is one of EXCLUDED, or within one of them."""
    return any(field == excluded or field.startswith(excluded + ".") for excluded in EXCLUDED)


def digest(config: ml_collections.ConfigDict) -> str:
    """Returns twelve hexadecimal digits over the `fields` that differ from the schema's defaults.

    Adding a field to the schema does not change the digests of earlier configs.
    """
    defaults = flatten(schema.default_config().to_dict())
    changed = {
        field: value
        for field, value in fields(config).items()
        if field not in defaults or value != defaults[field]
    }
    return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:12]


def file_digest(path: str, field: str) -> str:
    """Returns a digest of the file that a field of the config names, 16 hexadecimal digits.

    Raises:
      UserError: The file does not exist.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise errors.UserError(f"there is no file {path}, which config.{field} names")
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def flatten(tree: Mapping, prefix: str = "") -> dict[str, object]:
    """Returns a nested mapping as dotted field name -> JSON value; tuples become lists."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat


def differences(mine: Mapping, theirs: Mapping, prefix: str = "") -> list[str]:
    """Describes the fields in which two identities differ.

    A field that one of them lacks counts as standing at the schema's default.

    Args:
      mine: Dotted field name -> value, of the config at hand.
      theirs: The same, of the config that a workdir was made with.
      prefix: Text before each field's name.
    """
    defaults = flatten(schema.default_config().to_dict())

    def value(fields: Mapping, field: str) -> object:
        return fields.get(field, defaults.get(field, "(absent)"))

    return [
        f"{prefix}{field}: there {value(theirs, field)}, now {value(mine, field)}"
        for field in sorted({*mine, *theirs})
        if value(mine, field) != value(theirs, field)
    ]

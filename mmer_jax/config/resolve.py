"""From a config to its rows, and the fields of each row."""

from collections.abc import Mapping

import ml_collections

from mmer_jax import errors, modalities
from mmer_jax.config import identity, validation


def split_names(config: ml_collections.ConfigDict) -> None:
    """Splits texts such as "a,b" within tuples of text, in place.

    The command line gives `--config.protocols=triplet_random,clip_random` as one text.
    """
    for field, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            split_names(value)
        elif isinstance(value, tuple) and any(isinstance(v, str) and "," in v for v in value):
            config[field] = tuple(n.strip() for v in value for n in v.split(",") if n.strip())


def requested_rows(config: ml_collections.ConfigDict) -> tuple[str, ...]:
    """Returns the names of the rows to run, in order.

    The rows that a late-fusion row needs come before it.

    Raises:
      UserError: A row is unknown; the message lists the known ones.
    """
    names = [n for n in config.row.split(",") if n] if config.row else list(config.table_rows)
    requested: list[str] = []
    for name in names:
        if name not in config.rows:
            raise errors.unknown("row", name, config.rows)
        own = config.rows[name].get("fusion", {}).get("rows", ())
        fused = tuple(own) or tuple(config.fusion.rows)
        for needed in fused:
            if needed not in config.rows:
                raise errors.unknown(f"row that {name} fuses", needed, config.rows)
            if config.rows[needed].get("fusion", {}).get("method", ""):
                raise errors.UserError(
                    f"row {name!r} of the config fuses {needed!r}, which is itself a late fusion; "
                    "fuse rows that are networks"
                )
        requested += [*fused, name]
    return tuple(dict.fromkeys(requested))


def resolve_row(
    config: ml_collections.ConfigDict, row: str, overrides: Mapping[str, object] | None = None
) -> ml_collections.ConfigDict:
    """Returns the config of one row: the config, then the row's fields, then the command line's.

    Args:
      config: The config as loaded.
      row: A name in `config.rows`.
      overrides: Dotted field name -> value, as given on the command line. They win over the row's
        fields.

    Raises:
      UserError: The row overrides a field that does not exist, or the result is inconsistent. A
        field of the model is checked when the model is built.
    """
    resolved = config.copy_and_resolve_references()
    fields = config.rows[row].to_dict()
    for field in identity.flatten(fields):
        # Fields of the model are checked against the model, which may have more than the schema.
        if not field.startswith("model.") and (
            problem := validation.describe_unknown_field(config, field)
        ):
            raise errors.UserError(f"row {row!r} of the config: {problem}")
    with resolved.unlocked():
        resolved.update(fields)
    if "modalities" in (overrides or {}):
        raise errors.UserError(
            "the modalities are those of the row; choose a row after the config's name, as in "
            f"--config=FILE:{row}. Known rows: {', '.join(config.rows)}"
        )
    for field, value in (overrides or {}).items():
        if not field.startswith("rows."):
            resolved.update_from_flattened_dict({field: value})
    split_names(resolved)
    with resolved.unlocked():
        del resolved.rows
    resolved.modalities = tuple(m.name for m in modalities.get(resolved.modalities))
    validation.check(resolved)
    return resolved

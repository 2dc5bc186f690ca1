"""From a config to the rows that it asks for, and the fields of each."""

from collections.abc import Mapping

import ml_collections

from mmer_jax import errors, modalities
from mmer_jax.config import identity, validation


def split_names(config: ml_collections.ConfigDict) -> None:
    """Splits texts like "a,b" within tuples of text, in place.

    The command line gives `--config.protocols=triplet_random,clip_random` as one text.
    """
    for field, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            split_names(value)
        elif isinstance(value, tuple) and any(isinstance(v, str) and "," in v for v in value):
            config[field] = tuple(n.strip() for v in value for n in v.split(",") if n.strip())


def requested_rows(config: ml_collections.ConfigDict) -> tuple[str, ...]:
    """The rows to run, in order; before a decision-level row those whose networks it needs.

    Raises:
      UserError: an unknown row; the message lists the known ones.
    """
    names = [n for n in config.row.split(",") if n] if config.row else list(config.table_rows)
    found = []
    for name in names:
        if name not in config.rows:
            raise errors.unknown("row", name, config.rows)
        of = tuple(config.rows[name].get("fusion", {}).get("rows", ())) or tuple(config.fusion.rows)
        for needed in of:
            if needed not in config.rows:
                raise errors.unknown(f"row that {name} joins", needed, config.rows)
            if config.rows[needed].get("fusion", {}).get("method", ""):
                raise errors.UserError(
                    f"row {name!r} of the config joins {needed!r}, which is itself a decision of "
                    "several networks; join rows that are networks"
                )
        found += [*of, name]
    return tuple(dict.fromkeys(found))


def resolve_row(
    config: ml_collections.ConfigDict, row: str, overrides: Mapping[str, object] | None = None
) -> ml_collections.ConfigDict:
    """The config of one row: the config, then the row's fields, then those of the command line.

    Args:
      config: as loaded.
      row: a name in `config.rows`.
      overrides: dotted field -> value, as given on the command line. They win over the row, since
        a person typed them.

    Raises:
      UserError: the row overrides a field that does not exist, or the result is not consistent.
    """
    resolved = config.copy_and_resolve_references()
    for field in identity.flatten(config.rows[row].to_dict()):
        if problem := validation.unknown_field(config, field):
            raise errors.UserError(f"row {row!r} of the config: {problem}")
    resolved.update(config.rows[row].to_dict())
    if "modalities" in (overrides or {}):
        raise errors.UserError(
            "the modalities follow from the row; choose one after the config's name, as in "
            f"--config=FILE:{row}. Known: {', '.join(config.rows)}"
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

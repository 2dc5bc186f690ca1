"""Refuses to set numbers beside each other that speak of different data by one name."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mmer_jax import errors


def check(found: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Compares what records say of their data.

    Rows may be built from the same recordings, and look at them, in different ways. But two that
    are built and look in the same way have the same in their packs.

    Args:
      found: where each record is from, in words, and the record.

    Raises:
      UserError: one name stands for recorded and for rendered clips, for two versions of a data
        set, or for different images.
    """
    alike = ("name", "origin", "version", "builder_config", "options", "size", "modalities")
    found = list(found)
    for what, group in (("origin", alike[:1]), ("version", alike[:1]), ("pack_digest", alike)):
        seen: dict[str, dict[str, str]] = {}
        for where, record in found:
            described = {**record["dataset"], "modalities": record["modalities"]}
            key = json.dumps([described.get(field) for field in group], sort_keys=True)
            seen.setdefault(key, {}).setdefault(str(described.get(what)), where)
        for key, values in seen.items():
            if len(values) > 1:
                told = "; ".join(f"{value} in {where}" for value, where in values.items())
                raise errors.UserError(
                    f"different data of one name cannot stand in one table: {json.loads(key)[0]}, "
                    f"{what.replace('_', ' ')} {told}. Choose with --rows and --protocol, or "
                    "compare one work folder at a time"
                )

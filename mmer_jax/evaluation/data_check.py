"""Check that results in one table come from the same data."""

import json
from collections.abc import Iterable

from mmer_jax import errors
from mmer_jax.results.records import Record


def check(records: Iterable[tuple[str, Record]]) -> None:
    """Checks that records with the same dataset name were measured on the same data.

    Datasets built from the same recordings with different options, and packs of different image
    sizes, may appear in one table. Two packs with equal build options, size and modalities must
    have the same content.

    Args:
      records: Pairs (source, record), where the source describes to users where the record comes
        from.

    Raises:
      UserError: Some records with one dataset name are of recorded clips and others of rendered
        clips, or the records are of two versions of the dataset, or of packs with different
        content.
    """
    pack_fields = ("name", "origin", "version", "builder_config", "options", "size", "modalities")
    records = list(records)
    # (field, fields): `field` must have one value in all records that agree in `fields`.
    for field, identity_fields in (
        ("origin", pack_fields[:1]),
        ("version", pack_fields[:1]),
        ("pack_digest", pack_fields),
    ):
        sources: dict[str, dict[str, str]] = {}
        for source, record in records:
            dataset = {**record["dataset"], "modalities": record["modalities"]}
            identity = json.dumps([dataset.get(name) for name in identity_fields], sort_keys=True)
            sources.setdefault(identity, {}).setdefault(str(dataset.get(field)), source)
        for identity, source_of_value in sources.items():
            if len(source_of_value) > 1:
                values = "; ".join(
                    f"{value} in {source}" for value, source in source_of_value.items()
                )
                raise errors.UserError(
                    f"results from different data cannot be compared: {json.loads(identity)[0]}, "
                    f"{field.replace('_', ' ')} {values}. Select rows with --rows and --protocol, "
                    "or compare one workdir at a time"
                )

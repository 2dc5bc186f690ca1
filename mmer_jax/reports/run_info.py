"""Provenance of results for a report: datasets, splits, software, devices, configs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmer_jax.evaluation import settings
from mmer_jax.reports import pages
from mmer_jax.results.records import Record


def collect(records: Sequence[Record]) -> dict[str, Any]:
    """Collects the provenance of records for the report; equal values are listed once.

    The sizes of the subsets are those of the last record of each protocol and row: of one fold and
    one seed.

    Args:
      records: Records of a workdir.

    Returns:
      The variable `run` of report.html.j2.
    """
    by_name: dict[str, list[dict]] = {}
    for record in records:
        name = str(record["dataset"].get("name", "unnamed"))
        by_name.setdefault(name, []).append(record["dataset"])
    datasets = []
    for name, descriptions in by_name.items():
        info = _merge([{k: v for k, v in d.items() if k != "skipped"} for d in descriptions])
        info.pop("name", None)
        skipped = _merge([_count_skipped(d.get("skipped")) for d in descriptions])
        datasets.append({"name": name, "info": info, "skipped": skipped})
    times = sorted(record["written_at"] for record in records if record.get("written_at"))
    split_sizes = {(record["protocol"], record["row"]): _sizes(record) for record in records}
    return {
        "records": len(records),
        "seeds": sorted({record["seed"] for record in records}),
        "emotions": list(dict.fromkeys(e for record in records for e in record["emotions"])),
        "datasets": datasets,
        "split_sizes": split_sizes,
        "devices": _distinct(record["device"] for record in records),
        "commits": _distinct(record["git_commit"] for record in records),
        "versions": _merge([record["versions"] for record in records]),
        "first": times[0] if times else None,
        "last": times[-1] if times else None,
        "configs": [
            {
                "digest": digest,
                "text": text,
                "download": pages.embed_download(f"config-{digest}.json", text),
            }
            for digest, text in {
                record["config_digest"]: json.dumps(record["config"], indent=2)
                for record in records
            }.items()
        ],
    }


def _sizes(record: Record) -> dict[str, int | str]:
    """Returns the sizes of a record's subsets; "" for a test subset that is not read."""
    sizes: dict[str, int | str] = {
        field: record[field] for field in ("n_train", "n_validation", "n_test", "n_test_clips")
    }
    if settings.tested_subset(record["config"]) == "validation":
        sizes |= {"n_validation": record["n_test"], "n_test": "", "n_test_clips": ""}
    return sizes


def _count_skipped(skipped: Mapping[str, Any] | None) -> dict[str, int]:
    """Returns the number of skipped clips per reason, from counts or from lists of names."""
    return {k: v if isinstance(v, int) else len(v) for k, v in (skipped or {}).items()}


def _merge(descriptions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Merges nested mappings into one with dotted keys; values that differ are joined by " / "."""
    merged: dict[str, list[str]] = {}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, nested in value.items():
                add(f"{prefix}.{name}" if prefix else str(name), nested)
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            text = "none" if value is None else text
            values = merged.setdefault(prefix, [])
            if text not in values:
                values.append(text)

    for description in descriptions:
        add("", description)
    return {name: " / ".join(values) for name, values in merged.items()}


def _distinct(values: Iterable[Any]) -> list[str]:
    """Returns the distinct non-empty values as text, in order of appearance."""
    texts = (v if isinstance(v, str) else json.dumps(v, sort_keys=True) for v in values if v)
    return list(dict.fromkeys(texts))

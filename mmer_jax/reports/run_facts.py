"""What produced the numbers of some records: data, split, software, machine, configs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmer_jax.reports import pages


def what_was_run(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What produced the numbers, each thing once."""
    by_name: dict[str, list[dict]] = {}
    for record in found:
        by_name.setdefault(str(record["dataset"].get("name", "unnamed")), []).append(
            record["dataset"]
        )
    datasets = []
    for name, descriptions in by_name.items():
        facts = _merged([{k: v for k, v in d.items() if k != "skipped"} for d in descriptions])
        facts.pop("name", None)
        skipped = _merged([_counts(d.get("skipped")) for d in descriptions])
        datasets.append({"name": name, "facts": facts, "skipped": skipped})
    times = sorted(record["written_at"] for record in found if record.get("written_at"))
    part_sizes = {
        (record["protocol"], record["row"]): {
            field: record[field] for field in ("n_train", "n_validation", "n_test", "n_test_clips")
        }
        for record in found
    }
    return {
        "records": len(found),
        "seeds": sorted({record["seed"] for record in found}),
        "emotions": list(dict.fromkeys(e for record in found for e in record["emotions"])),
        "datasets": datasets,
        "part_sizes": part_sizes,
        "devices": _distinct(record["device"] for record in found),
        "commits": _distinct(record["git_commit"] for record in found),
        "versions": _merged([record["versions"] for record in found]),
        "first": times[0] if times else None,
        "last": times[-1] if times else None,
        "configs": [
            {
                "digest": digest,
                "text": text,
                "download": pages.download(f"config-{digest}.json", text),
            }
            for digest, text in {
                record["config_digest"]: json.dumps(record["config"], indent=2) for record in found
            }.items()
        ],
    }


def _counts(skipped: Mapping[str, Any] | None) -> dict[str, int]:
    """Skipped clips by kind, from counts or from lists of names."""
    return {k: v if isinstance(v, int) else len(v) for k, v in (skipped or {}).items()}


def _merged(descriptions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Descriptions as one, nested keys joined by dots; where they differ, all values."""
    flat: dict[str, list[str]] = {}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                add(f"{prefix}.{name}" if prefix else str(name), inner)
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            shown = "none" if value is None else shown
            values = flat.setdefault(prefix, [])
            if shown not in values:
                values.append(shown)

    for description in descriptions:
        add("", description)
    return {name: " / ".join(values) for name, values in flat.items()}


def _distinct(values) -> list[str]:
    """Each value once, as text."""
    texts = (v if isinstance(v, str) else json.dumps(v, sort_keys=True) for v in values if v)
    return list(dict.fromkeys(texts))

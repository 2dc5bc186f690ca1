"""WORKDIR/report/index.html: one file that opens anywhere, without a server or a network.

It is a view: everything in it comes from records.jsonl, curves/<cell>.json and the example pictures
that the caller hands over. Style sheet and layout are in report.css and report.html.j2.
"""

import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.evaluation import caveats, metrics, plots, records, summary


def write_report(
    workdir: str | os.PathLike,
    examples: Sequence[Mapping[str, Any]] | None = None,
    promises: Mapping[str, str] | None = None,
) -> Path:
    """Writes the report of a work folder and returns its path.

    Args:
      workdir: holds records.jsonl, and curves/<cell>.json where the training loop kept them: a
        list of {epoch, train_loss, train_accuracy, seconds}.
      examples: what the network saw, some ten of them: clip, emotion, view, optionally
        audio_variant, and pictures: by modality uint8 [h, w, 3] RGB or [h, w, 1] grey.
      promises: what each protocol keeps apart, by name; those of datasets.protocols if None.

    Raises:
      UserError: if there is no record to report.
    """
    workdir = Path(workdir)
    found = records.read(workdir / records.FILE_NAME)
    if not found:
        raise errors.UserError(
            f"nothing to report: {workdir / records.FILE_NAME} holds no record. Run "
            f"run.py --config=configs/... --workdir={workdir} until it has measured something."
        )
    blocks = summary.blocks(found)
    page = _template().render(
        style=_text("report.css"),
        tables=list(dict.fromkeys(block.table for block in blocks)),
        blocks=[
            {
                "block": block,
                "promise": summary.promise(block.protocol, promises),
                "cards": [_card(row, block, workdir) for row in block.rows],
            }
            for block in blocks
        ],
        caveats=caveats.caveats(blocks),
        rendered_note=summary.RENDERED_NOTE
        if any(row.rendered for block in blocks for row in block.rows)
        else "",
        recorded=any(record["dataset"].get("origin") != summary.RENDERED for record in found),
        run=_what_was_run(found),
        examples=[_example(example) for example in examples or ()],
        pictured=list(dict.fromkeys(name for e in examples or () for name in e["pictures"])),
        how_to_read={
            m.name: (m.reading, m.shows_direction) for m in modalities.MODALITIES.values()
        },
    )
    path = workdir / "report" / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(".index.html.tmp")
    unfinished.write_text(page, encoding="utf-8")
    os.replace(unfinished, path)  # a browser that reloads never sees half a page
    return path


def _text(name: str) -> str:
    return resources.files("mmer_jax.evaluation").joinpath(name).read_text(encoding="utf-8")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        percent=summary.percent, title_of=_title_of, brief=_brief, breakable=_breakable
    )
    return environment.from_string(_text("report.html.j2"))


def _title_of(modality: str) -> str:
    known = modalities.MODALITIES.get(modality)
    return known.title if known else modality


def _breakable(name: str) -> markupsafe.Markup:
    """A name that a narrow screen may break after an underscore."""
    return markupsafe.escape(name).replace("_", markupsafe.Markup("_<wbr>"))


def _brief(number: float) -> str:
    """A count for people: 36.0 million, 17.8 thousand, 512."""
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return str(number)


def _card(row: summary.Row, block: summary.Block, workdir: Path) -> dict[str, Any]:
    """What the page shows of one row: its charts and its confusion matrix."""
    last = row.last
    curves, unreadable = [], []
    for record in last.records:
        name = records.cell_name(*(record[f] for f in ("row", "protocol", "fold", "seed")))
        path = workdir / "curves" / f"{name}.json"
        try:
            curves.append(_curve(path))
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError) as error:
            unreadable.append(f"{path.name} ({type(error).__name__})")
    measured = row.by_epochs.items()
    validation = [
        (epochs, statistics.fmean(shares))
        for epochs, m in measured
        if None not in (shares := [record["validation_accuracy"] for record in m.records])
    ]
    losses = [(e, statistics.fmean(r["loss"] for r in m.records)) for e, m in measured]
    accuracies = [(e, m.accuracy) for e, m in measured]
    name = f"{row.name}, {block.protocol}"
    recalls = metrics.per_class_recall(last.confusion)
    totals = last.confusion.sum(axis=1)
    seconds = [r["seconds_per_epoch"] for r in last.records if r["seconds_per_epoch"]]
    return {
        "row": row,
        "epochs": max(row.by_epochs),
        "accuracy_chart": plots.chart(
            f"Accuracy over epochs: {name}",
            [plots.Line([(e["epoch"], e["train_accuracy"]) for e in c], "train") for c in curves]
            + [plots.Line(validation, "validation"), plots.Line(accuracies, "test")],
            [plots.Mark(e, share, "validation") for e, share in validation]
            + [plots.Mark(e, m.accuracy, "test", m.low_high) for e, m in measured],
            list(row.by_epochs),
            y_max=1.0,
            percent=True,
            reference=last.chance,
        ),
        "loss_chart": plots.chart(
            f"Cross entropy over epochs: {name}",
            [plots.Line([(e["epoch"], e["train_loss"]) for e in c], "train") for c in curves]
            + [plots.Line(losses, "test")],
            [plots.Mark(epochs, loss, "test") for epochs, loss in losses],
            list(row.by_epochs),
        ),
        "has_curves": bool(curves),
        "has_validation": bool(validation),
        "unreadable": unreadable,
        "recall": statistics.fmean(last.recalls),
        "loss": losses[-1][1],
        "seconds": statistics.fmean(seconds) if seconds else None,
        "parameters": last.records[-1]["parameters"],
        "confusion": [
            {
                "emotion": emotion,
                "total": int(totals[i]),
                "recall": None if math.isnan(recalls[i]) else float(recalls[i]),
                "cells": [
                    (int(n), int(n) / int(totals[i]) if totals[i] else 0.0)
                    for n in last.confusion[i]
                ],
            }
            for i, emotion in enumerate(row.emotions)
        ],
    }


def _curve(path: Path) -> list[dict[str, float]]:
    """The epochs of one cell, ascending."""
    fields = ("epoch", "train_loss", "train_accuracy")
    epochs = [
        {field: float(entry[field]) for field in fields} for entry in json.loads(path.read_text())
    ]
    return sorted(epochs, key=lambda entry: entry["epoch"])


def _what_was_run(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
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
        "configs": {
            record["config_digest"]: json.dumps(record["config"], indent=2) for record in found
        },
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


def _example(example: Mapping[str, Any]) -> dict[str, Any]:
    pictures = {
        name: {
            "uri": plots.png_data_uri(picture),
            "height": np.shape(picture)[0],
            "width": np.shape(picture)[1],
        }
        for name, picture in example["pictures"].items()
    }
    return {
        "clip": example["clip"],
        "emotion": example["emotion"],
        "view": example["view"],
        "audio_variant": example.get("audio_variant", ""),
        "pictures": pictures,
    }

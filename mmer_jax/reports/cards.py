"""What a report shows of one row: learning curves, confusion, calibration, its worst clips."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmer_jax.evaluation import comparable, metrics, summary
from mmer_jax.reports import judged, plots

WORST = 6  # clips that are shown


def card(
    row: summary.Row, block: summary.Block, workdir: Path, one: comparable.Row | None
) -> dict[str, Any]:
    """A row under a protocol.

    Args:
      row, block: of the report.
      workdir: holds curves/<cell>.json, where the training loop kept them.
      one: the row with its predictions, or None where they are not there.
    """
    last = row.last
    curves, unreadable = _curves(last, workdir)
    measured = row.by_epochs.items()
    validation = [
        (epochs, statistics.fmean(shares))
        for epochs, m in measured
        if None not in (shares := [record["validation_accuracy"] for record in m.records])
    ]
    losses = [(e, statistics.fmean(r["loss"] for r in m.records)) for e, m in measured]
    accuracies = [(e, m.accuracy) for e, m in measured]
    name = f"{row.name}, {block.protocol}"
    seconds = [r["seconds_per_epoch"] for r in last.records if r["seconds_per_epoch"]]
    calibrated = one and judged.at_temperature(one)
    return {
        "row": row,
        "epochs": max(row.by_epochs),
        "accuracy_chart": plots.chart(
            f"Accuracy over epochs: {name}",
            [
                _middle(curves, "train_accuracy"),
                plots.Line(validation, "validation"),
                plots.Line(accuracies, "test"),
            ],
            [plots.Mark(e, share, "validation") for e, share in validation]
            + [plots.Mark(e, m.accuracy, "test", m.low_high) for e, m in measured],
            list(row.by_epochs),
            bands=[_band(curves, "train_accuracy")],
            y_max=1.0,
            percent=True,
            reference=last.chance,
        ),
        "loss_chart": plots.chart(
            f"Cross entropy over epochs: {name}",
            [_middle(curves, "train_loss"), plots.Line(losses, "test")],
            [plots.Mark(epochs, loss, "test") for epochs, loss in losses],
            list(row.by_epochs),
            bands=[_band(curves, "train_loss")],
        ),
        "has_curves": bool(curves),
        "networks": len(curves),
        "has_validation": bool(validation),
        "unreadable": unreadable,
        "recall": statistics.fmean(last.recalls),
        "loss": losses[-1][1],
        "seconds": statistics.fmean(seconds) if seconds else None,
        "parameters": last.records[-1]["parameters"],
        "confusion": _confusion(row),
        "reliability": judged.reliability(one, calibrated) if one else None,
        "temperatures": calibrated.temperatures if calibrated else (),
        "worst": judged.worst(one, WORST) if one else [],
    }


def _confusion(row: summary.Row) -> list[dict[str, Any]]:
    counts = row.last.confusion
    recalls, precisions = metrics.per_class_recall(counts), metrics.per_class_precision(counts)
    totals = counts.sum(axis=1)
    return [
        {
            "emotion": emotion,
            "total": int(totals[i]),
            "recall": None if math.isnan(recalls[i]) else float(recalls[i]),
            "precision": None if math.isnan(precisions[i]) else float(precisions[i]),
            "cells": [(int(n), int(n) / int(totals[i]) if totals[i] else 0.0) for n in counts[i]],
        }
        for i, emotion in enumerate(row.emotions)
    ]


Curve = list[dict[str, float]]


def _middle(curves: Sequence[Curve], field: str) -> plots.Line:
    """The mean over cells, epoch by epoch."""
    points = [(e, statistics.fmean(values)) for e, values in _by_epoch(curves, field)]
    return plots.Line(points, "train")


def _band(curves: Sequence[Curve], field: str) -> plots.Band:
    """From the least to the largest value over cells; nothing to see of a single one."""
    points = [(e, min(values), max(values)) for e, values in _by_epoch(curves, field)]
    return plots.Band(points if len(curves) > 1 else [], "train")


def _by_epoch(curves: Sequence[Curve], field: str) -> list[tuple[float, list[float]]]:
    found: dict[float, list[float]] = {}
    for curve in curves:
        for entry in curve:
            found.setdefault(entry["epoch"], []).append(entry[field])
    return sorted(found.items())


def _curves(measured: summary.Measured, workdir: Path) -> tuple[list[Curve], list[str]]:
    """The training curves of a row's cells, and the files that cannot be read."""
    curves, unreadable = [], []
    for record in measured.records:
        path = workdir / "curves" / f"{summary.cell_of(record)}.json"
        try:
            curves.append(_curve(path))
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError) as error:
            unreadable.append(f"{path.name} ({type(error).__name__})")
    return curves, unreadable


def _curve(path: Path) -> Curve:
    """The epochs of one cell, ascending."""
    fields = ("epoch", "train_loss", "train_accuracy")
    epochs = [
        {field: float(entry[field]) for field in fields} for entry in json.loads(path.read_text())
    ]
    return sorted(epochs, key=lambda entry: entry["epoch"])

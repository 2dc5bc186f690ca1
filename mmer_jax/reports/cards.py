"""Cards of a report: a row's learning curves, confusion matrix, calibration and worst errors."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmer_jax.evaluation import cell_predictions, comparable, metrics, summary
from mmer_jax.reports import clip_level, plots

WORST_COUNT = 6  # Number of misclassified clips on a card.


def make_card(
    row: summary.Row, block: summary.Block, workdir: Path, with_predictions: comparable.Row | None
) -> dict[str, Any]:
    """Makes the template values of the card of a config row.

    Args:
      row: Results of the row.
      block: Block that the row belongs to.
      workdir: Workdir of the run; training curves are read from its curves/<cell>.json, if present.
      with_predictions: The row with its predictions; None if the predictions could not be read.

    Returns:
      Name of a variable of the card in report.html.j2 -> its value.
    """
    last = row.last
    curves, unreadable = _read_curves(last, workdir)
    measured = row.by_epochs.items()
    validation = [(e, m.validation) for e, m in measured if m.validation is not None]
    losses = [(e, statistics.fmean(r["loss"] for r in m.records)) for e, m in measured]
    accuracies = [(e, m.scores.accuracy) for e, m in measured]
    name = f"{row.title}, {block.protocol}"
    seconds = [r["seconds_per_epoch"] for r in last.records if r["seconds_per_epoch"]]
    calibrated = with_predictions and clip_level.scale_temperatures(with_predictions)
    return {
        "row": row,
        "epochs": max(row.by_epochs),
        "accuracy_chart": plots.draw_chart(
            f"Accuracy over epochs: {name}",
            [
                _mean_line(curves, "train_accuracy"),
                plots.Line(validation, "validation"),
                plots.Line(accuracies, row.tested),
            ],
            [plots.Mark(e, accuracy, "validation") for e, accuracy in validation]
            + [
                plots.Mark(e, m.scores.accuracy, row.tested, m.interval and m.interval.ends)
                for e, m in measured
            ],
            list(row.by_epochs),
            bands=[_range_band(curves, "train_accuracy")],
            y_max=1.0,
            percent=True,
            reference=last.scores.chance,
        ),
        "loss_chart": plots.draw_chart(
            f"Cross-entropy over epochs: {name}",
            [_mean_line(curves, "train_loss"), plots.Line(losses, row.tested)],
            [plots.Mark(epochs, loss, row.tested) for epochs, loss in losses],
            list(row.by_epochs),
            bands=[_range_band(curves, "train_loss")],
        ),
        "has_curves": bool(curves),
        "networks": len(curves),
        "subsets": list(dict.fromkeys([row.tested, *["validation"] * bool(validation)])),
        "unreadable": unreadable,
        "seconds": statistics.fmean(seconds) if seconds else None,
        "parameters": last.records[-1]["parameters"],
        "confusion": _confusion_lines(row),
        "reliability": clip_level.draw_reliability(with_predictions, calibrated)
        if with_predictions
        else None,
        "temperatures": calibrated.temperatures if calibrated else (),
        "worst": clip_level.find_worst_errors(with_predictions, WORST_COUNT)
        if with_predictions
        else [],
    }


def _confusion_lines(row: summary.Row) -> list[dict[str, Any]]:
    """Returns the template values of each row of a confusion matrix, one per true emotion."""
    counts = row.last.scores.confusion
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


def _mean_line(curves: Sequence[Curve], field: str) -> plots.Line:
    """Returns the line of a field's mean over cells at each epoch."""
    points = [(e, statistics.fmean(values)) for e, values in _group_by_epoch(curves, field)]
    return plots.Line(points, "train")


def _range_band(curves: Sequence[Curve], field: str) -> plots.Band:
    """Returns the band of a field's range over cells at each epoch; empty for a single cell."""
    points = [(e, min(values), max(values)) for e, values in _group_by_epoch(curves, field)]
    return plots.Band(points if len(curves) > 1 else [], "train")


def _group_by_epoch(curves: Sequence[Curve], field: str) -> list[tuple[float, list[float]]]:
    """Returns (epoch, values of a field over all curves), in ascending order of epochs."""
    by_epoch: dict[float, list[float]] = {}
    for curve in curves:
        for entry in curve:
            by_epoch.setdefault(entry["epoch"], []).append(entry[field])
    return sorted(by_epoch.items())


def _read_curves(measured: summary.Measured, workdir: Path) -> tuple[list[Curve], list[str]]:
    """Returns the training curves of a row's cells, and the unreadable files with their errors."""
    curves, unreadable = [], []
    for record in measured.records:
        path = workdir / "curves" / f"{cell_predictions.cell_of(record)}.json"
        try:
            curves.append(_read_curve(path))
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError) as error:
            unreadable.append(f"{path.name} ({type(error).__name__})")
    return curves, unreadable


def _read_curve(path: Path) -> Curve:
    """Reads the training curve of one cell, its epochs in ascending order."""
    fields = ("epoch", "train_loss", "train_accuracy")
    epochs = [
        {field: float(entry[field]) for field in fields} for entry in json.loads(path.read_text())
    ]
    return sorted(epochs, key=lambda entry: entry["epoch"])

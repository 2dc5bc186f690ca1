"""Figure 11: confusion matrices side by side."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmer_jax import errors
from mmer_jax.config.cell import cell_name
from mmer_jax.evaluation import aggregation, completeness, metrics, settings
from mmer_jax.figures import canvas
from mmer_jax.results import predictions, records

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, eq=False)
class Confusion:
    """Confusion matrix of a config row under one protocol, summed over seeds and folds.

    Attributes:
      counts: int64 [classes, classes]; rows are true emotions, columns are predicted ones.
      emotions: Names of the classes.
      row: Name of the row, with the labels that its results must not be shown without.
      tested: The subset whose examples were measured.
      protocol: Name of the protocol.
      data: Description of the recordings.
      epochs: Number of epochs that the networks were trained.
      seeds: Number of seeds.
      folds: Number of folds, such as "5", or "2 of 5" if some are missing.
    """

    counts: np.ndarray
    emotions: tuple[str, ...]
    row: str
    tested: settings.Tested
    protocol: str
    data: str
    epochs: int
    seeds: int
    folds: str


def parse_row(text: str) -> tuple[Path, str]:
    """Splits WORKDIR:ROW into the workdir and the name of the config row.

    Args:
      text: Text of the form WORKDIR:ROW.

    Raises:
      UserError: `text` does not have this form.
    """
    workdir, colon, row = text.rpartition(":")
    if not (workdir and colon and row):
        raise errors.UserError(f"expected WORKDIR:ROW, such as runs/demo:mel, found {text!r}")
    return Path(workdir).expanduser(), row


def list_protocols(workdir: Path, row: str) -> list[str]:
    """Lists the names of the protocols that a config row was measured under.

    Args:
      workdir: Workdir of a run.
      row: Name of the row.

    Raises:
      UserError: The workdir has no results for `row`; the message lists the rows that have results.
    """
    return list(dict.fromkeys(record["protocol"] for record in _read_records(workdir, row)))


def count(workdir: Path, row: str, protocol: str, epochs: int | None = None) -> Confusion:
    """Counts the predictions per test clip of all cells of a config row under one protocol.

    Args:
      workdir: Workdir of a run.
      row: Name of the row.
      protocol: One of `list_protocols(workdir, row)`.
      epochs: Number of epochs trained; None for the largest number after which all cells were
        measured.

    Raises:
      UserError: No cell of `row` was measured under `protocol`, some cell was not measured after
        `epochs`, or predictions are missing.
    """
    row_records = _read_records(workdir, row)
    protocols = dict.fromkeys(record["protocol"] for record in row_records)
    if protocol not in protocols:
        raise errors.unknown(f"protocol of row {row} in {workdir}", protocol, protocols)
    cell_epochs: dict[tuple[int, int], set[int]] = {}
    matching = [record for record in row_records if record["protocol"] == protocol]
    for record in matching:
        cell_epochs.setdefault((record["fold"], record["seed"]), set()).add(record["epochs"])
    common = set.intersection(*cell_epochs.values())
    if not common or epochs not in (None, *common):
        raise errors.UserError(
            f"the {len(cell_epochs)} cells of row {row} in {workdir} were not all measured after "
            f"{epochs or 'the same number of'} epochs; common to all cells: "
            f"{sorted(common) or 'none'}"
        )
    epochs = epochs or max(common)
    counts = 0
    for fold, seed in sorted(cell_epochs):
        cell = cell_name(row, protocol, fold, seed)
        stored = predictions.load(workdir / "predictions" / f"{cell}.npz")
        if (epochs, "test") not in stored.examples:
            raise errors.UserError(f"the predictions of {cell} in {workdir} lack epoch {epochs}")
        test = aggregation.by_clip(stored.examples[epochs, "test"])
        predicted = test.probabilities.argmax(axis=1)
        counts = counts + metrics.confusion(test.label, predicted, len(stored.emotions))
    return Confusion(
        counts=counts,
        emotions=stored.emotions,
        row=settings.title_of(matching[0], records.read(workdir / records.FILE_NAME)),
        tested=settings.tested_subset(matching[0]["config"]),
        protocol=protocol,
        data=_describe_data(matching[0]["dataset"]),
        epochs=epochs,
        seeds=len({seed for _, seed in cell_epochs}),
        folds=completeness.describe_folds(matching),
    )


def draw(panels: Sequence[Confusion]) -> "Figure":
    """Draws confusion matrices side by side, on one color scale.

    Colors show the share of the true emotion's clips, numbers the count of clips.

    Args:
      panels: Confusion matrices, at least one.
    """
    figure = canvas.make_figure(4.2 * len(panels) + 0.8, 5)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(all_axes, panels, strict=True):
        totals = panel.counts.sum(axis=1, keepdims=True)
        share = 100 * panel.counts / np.maximum(totals, 1)
        image = axes.imshow(share, cmap=canvas.COUNT_COLORMAP, vmin=0, vmax=100)
        for i, j in np.ndindex(*panel.counts.shape):
            color = "black" if share[i, j] > 50 else "white"
            axes.text(j, i, str(panel.counts[i, j]), ha="center", va="center", color=color)
        positions = range(len(panel.emotions))
        axes.set_xticks(positions, panel.emotions, rotation=45, ha="right")
        axes.set_yticks(positions, panel.emotions)
        axes.set_xlabel(f"predicted emotion (numbers: {panel.tested} clips)")
        axes.set_title(_title(panel), fontsize="medium")
    all_axes[0].set_ylabel("true emotion")
    figure.colorbar(image, ax=all_axes, shrink=0.7, label="share of the true emotion (%)")
    return figure


def _read_records(workdir: Path, row: str) -> list[dict]:
    """Reads the records of a config row."""
    all_records = records.read(workdir / records.FILE_NAME)
    if not all_records:
        raise errors.UserError(
            f"{workdir} holds no records; run.py --workdir={workdir} writes them"
        )
    rows = dict.fromkeys(record["row"] for record in all_records)
    if row not in rows:
        raise errors.unknown(f"row of {workdir}", row, rows)
    return [record for record in all_records if record["row"] == row]


def _title(panel: Confusion) -> str:
    seeds = f"{panel.seeds} seed{'s' * (panel.seeds > 1)}"
    folds = f", {panel.folds} folds" if panel.folds != "1" else ""
    return (
        f"{panel.row}: {100 * metrics.accuracy(panel.counts):.1f}% of clips correct\n{panel.data}\n"
        f"{panel.protocol}, {panel.epochs} epochs, {seeds}{folds}"
    )


def _describe_data(dataset: dict) -> str:
    """Describes the recordings in words, from a record's field `dataset`."""
    words = [dataset["name"], *(dataset.get("intensities") or ())]
    if dataset.get("origin") != "recorded":
        words.append(f"{dataset.get('origin')} clips")
    return ", ".join(words)

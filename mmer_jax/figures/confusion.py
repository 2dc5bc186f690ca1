"""Figure 11: confusion matrices side by side."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmer_jax import errors
from mmer_jax.config.cell import cell_name
from mmer_jax.evaluation import metrics
from mmer_jax.figures import canvas
from mmer_jax.results import predictions, records


@dataclasses.dataclass(frozen=True, eq=False)
class Confusion:
    """What a row's networks took for what, all seeds and folds together.

    Attributes:
      counts: int64 [classes, classes], rows the true emotion, columns the predicted one.
      emotions: names of the classes.
      row, protocol, data: where it comes from, in words.
      epochs: how long the networks were trained.
      seeds, folds: how many networks there are of each.
    """

    counts: np.ndarray
    emotions: tuple[str, ...]
    row: str
    protocol: str
    data: str
    epochs: int
    seeds: int
    folds: int


def parse(text: str) -> tuple[Path, str]:
    """WORKDIR:ROW in its two parts.

    Raises:
      UserError: it has not the two.
    """
    workdir, colon, row = text.rpartition(":")
    if not (workdir and colon and row):
        raise errors.UserError(f"expected WORKDIR:ROW, such as runs/demo:mel, found {text!r}")
    return Path(workdir).expanduser(), row


def protocols(workdir: Path, row: str) -> list[str]:
    """The protocols under which a row was measured.

    Raises:
      UserError: no such row in the work folder; the message lists those there.
    """
    found = records.read(workdir / records.FILE_NAME)
    if not found:
        raise errors.UserError(f"{workdir} holds no record; run.py --workdir={workdir} writes them")
    if row not in (rows := dict.fromkeys(record["row"] for record in found)):
        raise errors.unknown(f"row of {workdir}", row, rows)
    return list(dict.fromkeys(r["protocol"] for r in found if r["row"] == row))


def count(workdir: Path, row: str, protocol: str, epochs: int | None = None) -> Confusion:
    """Counts the test predictions of all of a row's cells under one protocol.

    Args:
      workdir: of run.py.
      row: of its table.
      protocol: one of `protocols(workdir, row)`.
      epochs: how long trained; the most that all cells have been measured at, if None.

    Raises:
      UserError: no such cells, not measured then, or their predictions are not there.
    """
    if protocol not in (known := protocols(workdir, row)):
        raise errors.unknown(f"protocol of row {row} in {workdir}", protocol, known)
    found = records.read(workdir / records.FILE_NAME)
    found = [r for r in found if (r["row"], r["protocol"]) == (row, protocol)]
    cells = {(record["fold"], record["seed"]) for record in found}
    measured = [{r["epochs"] for r in found if (r["fold"], r["seed"]) == cell} for cell in cells]
    common = set.intersection(*measured)
    if not common or epochs not in (None, *common):
        raise errors.UserError(
            f"the {len(cells)} cells of row {row} in {workdir} were not all measured after "
            f"{epochs or 'one number of'} epochs; common to them: {sorted(common) or 'none'}"
        )
    epochs = epochs or max(common)
    total = 0
    for fold, seed in sorted(cells):
        name = cell_name(row, protocol, fold, seed)
        held = predictions.load(workdir / "predictions" / f"{name}.npz")
        if (epochs, "test") not in held.examples:
            raise errors.UserError(f"the predictions of {name} in {workdir} lack epoch {epochs}")
        test = held.examples[epochs, "test"]
        guessed = test.probabilities.argmax(axis=1)
        total = total + metrics.confusion(test.label, guessed, len(held.emotions))
    return Confusion(
        counts=total,
        emotions=held.emotions,
        row=row,
        protocol=protocol,
        data=_data(found[0]["dataset"]),
        epochs=epochs,
        seeds=len({seed for _, seed in cells}),
        folds=len({fold for fold, _ in cells}),
    )


def draw(panels: Sequence[Confusion]):
    """Matrices side by side, on one scale of colors.

    Color is the share of the true emotion's examples, and the numbers are examples.

    Returns:
      a matplotlib Figure.
    """
    made = canvas.figure(4.2 * len(panels) + 0.8, 5)
    shown = made.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(shown, panels, strict=True):
        totals = panel.counts.sum(axis=1, keepdims=True)
        share = 100 * panel.counts / np.maximum(totals, 1)
        image = axes.imshow(share, cmap=canvas.COUNT_COLOURS, vmin=0, vmax=100)
        for i, j in np.ndindex(*panel.counts.shape):
            ink = "black" if share[i, j] > 50 else "white"
            axes.text(j, i, str(panel.counts[i, j]), ha="center", va="center", color=ink)
        places = range(len(panel.emotions))
        axes.set_xticks(places, panel.emotions, rotation=45, ha="right")
        axes.set_yticks(places, panel.emotions)
        axes.set_xlabel("predicted emotion (numbers: test examples)")
        axes.set_title(_title(panel), fontsize="medium")
    shown[0].set_ylabel("true emotion")
    made.colorbar(image, ax=shown, shrink=0.7, label="share of the true emotion (%)")
    return made


def _title(panel: Confusion) -> str:
    seeds = f"{panel.seeds} seed{'s' * (panel.seeds > 1)}"
    folds = f", {panel.folds} folds" if panel.folds > 1 else ""
    return (
        f"{panel.row}: {100 * metrics.accuracy(panel.counts):.1f}% right\n{panel.data}\n"
        f"{panel.protocol}, {panel.epochs} epochs, {seeds}{folds}"
    )


def _data(described: dict) -> str:
    """The recordings of a record, in words."""
    words = [described["name"], *(described.get("intensities") or ())]
    if described.get("origin") != "recorded":
        words.append(f"{described.get('origin')} clips")
    return ", ".join(words)

"""Cells: the networks that a config asks for, one each, and the epochs at which one is measured."""

import dataclasses
from collections.abc import Mapping, Sequence

import ml_collections


def cell_name(row: str, protocol: str, fold: int, seed: int) -> str:
    """A cell's name in file names: predictions/<cell>.npz, curves/<cell>.json and so on."""
    return f"{row}-{protocol}-fold{fold}-seed{seed}"


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """One network to train: a row of the table, under one protocol, fold and seed."""

    row: str
    protocol: str
    fold: int
    seed: int

    @property
    def name(self) -> str:
        """For file names; readable, and different for different cells."""
        return cell_name(self.row, self.protocol, self.fold, self.seed)


def make_cells(
    rows: Sequence[str],
    protocols: Mapping[str, Sequence[int]],
    seeds: Mapping[str, Sequence[int]],
) -> list[Cell]:
    """All cells, in the order in which they run.

    Args:
      rows: names.
      protocols: name -> its folds.
      seeds: name of each protocol -> ints.
    """
    return [
        Cell(row, protocol, fold, int(seed))
        for row in rows
        for protocol, folds in protocols.items()
        for seed in seeds[protocol]
        for fold in folds
    ]


def measured_epochs(config: ml_collections.ConfigDict) -> tuple[int, ...]:
    """The epochs at which a cell is measured: those up to the last, and the last.

    The last alone where validation data choose the epoch or the learning rate: what is chosen is
    one network.
    """
    if config.early_stopping.patience or config.optimizer.learning_rate_search:
        return (config.epochs,)
    wanted = {int(e) for e in config.measure_epochs if 0 < e < config.epochs}
    return (*sorted(wanted), config.epochs)

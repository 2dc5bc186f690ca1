"""Cells: the networks that a config asks for, and the epochs at which each is evaluated."""

import dataclasses
from collections.abc import Mapping, Sequence

import ml_collections


def cell_name(row: str, protocol: str, fold: int, seed: int) -> str:
    """Returns a cell's name in file names: predictions/<cell>.npz, curves/<cell>.json and so on."""
    return f"{row}-{protocol}-fold{fold}-seed{seed}"


@dataclasses.dataclass(frozen=True)
class Cell:
    """A table row under one protocol, fold and seed: one network, or one late fusion of networks.

    Two kinds of auxiliary cells serve another cell and have no record of their own: candidates of a
    learning-rate search, and the inner networks that a fitted late fusion needs.

    Attributes:
      row: Name of the row.
      protocol: Name of the protocol.
      fold: Fold of the protocol.
      seed: Seed of the split, the initialization and the training.
      learning_rate: Of a candidate of a learning-rate search, its learning rate.
      inner_fold: Of an inner network, (j, k): it is trained on the training subset without the j-th
        of k folds, and applied to that fold.
    """

    row: str
    protocol: str
    fold: int
    seed: int
    learning_rate: float | None = None
    inner_fold: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """A readable name, unique among the cells of a workdir."""
        name = cell_name(self.row, self.protocol, self.fold, self.seed)
        if self.learning_rate is not None:
            name += f"-rate{self.learning_rate!r}"
        if self.inner_fold is not None:
            name += "-inner{}of{}".format(*self.inner_fold)
        return name

    @property
    def is_auxiliary(self) -> bool:
        """Whether the cell serves another one and has no record."""
        return self.learning_rate is not None or self.inner_fold is not None

    def candidate(self, learning_rate: float) -> "Cell":
        """Returns the candidate of this cell's learning-rate search with a learning rate."""
        return dataclasses.replace(self, learning_rate=float(learning_rate))

    def inner(self, row: str, folds: int) -> "list[Cell]":
        """Returns the inner networks of a row that a late fusion needs, one for each inner fold."""
        return [dataclasses.replace(self, row=row, inner_fold=(j, folds)) for j in range(folds)]


def make_cells(
    rows: Sequence[str],
    protocols: Mapping[str, Sequence[int]],
    seeds: Mapping[str, Sequence[int]],
) -> list[Cell]:
    """Returns all cells of some rows, in the order in which they run.

    Args:
      rows: Names of rows.
      protocols: Name of each protocol -> its folds.
      seeds: Name of each protocol -> its seeds.
    """
    return [
        Cell(row, protocol, fold, int(seed))
        for row in rows
        for protocol, folds in protocols.items()
        for seed in seeds[protocol]
        for fold in folds
    ]


def measured_epochs(config: ml_collections.ConfigDict) -> tuple[int, ...]:
    """Returns the epochs at which a cell is evaluated, ascending; the last one is `config.epochs`.

    It is the only epoch if validation data choose the epoch or the learning rate.
    """
    if config.early_stopping.patience or config.optimizer.learning_rate_search:
        return (config.epochs,)
    earlier = {int(e) for e in config.measure_epochs if 0 < e < config.epochs}
    return (*sorted(earlier), config.epochs)

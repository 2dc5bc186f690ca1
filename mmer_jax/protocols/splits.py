"""Who is trained on, who validates, who is tested: a cell's protocol applied to a pack."""

import dataclasses
from collections.abc import Mapping

import ml_collections
import numpy as np
from sklearn import model_selection

from mmer_jax import errors
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import frame_lists, loading, pack, selection
from mmer_jax.protocols import registry


def split_examples(
    cell: Cell, config: ml_collections.ConfigDict, data: pack.Pack
) -> dict[str, selection.Examples]:
    """The examples of a cell's three parts: train, validation, test.

    With `config.split.tested` "validation", what stands under "test" is the validation part, and
    the test part is in none: nothing that is chosen by such a cell's numbers has seen it.
    """
    rows, split = _split(cell, config, data)
    return {
        part: make_part(cell, config, data, rows[getattr(split, part)], part)
        for part in ("train", "validation", "test")
    }


def training_rows(cell: Cell, config, data: pack.Pack) -> tuple[np.ndarray, np.ndarray]:
    """The pack's rows of a cell's training part, and the unit of each that its protocol keeps
    together."""
    rows, split = _split(cell, config, data)
    units = registry.get(cell.protocol).unit(_columns(data, rows))
    return rows[split.train], units[split.train]


def make_part(cell: Cell, config, data: pack.Pack, rows: np.ndarray, part: str):
    """Examples of some rows of the pack as the cell's protocol has them in a part of the split."""
    original = registry.get(cell.protocol).original_audio_at_test and part != "train"
    return selection.make_examples(
        data.table,
        rows,
        names=config.modalities,
        emotions=config.data.emotions,
        original_audio=config.data.one_spectrogram or original,
    )


def _split(cell: Cell, config, data: pack.Pack) -> tuple[np.ndarray, registry.Split]:
    rows = taking_part(config, data)
    table = _columns(data, rows)
    split = _divide(cell.protocol, cell.fold, cell.seed, config, table)
    if config.split.equal_training:
        size = _smallest_training(cell.seed, config, table)
        split = dataclasses.replace(split, train=_drawn(split.train, size, table, cell.seed))
    if config.split.tested == "validation":
        split = registry.Split(split.train, split.validation[:0], split.validation)
    return rows, split


def _divide(protocol: str, fold: int, seed: int, config, table) -> registry.Split:
    return registry.get(protocol).split(
        table,
        fold=fold,
        seed=seed,
        test_fraction=config.split.test_fraction,
        validation_fraction=config.split.validation_fraction,
    )


def _smallest_training(seed: int, config, table) -> int:
    """Rows of the smallest training part among the protocols that are to train on equally many."""
    return min(
        len(_divide(name, fold, seed, config, table).train)
        for name in config.split.equal_training
        for fold in registry.get(name).folds(table)
    )


def _drawn(rows: np.ndarray, size: int, table, seed: int) -> np.ndarray:
    """So many of the rows, with their mixture of emotions; sorted."""
    if size >= len(rows):
        return rows
    emotion = table["emotion"][rows]
    kept, _ = model_selection.train_test_split(
        rows, train_size=size, stratify=emotion, random_state=seed
    )
    return np.sort(kept)


def _columns(data: pack.Pack, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: column[rows] for name, column in data.table.items()}


def taking_part(config, data: pack.Pack) -> np.ndarray:
    """The rows of the pack's table that a cell divides into parts."""
    rows = loading.select_indices(data, config)
    if config.split.leave_out_fold is not None:
        found = registry.subject_folds(_columns(data, rows))
        if config.split.leave_out_fold not in found:
            raise errors.unknown("fold to leave out", config.split.leave_out_fold, found)
        left_out = found[config.split.leave_out_fold]
        rows = rows[~np.isin(data.table["subject"][rows], left_out)]
    if config.data.picked:  # after the folds are known: they must not depend on what was picked
        picks = frame_lists.read_picks(config.data.picked)
        rows = frame_lists.restrict(data.table, rows, picks)
    return rows


def folds(
    config, data: pack.Pack, ways: Mapping[str, registry.Protocol]
) -> dict[str, tuple[int, ...]]:
    """Protocol -> its folds, or those that the config asks for."""
    if pack.ROLE in data.table and set(ways) != {"cross_dataset"}:
        raise errors.UserError(
            f"{data.info['dataset']} are two data sets: only the protocol cross_dataset divides "
            f"them, not {', '.join(ways)}"
        )
    if config.folds:
        return {name: tuple(config.folds) for name in ways}
    table = _columns(data, taking_part(config, data))
    return {name: way.folds(table) for name, way in ways.items()}

"""The split of a cell: its protocol applied to a pack."""

import dataclasses
from collections.abc import Mapping

import ml_collections
import numpy as np
from sklearn import model_selection

from mmer_jax import errors
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import frame_lists, loading, pack, selection
from mmer_jax.protocols import equal_training, registry

Subsets = dict[str, selection.Examples]  # "train", "validation", "test" -> examples


def split_cell(cell: Cell, config: ml_collections.ConfigDict, data: pack.Pack) -> Subsets:
    """Returns the subsets that a cell trains on and is evaluated on.

    Args:
      cell: The cell. A candidate of a learning-rate search has no test subset. For an inner network
        of a late fusion, "train" is the training subset without the inner fold and "test" is the
        inner fold.
      config: Resolved config of the cell's row. If `split.tested` is "validation", the validation
        examples are returned as "test", and the test examples are in no subset.
      data: The pack.

    Returns:
      Subset -> examples: "train", "test", and "validation" if it is not empty.

    Raises:
      UserError: The protocol does not apply to the data, or the training subset has too few groups
        for the inner folds of a late fusion.
    """
    indices, split, table = _split(cell, config, data)
    if cell.inner_fold is not None:
        return _split_inner(cell, config, data, indices[split.train], table, split.train)
    subsets = {
        name: _examples(cell, config, data, indices[getattr(split, name)], name)
        for name in ("train", "validation", "test")
    }
    if config.split.shuffle_labels:
        subsets["train"] = shuffle_labels(subsets["train"], cell.seed)
    if not len(subsets["validation"]):
        del subsets["validation"]
    if cell.learning_rate is not None:
        del subsets["test"]
    return subsets


def _split(
    cell: Cell, config, data: pack.Pack
) -> tuple[np.ndarray, registry.Split, Mapping[str, np.ndarray]]:
    """Splits the participating rows of a pack's table.

    Returns:
      A tuple (indices, split, table): the indices of the participating rows in the pack's table,
      int64 [n]; their split, whose indices point into `indices`; and their metadata columns, each
      an array [n].
    """
    indices = participating(config, data)
    table = _columns(data, indices)

    def split_table(protocol: str, fold: int, table) -> registry.Split:
        return registry.get(protocol).split(
            table,
            fold=fold,
            seed=cell.seed,
            test_fraction=config.split.test_fraction,
            validation_fraction=config.split.validation_fraction,
        )

    if config.split.equal_training:
        split = equal_training.split(
            cell.protocol,
            cell.fold,
            cell.seed,
            table,
            equal_to=config.split.equal_training,
            split_table=split_table,
        )
    else:
        split = split_table(cell.protocol, cell.fold, table)
    if config.split.tested == "validation":
        split = registry.Split(split.train, split.validation[:0], split.validation)
    return indices, split, table


def _examples(cell: Cell, config, data: pack.Pack, indices, subset: str) -> selection.Examples:
    """Returns the examples at `indices` (int [n], into the pack's table) for one subset.

    Test and validation examples have the original audio of their clips if the protocol says so.
    """
    original = registry.get(cell.protocol).original_audio_at_test and subset != "train"
    return selection.make_examples(
        data.table,
        indices,
        names=config.modalities,
        emotions=config.data.emotions,
        original_audio=config.data.one_spectrogram or original,
    )


def _split_inner(cell: Cell, config, data: pack.Pack, indices, table, train) -> Subsets:
    """Returns the subsets that an inner network of a late fusion is trained and tested on.

    "test" is the inner fold, "train" the rest of the training subset. The groups of the protocol
    stay together. Labels are those that the outer network is trained on,
    including shuffled ones (`config.split.shuffle_labels`).

    Args:
      cell: The inner network's cell, with `inner_fold` (fold, number of folds).
      config: Resolved config of the cell's row.
      data: The pack.
      indices: Indices of the training rows in the pack's table, int64 [n].
      table: Metadata columns of the participating rows.
      train: Indices of the training rows in `table`, int64 [n].
    """
    assert cell.inner_fold is not None
    fold, count = cell.inner_fold
    groups = registry.get(cell.protocol).group(table)[train]
    emotion = data.table["emotion"][indices]
    fewest = min(len(np.unique(groups[emotion == e])) for e in np.unique(emotion))
    if count < 2 or fewest < count:
        raise errors.UserError(
            f"config.fusion.inner_folds is {count}: the training subset of {cell.name} has "
            f"{len(np.unique(groups))} groups, {fewest} of the rarest emotion; it needs 2 folds or "
            "more, and as many groups of each emotion"
        )
    learned = _examples(cell, config, data, indices, "train")
    if config.split.shuffle_labels:
        learned = shuffle_labels(learned, cell.seed)
    label_of = dict(zip(learned.clip.tolist(), learned.label, strict=True))

    def examples(chosen: np.ndarray, subset: str) -> selection.Examples:
        made = _examples(cell, config, data, indices[chosen], subset)
        label = np.array([label_of[clip] for clip in made.clip.tolist()], np.int32)
        return dataclasses.replace(made, label=label)

    folds = model_selection.StratifiedGroupKFold(count, shuffle=True, random_state=cell.seed)
    kept, left_out = list(folds.split(indices, emotion, groups))[fold]
    return {"train": examples(kept, "train"), "test": examples(left_out, "test")}


def shuffle_labels(examples: selection.Examples, seed: int) -> selection.Examples:
    """Returns examples with labels permuted among clips; all examples of a clip get one label."""
    clips, first, member = np.unique(examples.clip, return_index=True, return_inverse=True)
    order = np.random.default_rng((seed, len(clips))).permutation(len(clips))
    return dataclasses.replace(examples, label=examples.label[first][order][member])


def participating(config: ml_collections.ConfigDict, data: pack.Pack) -> np.ndarray:
    """Returns the indices of the rows of the pack's table that are split, int64 [n].

    Args:
      config: Resolved config of a row. Its `data` fields select by emotion, intensity, audio
        variant and list of frames; `split.leave_out_fold` leaves out the subjects of one fold.
      data: The pack.

    Raises:
      UserError: No example is left of an emotion, there is no such fold to leave out, or the list
        of frames cannot be read or does not fit the pack.
    """
    indices = loading.select_indices(data, config)
    if config.split.leave_out_fold is not None:
        folds = registry.subject_folds(_columns(data, indices))
        if config.split.leave_out_fold not in folds:
            raise errors.unknown("fold to leave out", config.split.leave_out_fold, folds)
        left_out = folds[config.split.leave_out_fold]
        indices = indices[~np.isin(data.table["subject"][indices], left_out)]
    if config.data.picked:  # after the folds, which must not depend on the selected frames
        picks = frame_lists.read_picks(config.data.picked)
        indices = frame_lists.restrict(data.table, indices, picks)
    return indices


def folds(
    config: ml_collections.ConfigDict,
    data: pack.Pack,
    protocols: Mapping[str, registry.Protocol],
) -> dict[str, tuple[int, ...]]:
    """Returns the folds to run under each protocol.

    Args:
      config: Resolved config of a row. If `folds` is not empty, these folds are returned.
      data: The pack.
      protocols: Name -> protocol.

    Returns:
      Name of the protocol -> fold numbers.

    Raises:
      UserError: A protocol does not apply to the data, or the pack joins two datasets and a
        protocol is not cross_dataset.
    """
    if pack.ROLE in data.table and set(protocols) != {"cross_dataset"}:
        raise errors.UserError(
            f"{data.info['dataset']} are two datasets: only the protocol cross_dataset splits "
            f"them, not {', '.join(protocols)}"
        )
    if config.folds:
        return {name: tuple(config.folds) for name in protocols}
    table = _columns(data, participating(config, data))
    return {name: protocol.folds(table) for name, protocol in protocols.items()}


def count_folds(protocol: str, config: ml_collections.ConfigDict, data: pack.Pack) -> int:
    """Returns the number of folds that a protocol has on the data, whichever of them are run.

    Args:
      protocol: Name of the protocol.
      config: Resolved config of a row.
      data: The pack.

    Raises:
      UserError: The protocol does not apply to the data.
    """
    return len(registry.get(protocol).folds(_columns(data, participating(config, data))))


def _columns(data: pack.Pack, indices: np.ndarray) -> dict[str, np.ndarray]:
    return {name: column[indices] for name, column in data.table.items()}

"""Cells of decision-level fusion: nothing of their own is trained; networks on disk are joined.

What is fitted on top is fitted on posteriors of the training part that are out of fold: it is
divided by the protocol's own unit, and each of its parts is predicted by networks trained on the
others. These inner networks leave WORKDIR/predictions/inner/*.npz and no records; all methods, and
all later runs, share them.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Mapping

import ml_collections
import numpy as np
from sklearn import model_selection

from mmer_jax import errors, modalities
from mmer_jax.config import identity
from mmer_jax.config.cell import Cell, measured_epochs
from mmer_jax.datasets import pack, selection
from mmer_jax.evaluation import decision_rules
from mmer_jax.experiments import cells
from mmer_jax.protocols import splits
from mmer_jax.results import predictions, records

PARTS = ("test", "validation")

# What rows have in common if their decisions can be joined; images and networks may differ.
SHARED = ("data.dataset", "data.emotions", "epochs", "measure_epochs", "split", "test_data")


def check(row: str, rows: Mapping[str, ml_collections.ConfigDict]) -> None:
    """Refuses a row of decisions that cannot be joined, before anything is trained.

    Args:
      row: one with `config.fusion.method`.
      rows: the configs of all rows that run, in their order.

    Raises:
      UserError: an unknown method, or rows that do not run or do not fit together.
    """
    config = rows[row]
    decision_rules.check(config.fusion.method)
    of = tuple(config.fusion.rows)
    if len(set(of)) < 2:
        raise errors.UserError(
            f"config.rows.{row}.fusion.rows is {of}; a decision joins two rows or more"
        )
    before = list(rows)[: list(rows).index(row)]
    mine = identity.flatten(config.to_dict())
    for name in of:
        if name not in before or rows[name].fusion.method:
            raise errors.UserError(
                f"row {row!r} joins {name!r}, which is no network that runs before it; say what it "
                f"joins with --config.rows.{row}.fusion.rows={','.join(of)}"
            )
        if config.fusion.method in decision_rules.FITTED and _chooses(rows[name]):
            raise errors.UserError(
                f"row {row!r} is fitted on networks trained on parts of the training part, which "
                f"have no validation part to choose by as {name!r} does: leave out "
                "config.early_stopping.patience and config.optimizer.learning_rate_search, or join by a fixed rule"
            )
        if _chooses(rows[name]) != _chooses(config):  # they would be measured at other epochs
            raise errors.UserError(
                f"row {row!r} joins {name!r}: set config.early_stopping.patience and "
                "config.optimizer.learning_rate_search for both or for neither"
            )
        theirs = identity.flatten(rows[name].to_dict())
        for field in mine:
            shared = any(field == s or field.startswith(s + ".") for s in SHARED)
            if shared and mine[field] != theirs[field]:
                raise errors.UserError(
                    f"row {row!r} joins {name!r}, but config.{field} is {mine[field]} for the one "
                    f"and {theirs[field]} for the other; rows that are joined share it"
                )


def _chooses(config) -> bool:
    return bool(config.early_stopping.patience or config.optimizer.learning_rate_search)


def run_cell(
    cell: Cell,
    rows: Mapping[str, ml_collections.ConfigDict],
    data: Mapping[str, pack.Pack],
    workdir: pathlib.Path,
) -> None:
    """Joins the decisions of the rows that the cell's row names; they have run before.

    Args:
      cell: of a row with `config.fusion.method`.
      rows: the configs of all rows that run; `check` has passed them.
      data: what each row is trained from; rows that are joined may differ in it.
      workdir: predictions and records come from there and go there.

    Raises:
      UserError: the predictions of the rows do not fit together.
      training.Interrupted: as cells.run_cell.
    """
    config = rows[cell.row]
    members = {row: Cell(row, cell.protocol, cell.fold, cell.seed) for row in config.fusion.rows}
    found = {row: _load(workdir, member.name) for row, member in members.items()}
    inner = {}
    if config.fusion.method in decision_rules.FITTED:
        for row, member in members.items():
            inner[row] = _out_of_fold(
                member, rows[row], data[row], workdir, config.fusion.inner_folds
            )
    split = splits.split_examples(cell, config, data[cell.row])
    joined = modalities.get(dict.fromkeys(m for row in members for m in rows[row].modalities))
    told = [r for r in records.read(workdir / records.FILE_NAME) if _is_of(r, config, members)]
    for epoch in measured_epochs(config):
        fitted_on = labels = None
        if inner:
            fitted_on, part = _aligned({row: parts[epoch] for row, parts in inner.items()})
            labels = part.label
        combine = decision_rules.fit(config.fusion.method, fitted_on, labels)
        parts, probabilities = {}, {}
        for name in PARTS:
            if all((epoch, name) in f.examples for f in found.values()):
                posteriors, parts[name] = _aligned(
                    {row: f.examples[epoch, name] for row, f in found.items()}
                )
                probabilities[name] = combine(posteriors)
        theirs = [r for r in told if r["epochs"] == epoch]
        about = cells.describe(cell, config, data[cell.row], len(split["train"]), parts)
        about |= {
            "modalities": [m.name for m in joined],
            "parameters": sum(r["parameters"] for r in theirs),
            "train_loss": None,
            "seconds_per_epoch": sum(r["seconds_per_epoch"] for r in theirs),
        }
        cells.leave_record(
            cell, config, data[cell.row], workdir, epoch, parts, probabilities, about
        )


def _is_of(record: Mapping, config, members: Mapping[str, Cell]) -> bool:
    member = members.get(record["row"])
    return member is not None and (
        (record["table"], record["protocol"], record["fold"], record["seed"])
        == (config.table, member.protocol, member.fold, member.seed)
    )


def _load(workdir: pathlib.Path, name: str) -> predictions.Predictions:
    return predictions.load(workdir / "predictions" / f"{name}.npz")


def _out_of_fold(
    member: Cell, config, data: pack.Pack, workdir: pathlib.Path, folds: int
) -> dict[int, predictions.Examples]:
    """Predictions of a row for its whole training part, each by a network not trained on it.

    Returns:
      by measured epoch.
    """
    epochs = measured_epochs(config)
    found = []
    for j, (kept, left_out) in enumerate(_inner_split(member, config, data, folds)):
        name = f"{member.name}-inner{j}of{folds}"
        path = workdir / "predictions" / "inner" / f"{name}.npz"
        if path.exists() and set(epochs) <= set(predictions.load(path).epochs):
            # Killed between its last result and tidying up, perhaps.
            shutil.rmtree(workdir / "checkpoints" / name, ignore_errors=True)
        else:
            _train_inner(name, config, data, kept, left_out, member.seed, workdir, path)
        found.append(predictions.load(path))
    return {
        epoch: predictions.Examples(
            *(
                np.concatenate([getattr(f.examples[epoch, "test"], field) for f in found])
                for field in ("clip", "view", "label", "probabilities")
            )
        )
        for epoch in epochs
    }


def _train_inner(name, config, data, kept, left_out, seed, workdir, path) -> None:
    def on_measure(measured) -> None:
        said = measured.probabilities["test"]
        part = predictions.Examples(left_out.clip, left_out.view, left_out.label, said)
        predictions.save(path, measured.epoch, {"test": part}, config.data.emotions)

    outcome = cells.train_network(
        name, config, data, kept, {"test": left_out}, seed, workdir, on_measure
    )
    cells.finish_network(name, workdir, outcome)


def _inner_split(
    member: Cell, config, data: pack.Pack, folds: int
) -> list[tuple[selection.Examples, selection.Examples]]:
    """(examples to train on, examples to predict) of each inner fold of the training part.

    Their labels are those that the member itself learns, which a check may have shuffled.
    """
    rows, units = splits.training_rows(member, config, data)
    emotion = data.table["emotion"][rows]
    found, smallest = len(np.unique(units)), _fewest_units(units, emotion)
    if folds < 2 or smallest < folds:
        raise errors.UserError(
            f"config.fusion.inner_folds is {folds}: the training part of {member.name} has "
            f"{found} units, {smallest} of the rarest emotion; it needs 2 folds or more, and as "
            "many units of each emotion"
        )
    whole = splits.make_part(member, config, data, rows, "train")
    if config.split.shuffle_labels:
        whole = cells.with_shuffled_labels(whole, member.seed)
    label = dict(zip(whole.clip.tolist(), whole.label, strict=True))

    def make(chosen: np.ndarray, part: str) -> selection.Examples:
        examples = splits.make_part(member, config, data, rows[chosen], part)
        learned = np.array([label[clip] for clip in examples.clip.tolist()], np.int32)
        return dataclasses.replace(examples, label=learned)

    parts = model_selection.StratifiedGroupKFold(folds, shuffle=True, random_state=member.seed)
    return [
        (make(kept, "train"), make(left_out, "test"))
        for kept, left_out in parts.split(rows, emotion, units)
    ]


def _fewest_units(units: np.ndarray, emotion: np.ndarray) -> int:
    return min(len(np.unique(units[emotion == e])) for e in np.unique(emotion))


def _aligned(
    members: Mapping[str, predictions.Examples],
) -> tuple[dict[str, np.ndarray], predictions.Examples]:
    """Posteriors of the same examples in the same order.

    Args:
      members: row -> its predictions. A row may have one example a clip where others have several
        (audio alone, tested on a clip's unaltered audio): it counts for each of them.

    Returns:
      for each row float [n, classes]; and the examples, which are those of the row that has most.
    """
    most = max(members.values(), key=lambda part: len(part.clip))
    keys = list(zip(most.clip.tolist(), most.view.tolist(), strict=True))
    posteriors = {}
    for row, part in members.items():
        where = {
            key: i for i, key in enumerate(zip(part.clip.tolist(), part.view.tolist(), strict=True))
        }
        if len(set(part.clip.tolist())) == len(part.clip):  # one a clip, whatever its view
            by_clip = {clip: i for (clip, _), i in where.items()}
            index = [by_clip.get(clip) for clip, _ in keys]
        else:
            index = [where.get(key) for key in keys]
        if None in index or not np.array_equal(part.label[index], most.label):
            raise errors.UserError(
                f"the predictions of row {row!r} are of other examples than those of the rows that "
                "it is joined with; they must share data set, emotions and split"
            )
        posteriors[row] = part.probabilities[index]
    return posteriors, most

"""Late fusion (decision level): the predictions of trained networks are fused, none is trained.

A rule that is fitted is fitted on out-of-fold posteriors of the training subset: the subset is
split by the protocol's own groups, and each inner fold is predicted by a network that was trained
on the others. These inner networks are cells of their own, without records; all methods share them.
"""

import pathlib
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.config import identity
from mmer_jax.config.cell import Cell, measured_epochs
from mmer_jax.datasets import pack
from mmer_jax.evaluation import decision_rules
from mmer_jax.experiments.cell_results import CellResults, inner_predictions_path
from mmer_jax.protocols import registry, splits
from mmer_jax.results import predictions, records

SUBSETS = ("test", "validation")

# Fields that fused rows must share; their images and networks may differ.
SHARED = ("data.dataset", "data.emotions", "epochs", "measure_epochs", "split", "test_data")


def check(row: str, rows: Mapping[str, ml_collections.ConfigDict]) -> None:
    """Checks a late-fusion row before anything is trained.

    Args:
      row: Name of a row with `config.fusion.method`.
      rows: Name -> config of all rows that run, in their order.

    Raises:
      UserError: An unknown method, or rows that do not run or cannot be fused.
    """
    config = rows[row]
    decision_rules.check(config.fusion.method)
    fused = tuple(config.fusion.rows)
    if config.fusion.seeds:
        _check_seeds(row, config)
    elif len(set(fused)) < 2:
        raise errors.UserError(
            f"config.rows.{row}.fusion.rows is {fused}; a late fusion needs two rows or more, or "
            "one row and two seeds or more in fusion.seeds"
        )
    before = list(rows)[: list(rows).index(row)]
    mine = identity.flatten(config.to_dict())
    for name in fused:
        if name not in before or rows[name].fusion.method:
            raise errors.UserError(
                f"row {row!r} fuses {name!r}, which is no network that runs before it; name the "
                f"rows with --config.rows.{row}.fusion.rows={','.join(fused)}"
            )
        if config.fusion.method in decision_rules.FITTED and _uses_validation(rows[name]):
            raise errors.UserError(
                f"row {row!r} is fitted on networks that are trained on inner folds of the "
                f"training subset, which have no validation subset to choose by as {name!r} does: "
                "leave out config.early_stopping.patience and "
                "config.optimizer.learning_rate_search, or use a fixed rule"
            )
        if _uses_validation(rows[name]) != _uses_validation(config):  # other measured epochs
            raise errors.UserError(
                f"row {row!r} fuses {name!r}: set config.early_stopping.patience and "
                "config.optimizer.learning_rate_search for both or for neither"
            )
        theirs = identity.flatten(rows[name].to_dict())
        for field in mine:
            is_shared = any(field == s or field.startswith(s + ".") for s in SHARED)
            if is_shared and mine[field] != theirs[field]:
                raise errors.UserError(
                    f"row {row!r} fuses {name!r}, but config.{field} is {mine[field]} for the one "
                    f"and {theirs[field]} for the other; rows that are fused share it"
                )


def _check_seeds(row: str, config: ml_collections.ConfigDict) -> None:
    """Checks a row that fuses the networks of several seeds; raises UserError."""
    seeds = tuple(config.fusion.seeds)
    if len(set(seeds)) < len(seeds) or len(seeds) * len(set(config.fusion.rows)) < 2:
        raise errors.UserError(
            f"config.rows.{row}.fusion fuses the rows {tuple(config.fusion.rows)} of the seeds "
            f"{seeds}; an ensemble needs two networks or more, each once"
        )
    if config.fusion.method in decision_rules.FITTED:
        raise errors.UserError(
            f"config.rows.{row}.fusion.method is {config.fusion.method!r}, which is fitted; the "
            f"networks of several seeds are fused by one of {', '.join(decision_rules.RULES)}"
        )
    if config.split.tested == "validation":
        raise errors.UserError(
            f"row {row!r} fuses networks of several seeds, but config.split.tested is validation, "
            "and each seed draws other validation examples: leave out this row"
        )
    for protocol in config.protocols:
        if registry.get(protocol).test_masks is None:
            raise errors.UserError(
                f"row {row!r} fuses networks of several seeds, but under {protocol} each seed "
                "tests other examples. Choose --config.protocols among "
                f"{', '.join(n for n, p in registry.PROTOCOLS.items() if p.test_masks)}"
            )
        missing = set(seeds) - set(config.protocol_seeds.get(protocol, config.seeds))
        if missing:
            raise errors.UserError(
                f"row {row!r} fuses the seeds {', '.join(map(str, seeds))}: run them all under "
                f"{protocol}, with --config.seeds={','.join(map(str, seeds))}"
            )


def _uses_validation(config: ml_collections.ConfigDict) -> bool:
    return bool(config.early_stopping.patience or config.optimizer.learning_rate_search)


def cell_seeds(
    config: ml_collections.ConfigDict, seeds: Mapping[str, Sequence[int]]
) -> Mapping[str, Sequence[int]]:
    """Returns the seeds of a row's cells by protocol: an ensemble of several seeds is one cell.

    Args:
      config: Config of the row.
      seeds: Name of each protocol -> the seeds of its networks.
    """
    if config.fusion.method and config.fusion.seeds:
        return dict.fromkeys(seeds, config.fusion.seeds[:1])
    return seeds


def _members(cell: Cell, config: ml_collections.ConfigDict) -> dict[str, Cell]:
    """Returns the networks that a late-fusion cell fuses: name in messages -> cell."""
    members = {}
    for row in config.fusion.rows:
        for seed in config.fusion.seeds or (cell.seed,):
            name = f"{row}, seed {seed}" if config.fusion.seeds else row
            members[name] = Cell(row, cell.protocol, cell.fold, int(seed))
    return members


def inner_cells(cell: Cell, config: ml_collections.ConfigDict) -> list[Cell]:
    """Returns the inner networks that a late-fusion cell needs; none for a fixed rule."""
    if config.fusion.method not in decision_rules.FITTED:
        return []
    return [
        inner for row in config.fusion.rows for inner in cell.inner(row, config.fusion.inner_folds)
    ]


def fuse(
    cell: Cell,
    rows: Mapping[str, ml_collections.ConfigDict],
    data: Mapping[str, pack.Pack],
    workdir: pathlib.Path,
) -> None:
    """Fuses the predictions of the rows that a cell's row names, and writes the cell's results.

    Args:
      cell: A cell of a row with `config.fusion.method`.
      rows: Name -> config of all rows that run.
      data: Row -> pack; fused rows may have different ones.
      workdir: The workdir, which has the predictions and records of the networks.

    Raises:
      UserError: The predictions of the rows are of different examples.
    """
    config = rows[cell.row]
    members = _members(cell, config)
    outer = {
        name: predictions.load(workdir / "predictions" / f"{member.name}.npz")
        for name, member in members.items()
    }
    inner = inner_cells(cell, config)
    inner_networks = {
        row: [predictions.load(inner_predictions_path(workdir, c)) for c in inner if c.row == row]
        for row in config.fusion.rows
    }
    names = dict.fromkeys(m for row in config.fusion.rows for m in rows[row].modalities)
    member_keys = {(m.row, m.protocol, m.fold, m.seed) for m in members.values()}
    member_records = [
        r
        for r in records.read(workdir / records.FILE_NAME)
        if r["table"] == config.table
        and (r["row"], r["protocol"], r["fold"], r["seed"]) in member_keys
    ]
    subsets = splits.split_cell(cell, config, data[cell.row])
    results = CellResults(cell, config, data[cell.row], workdir, subsets)
    for epoch in measured_epochs(config):
        posteriors = labels = None
        if inner:
            posteriors, examples = _align(
                {row: _concatenate(networks, epoch) for row, networks in inner_networks.items()}
            )
            labels = examples.label
        rule = decision_rules.fit(config.fusion.method, posteriors, labels)
        fused = {}
        # Each seed draws its own validation examples; the test examples are the same.
        for name in SUBSETS[:1] if config.fusion.seeds else SUBSETS:
            if all((epoch, name) in member.examples for member in outer.values()):
                posteriors, examples = _align(
                    {row: member.examples[epoch, name] for row, member in outer.items()}
                )
                fused[name] = predictions.Predictions(
                    examples.clip, examples.view, examples.label, rule(posteriors)
                )
        at_epoch = [r for r in member_records if r["epochs"] == epoch]
        results.write_record(
            epoch,
            fused,
            modalities=[m.name for m in modalities.get(names)],
            parameters=sum(r["parameters"] for r in at_epoch),
            train_loss=None,
            seconds_per_epoch=sum(r["seconds_per_epoch"] for r in at_epoch),
        )


def _concatenate(
    networks: list[predictions.CellPredictions], epoch: int
) -> predictions.Predictions:
    """Returns the predictions of inner networks for the whole training subset."""
    examples = [network.examples[epoch, "test"] for network in networks]
    return predictions.Predictions(
        *(
            np.concatenate([getattr(e, field) for e in examples])
            for field in ("clip", "view", "label", "probabilities")
        )
    )


def _align(
    members: Mapping[str, predictions.Predictions],
) -> tuple[dict[str, np.ndarray], predictions.Predictions]:
    """Returns the posteriors of the same examples in the same order.

    Args:
      members: Network -> its predictions. A network may have one example per clip where others have
        several (audio alone, tested on the original audio): it counts for each of them.

    Returns:
      Network -> float [n, classes], and the examples: those of the network with the most examples.
    """
    most = max(members.values(), key=lambda examples: len(examples.clip))
    keys = list(zip(most.clip.tolist(), most.view.tolist(), strict=True))
    posteriors = {}
    for row, examples in members.items():
        clips = examples.clip.tolist()
        position = {key: i for i, key in enumerate(zip(clips, examples.view.tolist(), strict=True))}
        if len(set(clips)) == len(clips):  # one example per clip, whatever its view
            by_clip = {clip: i for (clip, _), i in position.items()}
            index = np.array([by_clip.get(clip, -1) for clip, _ in keys], int)
        else:
            index = np.array([position.get(key, -1) for key in keys], int)
        if (index < 0).any() or not np.array_equal(examples.label[index], most.label):
            raise errors.UserError(
                f"the predictions of {row!r} are of other examples than those of the "
                "networks that it is fused with; they must share dataset, emotions and split"
            )
        posteriors[row] = examples.probabilities[index]
    return posteriors, most

"""Ranks all frames of every clip by the largest class probability of trained networks.

In the paper one network ranks all clips, including those that it was trained on (section 7.4). Here
the networks of the folds of `actor_kfold` rank frames of unseen speakers: each frame is scored by
the networks that were trained on no frame of its subject. For most subjects that is the network of
one fold, the one in which the subject was tested. For subjects that are in no fold's training split
(`split.leave_out_fold`, or no picked frame) it is all networks, whose probabilities are averaged.
`in_sample` is the paper's way: the average over the networks that were trained on the subject.

The label of a ranked clip is not read. The score is the largest probability of any class.
"""

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import ml_collections
import numpy as np
from scipy import special

from mmer_jax import errors
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import frame_lists, loading, pack
from mmer_jax.inference import workdirs
from mmer_jax.inference.predictor import Predictor
from mmer_jax.protocols import splits
from mmer_jax.results import records
from mmer_jax.training import checkpoints
from mmer_jax.utils.progress import Progress

PROTOCOL = "actor_kfold"
BUILDER = "frames"
COLUMNS = (*frame_lists.SCORES, "folds")

# Batches between two updates of the progress.
_CHUNK_BATCHES = 10


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
      fold: Fold of `actor_kfold`.
      params: Parameters of the model.
      trained_on: Subjects of the training examples.
    """

    fold: int
    params: Mapping
    trained_on: frozenset[str]


def score_workdir(
    workdir: str | os.PathLike,
    path: str | os.PathLike,
    *,
    row: str | None = None,
    in_sample: bool = False,
    places: Mapping[str, str] | None = None,
) -> str:
    """Scores every frame of the pack that the networks of a workdir were trained on.

    Args:
      workdir: Workdir of configs/baum1_selector.py, or of another config with the protocol
        `actor_kfold` and a `frames` build.
      path: Path of the CSV file to write (see datasets.frame_lists). Its column `folds` has the
        folds of the networks that scored a frame.
      row: Row of the config; required if the workdir has several.
      in_sample: Whether to score with the networks that were trained on the subject, see above.
      places: Fields of `config.data` (manual_dir, data_dir, pack, picked) with the new paths of
        what was moved since the training.

    Returns:
      A summary for the user.

    Raises:
      UserError: The workdir lacks a network, or the data differ from those of the training.
    """
    workdir = Path(workdir).expanduser()
    cells, record = _finished_cells(workdir, row)
    config = workdirs.load_config(record, places)
    if config.data.builder != BUILDER:
        raise errors.UserError(
            f"these networks were trained on the builder config {config.data.builder}; all frames "
            f"of a clip are in {BUILDER}"
        )
    data = loading.open_packs(config, {record["row"]: config}, workdir)[record["row"]]
    if data.digest(config.modalities) != record["dataset"]["pack_digest"]:
        raise errors.UserError(f"{data.path} holds other data than {workdir} was trained on")
    if config.input.normalization != "unit":
        raise errors.UserError(
            f"the networks of {workdir} were trained with config.input.normalization "
            f"{config.input.normalization}; frame selection applies them to images scaled to 0..1: "
            "train them with unit"
        )
    networks = [_load_network(cell, config, data, workdir) for cell in cells]
    score, used = score_pack(data, config, networks, in_sample)
    folds = np.array([network.fold for network in networks])
    frame_lists.write(
        path,
        COLUMNS,
        (
            (clip, frame, score[i], " ".join(map(str, np.unique(folds[used[:, i]]))))
            for i, (clip, frame) in enumerate(
                zip(data.table["clip"].tolist(), data.table["frame_index"].tolist(), strict=True)
            )
        ),
    )
    trained_on = frozenset.union(*(network.trained_on for network in networks))
    unseen = sorted(set(data.table["subject"].tolist()) - trained_on)
    return (
        f"{len(score)} frames of {len(set(data.table['clip'].tolist()))} clips scored by "
        f"{len(networks)} networks"
        + (f", none of which was trained on {', '.join(unseen)}" if unseen else "")
    )


def score_pack(
    data: pack.Pack,
    config: ml_collections.ConfigDict,
    networks: Sequence[Network],
    in_sample: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores all examples of a pack, of whose table only the column `subject` is read.

    Args:
      data: The pack.
      config: Config of the networks' row.
      networks: The networks.
      in_sample: See `assign_networks`.

    Returns:
      The scores, float64 [n] in 0..1, and the networks that each one comes from, bool
      [networks, n].
    """
    used = assign_networks(data.table["subject"], [n.trained_on for n in networks], in_sample)
    predictor = Predictor(config)
    probabilities = np.zeros((len(networks), len(data), len(config.data.emotions)))
    with Progress(int(used.sum()), "scoring", "frames") as progress:
        for network, mask, out in zip(networks, used, probabilities, strict=True):
            indices = np.flatnonzero(mask)
            for start in range(0, len(indices), _CHUNK_BATCHES * config.run.predict_batch):
                chunk = indices[start : start + _CHUNK_BATCHES * config.run.predict_batch]
                by_modality = dict.fromkeys(data.arrays, chunk)
                logits = predictor.logits(network.params, data.arrays, by_modality)
                # In double precision: in single precision many scores would be exactly 1.
                out[chunk] = special.softmax(logits.astype(np.float64), axis=-1)
                progress.update(len(chunk))
    return combine(probabilities, used), used


def assign_networks(
    subject: np.ndarray, trained_on: Sequence[Collection[str]], in_sample: bool = False
) -> np.ndarray:
    """Decides which networks score which frames.

    Args:
      subject: Subject of each frame, text [n].
      trained_on: Subjects that each network was trained on.
      in_sample: If false, frames are scored by the networks that were not trained on their subject;
        if true, by those that were, or by all networks where none was.

    Returns:
      bool [networks, n]; at least one network for each frame.

    Raises:
      UserError: `in_sample` is false, and every network was trained on some subject.
    """
    trained = np.array([np.isin(subject, sorted(subjects)) for subjects in trained_on])
    if in_sample:
        return trained | ~trained.any(0)
    if without_network := sorted(set(np.asarray(subject)[trained.all(0)].tolist())):
        raise errors.UserError(
            f"every network was trained on {', '.join(without_network)}: run all folds of "
            f"{PROTOCOL}, so that each subject has a network that was not trained on it"
        )
    return ~trained


def combine(probabilities: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Averages the probabilities of the networks of each frame and returns the largest one.

    Args:
      probabilities: float [networks, n, classes]; ignored where `used` is false.
      used: bool [networks, n], the networks of each frame.

    Returns:
      float64 [n].
    """
    mean = np.mean(probabilities, axis=0, where=used[..., None], dtype=np.float64)
    return mean.max(axis=-1)


def _finished_cells(workdir: Path, row: str | None) -> tuple[list[Cell], dict]:
    """Returns all finished cells of a row under PROTOCOL, and the last record of one of them."""
    found = [r for r in records.read(workdir / records.FILE_NAME) if r["protocol"] == PROTOCOL]
    rows = list(dict.fromkeys(r["row"] for r in found))
    if not rows:
        raise errors.UserError(
            f"{workdir} holds no results under {PROTOCOL}: train the networks first, as in "
            "python run.py --config=configs/baum1_selector.py"
        )
    if row is None and len(rows) > 1:
        raise errors.UserError(f"{workdir} has the rows {', '.join(rows)}: choose one with --row")
    if row is not None and row not in rows:
        raise errors.unknown(f"row of {workdir} under {PROTOCOL}", row, rows)
    row = row or rows[0]
    found = [r for r in found if r["row"] == row]
    keys = {(r["fold"], r["seed"]) for r in found}
    cells = [Cell(row, PROTOCOL, fold, seed) for fold, seed in sorted(keys)]
    expected = {(fold, seed) for fold, _ in keys for _, seed in keys}
    missing = sorted(expected - keys)
    missing += [(c.fold, c.seed) for c in cells if not workdirs.params_folder(workdir, c).exists()]
    if missing:
        raise errors.UserError(
            f"{workdir} has no finished network of "
            + ", ".join(f"fold {fold} seed {seed}" for fold, seed in missing)
            + ": run its command again, with --config.run.keep_params"
        )
    return cells, found[-1]


def _load_network(
    cell: Cell, config: ml_collections.ConfigDict, data: pack.Pack, workdir: Path
) -> Network:
    indices = splits.split_cell(cell, config, data)["train"].indices
    return Network(
        cell.fold,
        checkpoints.load_params(workdirs.params_folder(workdir, cell)),
        frozenset(data.table["subject"][next(iter(indices.values()))].tolist()),
    )

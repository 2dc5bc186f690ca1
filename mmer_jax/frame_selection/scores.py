"""Ranks all frames of every clip by the largest class probability of trained networks.

In the paper one network ranks all clips, including those that it was trained on (section 7.4). Here
the networks of the folds of `actor_kfold` rank frames of unseen speakers: each frame is scored by
the networks that were trained on no frame of its subject. Most subjects are tested in one fold, and
the network of this fold scores their frames. Subjects that are in no fold's training split (because
of `split.leave_out_fold`, or without any picked frame) are scored by all networks, whose
probabilities are averaged. With `in_sample`, as in the paper, frames are scored by the average over
the networks that were trained on their subject.

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

# Number of batches between two updates of the progress display.
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
      path: Path of the CSV file to write (see datasets.frame_lists). The column `folds` has the
        folds of the networks that scored a frame.
      row: Name of the config row; may be None if the workdir has results for one row only.
      in_sample: Whether to score frames with the networks that were trained on their subject; see
        `assign_networks`.
      places: Field of `config.data` (`manual_dir`, `data_dir`, `pack` or `picked`) -> new path of
        what has been moved since the training.

    Returns:
      A summary for the user: the numbers of frames, clips and networks, and the subjects that no
      network was trained on.

    Raises:
      UserError: A network is missing in the workdir, or the data differ from the training data.
    """
    workdir = Path(workdir).expanduser()
    cells, record = _finished_cells(workdir, row)
    config = workdirs.load_config(record, places)
    if config.data.builder != BUILDER:
        raise errors.UserError(
            f"these networks were trained on the builder config {config.data.builder}, but only "
            f"the builder config {BUILDER} has all frames of a clip: train on it"
        )
    data = loading.open_packs(config, {record["row"]: config}, workdir)[record["row"]]
    if data.digest(config.modalities) != record["dataset"]["pack_digest"]:
        raise errors.UserError(
            f"{data.path} is not the data that the networks of {workdir} were trained on"
        )
    if config.input.normalization != "unit":
        raise errors.UserError(
            f"the networks of {workdir} were trained with config.input.normalization "
            f"{config.input.normalization}; frame selection applies networks to images scaled to "
            "0..1: train the networks with config.input.normalization=unit"
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
    """Scores all examples of a pack; of the pack's table, only the column `subject` is read.

    Args:
      data: The pack.
      config: Config of the row that the networks belong to.
      networks: The networks.
      in_sample: See `assign_networks`.

    Returns:
      The scores, float64 [n] in 0..1, and whether each network scored each example, bool
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
      subject: Subject of each frame, str [n].
      trained_on: For each network, the subjects that it was trained on.
      in_sample: If false, frames are scored by the networks that were not trained on their subject.
        If true, frames are scored by the networks that were trained on their subject, or by all
        networks if none was trained on it.

    Returns:
      Whether each network scores each frame, bool [networks, n]. Each frame is scored by at least
      one network.

    Raises:
      UserError: `in_sample` is false, and there is a subject that every network was trained on.
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
    """Averages each frame's probabilities over its networks and returns the largest average.

    Args:
      probabilities: float [networks, n, classes]; ignored where `used` is false.
      used: Whether each network scores each frame, bool [networks, n].

    Returns:
      Scores, float64 [n].
    """
    mean = np.mean(probabilities, axis=0, where=used[..., None], dtype=np.float64)
    return mean.max(axis=-1)


def _finished_cells(workdir: Path, row: str | None) -> tuple[list[Cell], dict]:
    """Returns the finished cells of a config row under PROTOCOL, and the last record of the row."""
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
    """Loads the network of a cell."""
    indices = splits.split_cell(cell, config, data)["train"].indices
    return Network(
        cell.fold,
        checkpoints.load_params(workdirs.params_folder(workdir, cell)),
        frozenset(data.table["subject"][next(iter(indices.values()))].tolist()),
    )

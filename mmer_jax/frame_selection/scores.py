"""Ranks all frames of every clip by trained networks: a score is the largest class probability,
whichever the class.

The paper's one network has seen the clips that it ranks (section 7.4). Here the networks of the
folds of `actor_kfold` rank: each frame is scored by those that were trained on no frame of its
subject. For most subjects that is one network, that of the fold in which the subject was tested;
for subjects that took part in no fold's training (`split.leave_out_fold`, or nothing picked) it is
all of them, and the mean of their probabilities counts. `in_sample` is the paper's way: the mean
over the networks that were trained on the subject.

A clip's own label is not read: what a network was trained on decides who ranks, the images decide
how.
"""

import dataclasses
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import jax
import ml_collections
import numpy as np

from mmer_jax import errors, modalities, models
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import frame_lists, loading, pack
from mmer_jax.inference import workdirs
from mmer_jax.protocols import splits
from mmer_jax.results import records
from mmer_jax.training import checkpoints
from mmer_jax.utils.progress import Progress

PROTOCOL = "actor_kfold"
BUILDER = "frames"
COLUMNS = (*frame_lists.SCORES, "folds")


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
      fold: of actor_kfold.
      params: of the model.
      trained_on: the subjects of its training examples.
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
    """Scores every frame of the pack that a workdir's networks were trained from.

    Args:
      workdir: of a run of configs/baum1_selector.py, or another under actor_kfold on a `frames`
        build.
      path: the CSV file to write (see datasets.frame_lists), with the folds of the networks that
        ranked a frame in its column `folds`.
      row: of the config, where the workdir has several.
      in_sample: see above.
      places: fields of `config.data` that say where things are now (manual_dir, data_dir, pack,
        picked), if they were moved.

    Returns:
      a sentence on what was done, for people.

    Raises:
      UserError: the workdir has no such networks or not all, or the data are others than theirs.
    """
    workdir = Path(workdir).expanduser()
    cells, record = _finished_cells(workdir, row)
    config = workdirs.config_of(record, places)
    if config.data.builder != BUILDER:
        raise errors.UserError(
            f"these networks were trained on the builder config {config.data.builder}; all frames "
            f"of a clip are in {BUILDER}"
        )
    data = loading.open_packs(config, {record["row"]: config}, workdir)[record["row"]]
    if data.digest(config.modalities) != record["dataset"]["pack_digest"]:
        raise errors.UserError(f"{data.path} holds other data than {workdir} was trained from")
    if config.input.normalization != "unit":
        raise errors.UserError(
            f"the networks of {workdir} were trained with config.input.normalization "
            f"{config.input.normalization}; frames are ranked by networks that see images as "
            "they are: train them with unit"
        )
    networks = [_network(cell, config, data, workdir) for cell in cells]
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
    strangers = sorted(set(data.table["subject"].tolist()) - trained_on)
    return (
        f"{len(score)} frames of {len(set(data.table['clip'].tolist()))} clips scored by "
        f"{len(networks)} networks"
        + (f", none of which was trained on {', '.join(strangers)}" if strangers else "")
    )


def score_pack(
    data: pack.Pack,
    config: ml_collections.ConfigDict,
    networks: Sequence[Network],
    in_sample: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores all rows of a pack; of its table the column `subject` alone is read.

    Returns:
      score float64 [n], in 0..1; and bool [networks, n], who ranked whom.
    """
    used = who_ranks(data.table["subject"], [n.trained_on for n in networks], in_sample)
    forward = _forward(config)
    probabilities = np.zeros((len(networks), len(data), len(config.data.emotions)))
    with Progress(int(used.sum()), "scoring", "frames") as progress:
        for network, wanted, out in zip(networks, used, probabilities, strict=True):
            for rows in _batches(np.flatnonzero(wanted), config.run.predict_batch):
                images = {name: np.asarray(array[rows]) for name, array in data.arrays.items()}
                # In double precision: of a network that is sure, many frames would have exactly 1.
                out[rows] = _softmax(forward(network.params, images))
                progress.update(len(np.unique(rows)))
    return combine(probabilities, used), used


def who_ranks(
    subject: np.ndarray, trained_on: Sequence[Collection[str]], in_sample: bool = False
) -> np.ndarray:
    """Which networks rank which frames.

    Args:
      subject: text [n], of each frame.
      trained_on: for each network the subjects that it was trained on.
      in_sample: networks rank whom they know, and those whom none knows are ranked by all; if not,
        networks rank those whom they do not know.

    Returns:
      bool [networks, n]; each frame has one at least.

    Raises:
      UserError: a subject that every network was trained on.
    """
    knows = np.array([np.isin(subject, sorted(subjects)) for subjects in trained_on])
    if in_sample:
        return knows | ~knows.any(0)
    if known := sorted(set(np.asarray(subject)[knows.all(0)].tolist())):
        raise errors.UserError(
            f"every network that is there was trained on {', '.join(known)}: run all folds of "
            f"{PROTOCOL}, so that one is there for each subject that has not seen it"
        )
    return ~knows


def combine(probabilities: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The largest class probability, in the mean over the networks that rank a frame.

    Args:
      probabilities: float [networks, n, classes]; those of networks that do not rank are not read.
      used: bool [networks, n].

    Returns:
      float64 [n].
    """
    mean = np.mean(probabilities, axis=0, where=used[..., None], dtype=np.float64)
    return mean.max(axis=-1)


def _finished_cells(workdir: Path, row: str | None) -> tuple[list[Cell], dict]:
    """All finished cells of a row under PROTOCOL, and the last record of one of them."""
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
    found = [r for r in found if r["row"] == (row or rows[0])]
    cells = sorted({Cell(r["row"], PROTOCOL, r["fold"], r["seed"]) for r in found})
    every = {(fold, seed) for fold in {c.fold for c in cells} for seed in {c.seed for c in cells}}
    missing = sorted(every - {(c.fold, c.seed) for c in cells})
    missing += [(c.fold, c.seed) for c in cells if not workdirs.params_folder(workdir, c).exists()]
    if missing:
        raise errors.UserError(
            f"{workdir} has no finished network of "
            + ", ".join(f"fold {fold} seed {seed}" for fold, seed in missing)
            + ": run its command again, with --config.run.keep_params"
        )
    return cells, found[-1]


def _network(cell: Cell, config, data: pack.Pack, workdir: Path) -> Network:
    examples = splits.split_examples(cell, config, data)["train"]
    rows = next(iter(examples.indices.values()))
    return Network(
        cell.fold,
        checkpoints.load_params(workdirs.params_folder(workdir, cell)),
        frozenset(data.table["subject"][rows].tolist()),
    )


def _forward(config):
    """(params, modality -> uint8 [b, s, s, c]) -> logits [b, classes], compiled."""
    model = models.build(config)
    names = [m.name for m in modalities.get(config.modalities)]

    @jax.jit
    def forward(params, images):
        return model.apply({"params": params}, {n: images[n] for n in names}, train=False)

    return forward


def _batches(rows: np.ndarray, size: int) -> Iterable[np.ndarray]:
    """Rows in batches of one size, so that one program serves all; the last repeats its last."""
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        yield np.pad(batch, (0, size - len(batch)), mode="edge")


def _softmax(logits) -> np.ndarray:
    logits = np.asarray(logits, np.float64)
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)

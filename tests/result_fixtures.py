"""Fixtures that write synthetic records and predictions in the layout of a run."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmer_jax.config.cell import cell_name
from mmer_jax.evaluation import metrics
from mmer_jax.results import predictions, records
from mmer_jax.results.records import Record

EMOTIONS = ["anger", "disgust", "fear", "happiness", "sadness"]


def make_record(**changes) -> Record:
    """Makes a record with all required fields.

    Args:
      **changes: Fields to replace, and `accuracy_target` in 0..1, the probability of a correct
        prediction.
    """
    accuracy_target = changes.pop("accuracy_target", 0.8)
    emotions = changes.get("emotions", EMOTIONS)
    seed, epochs = changes.get("seed", 0), changes.get("epochs", 10)
    rng = np.random.default_rng([seed, epochs])
    labels = np.arange(100) % len(emotions)
    predicted = np.where(rng.random(100) < accuracy_target, labels, (labels + 1) % len(emotions))
    probabilities = np.full((100, len(emotions)), 0.05, np.float32)
    probabilities[np.arange(100), predicted] = 0.8
    return {
        "table": "table8",
        "row": "face_mel",
        "modalities": ["face", "mel"],
        "protocol": "triplet_random",
        "fold": 0,
        "seed": seed,
        "epochs": epochs,
        "n_train": 400,
        "n_train_clips": 130,
        "n_train_subjects": 13,
        "n_validation": 0,
        "n_test": 100,
        "n_test_clips": 90,
        **metrics.measure(labels, probabilities),
        "emotions": emotions,
        "train_loss": 0.1,
        "validation_accuracy": None,
        "paper_accuracy": None,
        "seconds_per_epoch": 1.5,
        "parameters": 17_830_917,
        "dataset": {
            "name": "ravdess",
            "origin": "recorded",
            "version": "1.0.0",
            "builder_config": "triplets",
            "options": {"detector": "haar", "flow_scale": None},
            "digest": "9f86d081884c7d65",
            "skipped": {"truncated": 2, "silent audio": 1},
        },
        "config_digest": "3b1f9e20",
        "config": {"batch": 30, "data": {"emotions": emotions}},
        "device": "cpu",
        "versions": {"jax": "0.10.2"},
        "git_commit": "0123abcd",
        **changes,
    }


@pytest.fixture
def write_run(tmp_path):
    """Writes a workdir with cells (row, protocol, seed), measured after 10 and 20 epochs."""

    def write(cells, curves=True, **changes) -> Path:
        for row, protocol, seed in cells:
            for epochs in (10, 20):
                record = make_record(
                    row=row,
                    modalities=row.split("_"),
                    protocol=protocol,
                    seed=seed,
                    epochs=epochs,
                    **changes,
                )
                records.append(tmp_path / records.FILE_NAME, record)
            if curves:
                path = tmp_path / "curves" / f"{cell_name(row, protocol, 0, seed)}.json"
                path.parent.mkdir(exist_ok=True)
                epochs = [
                    {"epoch": e, "train_loss": 2 / e, "train_accuracy": 1 - 0.8 / e, "seconds": 1.5}
                    for e in range(1, 21)
                ]
                path.write_text(json.dumps(epochs))
        return tmp_path

    return write


@pytest.fixture
def write_cell(tmp_path):
    """Writes a cell with predictions of 20 clips, five of each of four actors, two emotions.

    Its predictions for the first `correct` clips are correct, and wrong for the others; or they are
    `examples`.
    """

    def write(
        protocol,
        correct,
        seed=0,
        n_train=540,
        workdir="run",
        row="mel",
        validation=False,
        examples=None,
        **changes,
    ) -> Path:
        clip = np.array(
            [f"03-01-{3 + i:02d}-02-01-01-{a:02d}" for a in range(1, 5) for i in range(5)]
        )
        label = np.arange(20) % 2
        # The last clips have the highest confidence, so they are the worst errors.
        confidence = np.linspace(0.6, 0.9, 20)[:, None]
        predicted = np.where(np.arange(20) < correct, label, 1 - label)
        probabilities = np.where(np.eye(2)[predicted] == 1, confidence, 1 - confidence)
        if examples is None:
            examples = predictions.Predictions(clip, 0 * label, label, probabilities)
        subsets = {"test": examples} | ({"validation": examples} if validation else {})
        cell = cell_name(row, protocol, 0, seed)
        folder = tmp_path / workdir
        emotions = ("anger", "fear")
        predictions.save(folder / "predictions" / f"{cell}.npz", 24, subsets, emotions)
        record = make_record(
            **{
                **metrics.measure(examples.label, examples.probabilities),
                "dataset": {"name": "ravdess", "origin": "recorded", "version": "1"},
                "row": row,
                "modalities": ["mel"],
                "protocol": protocol,
                "seed": seed,
                "epochs": 24,
                "n_train": n_train,
                "n_test": 20,
                "n_test_clips": 20,
                "emotions": list(emotions),
                **changes,
            }
        )
        records.append(folder / records.FILE_NAME, record)
        return folder

    return write


@pytest.fixture(name="make_record")
def make_record_fixture():
    return make_record

"""Made-up records, as a run would leave them."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmer_jax.evaluation import metrics, records

EMOTIONS = ["anger", "disgust", "fear", "happiness", "sadness"]


def make_record(**changes) -> dict:
    """A whole record; `right` in 0..1 sets how good it is, any field can be replaced."""
    right, emotions = changes.pop("right", 0.8), changes.get("emotions", EMOTIONS)
    seed, epochs = changes.get("seed", 0), changes.get("epochs", 10)
    rng = np.random.default_rng([seed, epochs])
    labels = np.arange(100) % len(emotions)
    predicted = np.where(rng.random(100) < right, labels, (labels + 1) % len(emotions))
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
            "skipped": {"truncated": 2, "silent sound": 1},
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
    """Writes a work folder of cells (row, protocol, seed), measured at 10 and 20 epochs."""

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
                path = tmp_path / "curves" / f"{records.cell_name(row, protocol, 0, seed)}.json"
                path.parent.mkdir(exist_ok=True)
                epochs = [
                    {"epoch": e, "train_loss": 2 / e, "train_accuracy": 1 - 0.8 / e, "seconds": 1.5}
                    for e in range(1, 21)
                ]
                path.write_text(json.dumps(epochs))
        return tmp_path

    return write


@pytest.fixture(name="make_record")
def make_record_fixture():
    return make_record

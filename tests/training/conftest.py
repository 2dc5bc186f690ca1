"""Four simulated devices, and a small task that a small network learns."""

import jax
import numpy as np
import pytest

from mmer_jax.config import resolve
from mmer_jax.datasets.selection import Examples

jax.config.update("jax_num_cpu_devices", 4)  # before the first array; other tests pick one of them

CLASSES, SIZE = 3, 8


@pytest.fixture
def small_config(strong_config):
    """Two inputs of 8x8 pixels, three classes, dropout on, batches of 30."""
    return resolve.resolve_row(
        strong_config,
        "face_mel",
        {
            "data.size": SIZE,
            "data.emotions": ("anger", "fear", "sadness"),
            "model.filters": (4, 8),
            "model.hidden": (16,),
            "model.dropout_features": 0.2,
            "optimizer.learning_rate": 3e-3,
            "run.checkpoint_seconds": 1e9,
        },
    )


@pytest.fixture(scope="session")
def task():
    """(arrays, examples) of 75 examples whose brightness tells the class: batches 30, 30, 15."""
    rng = np.random.default_rng(0)
    n = 75
    label = (np.arange(n) % CLASSES).astype(np.int32)
    arrays = {
        name: np.clip(
            60 + 60 * label[:, None, None, None] + rng.normal(0, 20, (n, SIZE, SIZE, channels)),
            0,
            255,
        ).astype(np.uint8)
        for name, channels in (("face", 3), ("mel", 1))
    }
    rows = np.arange(n, dtype=np.int32)
    examples = Examples(
        {"face": rows, "mel": rows}, label, np.array([f"clip{i}" for i in rows]), 0 * rows
    )
    return arrays, examples

"""Four simulated devices, and a small task that a small network learns."""

import jax
import numpy as np
import pytest

from mmer_jax import models, training
from mmer_jax.config import resolve
from mmer_jax.datasets.selection import Examples
from mmer_jax.inference.predictor import Predictor
from mmer_jax.training.normalization import NO_NORMALIZATION

jax.config.update("jax_num_cpu_devices", 4)  # before the first array; other tests use one of them

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
    index = np.arange(n, dtype=np.int32)
    examples = Examples(
        {"face": index, "mel": index}, label, np.array([f"clip{i}" for i in index]), 0 * index
    )
    return arrays, examples


@pytest.fixture
def one_device():
    return jax.devices()[:1]


@pytest.fixture
def train(one_device):
    """A function that trains a network: see _train."""

    def train(*args, **kwargs):
        kwargs.setdefault("devices", one_device)
        return _train(*args, **kwargs)

    return train


def _train(config, task, folder, epochs, *, subsets=None, norm=NO_NORMALIZATION, **kwargs):
    """Trains a network on the task and evaluates it on the same examples.

    Args:
      config: Config of one row.
      task: (arrays, examples).
      folder: Of its checkpoints.
      epochs: The measured epochs.
      subsets: Further subsets by name.
      norm: Normalization of the inputs.
      kwargs: Further arguments of `training.train`; seed 0 by default.

    Returns:
      Its result, and its evaluations by epoch.
    """
    arrays, examples = task
    subsets = {"train": examples, "test": examples, **(subsets or {})}
    predictor = Predictor(config, kwargs["devices"])
    evaluations = {}
    kwargs.setdefault("on_evaluation", lambda e: evaluations.__setitem__(e.epoch, e))
    result = training.train(
        config,
        models.build(config),
        arrays,
        subsets,
        seed=kwargs.pop("seed", 0),
        measure_epochs=epochs,
        folder=folder,
        evaluate=lambda params, name: predictor.probabilities(
            params, arrays, subsets[name].indices, norm
        ),
        normalization=norm,
        **kwargs,
    )
    return result, evaluations


@pytest.fixture
def without_times():
    """A function that drops the measured times of a history."""
    clock = ("seconds", "steps_per_second")
    return lambda history: [{k: e[k] for k in e if k not in clock} for e in history]

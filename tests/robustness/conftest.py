"""Fixtures: a workdir of tiny trained networks."""

import shutil

import pytest

from mmer_jax.experiments.run import run_experiment
from tests.result_fixtures import make_record_fixture

__all__ = ["make_record_fixture"]


@pytest.fixture(scope="session")
def trained_workdir(small_pack, tmp_path_factory):
    """Trains three rows with two seeds on a pack without recordings."""
    from configs import ravdess_strong

    workdir = tmp_path_factory.mktemp("robust") / "run"
    config = ravdess_strong.get_config()
    with config.unlocked():
        normalized = {"input": {"normalization": "global"}}
        config.rows.normalized = config.rows.face_mel.to_dict() | normalized
    config.row, config.protocols = "face_mel,face,normalized", ("clip_random",)
    config.seeds = (0, 1)
    config.data.pack, config.data.size = str(small_pack), 16
    config.epochs, config.measure_epochs = 3, (1, 3)
    config.model.filters, config.optimizer.learning_rate = (4, 8), 3e-3
    for row in config.row.split(","):
        config.rows[row].model.hidden = (16,)
    config.run.tensorboard = False
    run_experiment(config, workdir)
    return workdir


@pytest.fixture
def workdir(trained_workdir, tmp_path):
    """Returns a copy of the trained workdir that a test may change."""
    shutil.copytree(trained_workdir, tmp_path / "run")
    return tmp_path / "run"

"""Tiny trained networks to be tested again."""

import shutil

import pytest

from mmer_jax.experiments.run import run_experiment


@pytest.fixture(scope="session")
def trained_workdir(small_pack, tmp_path_factory):
    """Three rows trained on a pack alone, two seeds; brightness tells the emotion there."""
    from configs import ravdess_strong

    workdir = tmp_path_factory.mktemp("robust") / "run"
    config = ravdess_strong.get_config()
    with config.unlocked():
        standard = {"input": {"normalization": "global"}}
        config.rows.normalized = config.rows.face_mel.to_dict() | standard
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
    """A copy of it that a test may spoil."""
    shutil.copytree(trained_workdir, tmp_path / "run")
    return tmp_path / "run"

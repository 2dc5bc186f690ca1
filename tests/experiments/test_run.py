"""The whole way on rendered clips with the real builder, and what run.py promises."""

import contextlib
import json

import jax
import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.config import resolve
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import clips, pack
from mmer_jax.experiments import cells
from mmer_jax.experiments.cell_results import CellResults
from mmer_jax.experiments.run import run_experiment
from mmer_jax.results import predictions


def small_demo(row):
    """80 rendered clips of four actors, half of them to test, 32x32 pixels, a narrow network."""
    from configs import demo

    config = demo.get_config(row)
    config.data.rendered.actors = 4
    config.data.intensities = ("strong",)
    config.data.size = 32
    config.split.test_fraction = 0.5
    config.epochs, config.measure_epochs = 16, (8, 16)
    config.optimizer.learning_rate = 1e-3
    config.model.filters = (16, 32, 64)
    config.rows[row].model.hidden = (128,)
    config.run.keep_params = False
    return config


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def all_records(workdir):
    return run_experiment(small_demo("mel"), workdir)


def test_it_learns_from_rendered_clips(all_records, workdir):
    last = all_records[-1]
    assert [r["epochs"] for r in all_records] == [8, 16]
    assert last["n_test"] == last["n_test_clips"] == 40  # audio alone: one example a clip
    assert last["n_train"] == 120
    assert (last["n_train_clips"], last["n_train_subjects"]) == (40, 4)
    assert last["accuracy"] > 0.35  # 14 of 40; chance is 20%, and gives as many in 2% of runs
    assert last["accuracy"] < 1
    assert last["dataset"]["origin"] == "rendered"
    assert last["dataset"]["skipped"] == {}
    assert len(last["dataset"]["subjects"]) == 4
    assert last["paper_accuracy"] is None
    assert "tensorflow-datasets" in last["versions"]
    for name in ("config.json", "report/index.html", "tensorboard", "clips", "data"):
        assert (workdir / name).exists(), name
    page = (workdir / "report" / "index.html").read_text()
    assert "say nothing about emotion recognition" in " ".join(page.split())


def test_records_follow_from_the_predictions(all_records, workdir):
    (file,) = (workdir / "predictions").iterdir()
    stored = predictions.load(file)
    test = stored.examples[16, "test"]
    assert np.mean(test.probabilities.argmax(-1) == test.label) == all_records[-1]["accuracy"]
    assert stored.emotions == tuple(all_records[-1]["emotions"])
    with open(workdir / "curves" / f"{file.stem}.json") as f:
        assert [e["epoch"] for e in json.load(f)] == list(range(1, 17))


def test_nothing_runs_twice(all_records, workdir):
    before = (workdir / "records.jsonl").read_bytes()
    assert run_experiment(small_demo("mel"), workdir) == all_records
    assert (workdir / "records.jsonl").read_bytes() == before


def test_with_shuffled_labels_accuracy_falls_to_chance(all_records, workdir, tmp_path):
    config = small_demo("mel")
    config.split.shuffle_labels = True
    (folder,) = workdir.glob("data/ravdess/*/*/packs/*")
    config.data.pack = str(folder)
    # Test clips of one emotion are taken for one wrong emotion together, so that one run strays
    # further from chance than forty coins would: the mean of several shuffles is at chance.
    config.seeds = tuple(range(6))
    last = [r["accuracy"] for r in run_experiment(config, tmp_path) if r["epochs"] == 16]
    assert len(last) == 6
    assert np.mean(last) == pytest.approx(1 / 5, abs=0.1)
    assert max(last) < all_records[-1]["accuracy"]


def test_all_three_inputs_train_in_the_same_workdir(all_records, workdir):
    config = small_demo("face_flow_mel")
    config.seeds = (1,)
    last = run_experiment(config, workdir)[-1]
    assert (last["row"], last["seed"], last["n_test"], last["n_test_clips"]) == (
        "face_flow_mel",
        1,
        120,  # each of the three frames with its clip's unaltered audio
        40,
    )


def test_recordings_gone_and_others_rendered_are_noticed(all_records, workdir):
    config = small_demo("mel")
    config.data.rendered.seed = 5
    with pytest.raises(errors.UserError, match="seed"):
        run_experiment(config, workdir)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("protocols", ("actor",), "unknown protocol 'actor'; known: triplet_random"),
        ("data.emotions", ("anger,joy",), "'joy'; known: anger, boredom, "),
        ("data.pack", "nowhere", "nowhere is not a pack: it does not exist"),
        ("data.manual_dir", "nowhere", "nowhere"),
        ("data.builder", "images", "images"),
        ("data.dataset", "savee", "savee"),
        ("data.build.detector", "eyes", "'eyes'; known: haar, "),
        ("folds", (3,), "unknown fold of triplet_random 3"),
    ],
)
def test_mistakes_are_explained(strong_config, tmp_path, small_pack, field, value, message):
    strong_config.data.size = 16
    strong_config.model.filters = (4, 8)
    strong_config.row = "mel"
    strong_config.data.data_dir = str(tmp_path / "data")
    if field == "folds":
        strong_config.data.pack = str(small_pack)
    if field == "data.build.detector":
        strong_config.data.manual_dir = str(tmp_path)
    strong_config.update_from_flattened_dict({field: value})
    with pytest.raises(errors.UserError, match=message):
        run_experiment(strong_config, tmp_path / "w")
    assert not (tmp_path / "w" / "records.jsonl").exists()


def test_a_pack_of_another_size_is_refused(strong_config, tmp_path, small_pack):
    strong_config.row, strong_config.data.pack = "mel", str(small_pack)
    with pytest.raises(errors.UserError, match=r"to train from it add --config.data.size=16"):
        run_experiment(strong_config, tmp_path)


def test_the_papers_number_stands_only_beside_its_own_kind(strong_config, small_pack, tmp_path):
    config = resolve.resolve_row(strong_config, "mel")
    data = pack.open_pack(small_pack)
    recorded = pack.Pack(data.path, {**data.info, "origin": "recorded"}, data.table, data.arrays)

    def number(protocol="triplet_random", of=recorded, epoch=20, row="mel", **fields):
        changed = resolve.resolve_row(strong_config, row, fields)
        cell = Cell(row, protocol, 0, 0)
        return CellResults(cell, changed, of, tmp_path, {}).paper_accuracy(epoch)

    assert number() == config.paper.accuracy.mel[1] == 0.9086
    assert number(epoch=40) == 0.9439
    assert number(epoch=15) is None
    assert number("clip_random") is None
    assert number(of=data) is None  # rendered
    assert number(row="flow_mel") is None  # not in the table
    assert number(**{"data.emotions": ("anger", "fear")}) is None
    assert number(**{"data.intensities": ("normal",)}) is None
    assert number(**{"split.shuffle_labels": True}) is None
    assert number(**{"split.leave_out_fold": 0}) is None
    assert number(**{"data.picked": "picks.csv"}) is None
    assert number(**{"input.normalization": "per_speaker"}) is None
    assert number(**{"input.normalization": "global"}) == 0.9086


def test_build_options_of_the_configs_are_the_builders_defaults(strong_config):
    """Or else the default config would build into a folder with a digest in its name."""
    assert strong_config.data.build.to_dict() == {
        **clips.Options().record(),
        "detector_model": None,
    }


def test_another_seed_compiles_nothing_anew(strong_config, small_pack, tmp_path):
    strong_config.update_from_flattened_dict(
        {"row": "mel", "data.pack": str(small_pack), "data.size": 16, "epochs": 1}
    )
    strong_config.measure_epochs, strong_config.model.filters = (1,), (3, 5)
    strong_config.rows.mel.model.hidden = (7,)
    strong_config.run.tensorboard = False
    misses = []

    def listener(event, **_):
        if event == "/jax/compilation_cache/cache_misses":
            misses.append(event)

    jax.monitoring.register_event_listener(listener)
    try:
        run_experiment(strong_config, tmp_path)
        assert misses
        misses.clear()
        strong_config.seeds = (0, 1)
        losses = {r["seed"]: r["train_loss"] for r in run_experiment(strong_config, tmp_path)}
        assert losses[0] != losses[1]
        assert not misses
    finally:
        jax.monitoring.unregister_event_listener(listener)


@pytest.mark.parametrize("tested", ["test", "validation"])
def test_curves_are_named_after_the_subset_that_is_measured(
    tested, strong_config, small_pack, tmp_path, monkeypatch
):
    names = set()

    class Writer:
        def write_scalars(self, step, scalars):
            names.update(scalars)

        def close(self):
            pass

    monkeypatch.setattr(cells, "_tensorboard", lambda *_: contextlib.closing(Writer()))
    strong_config.update_from_flattened_dict(
        {"row": "mel", "data.pack": str(small_pack), "data.size": 16, "epochs": 1}
    )
    strong_config.measure_epochs, strong_config.model.filters = (1,), (3, 5)
    strong_config.rows.mel.model.hidden = (7,)
    strong_config.split.tested, strong_config.split.validation_fraction = tested, 0.3
    run_experiment(strong_config, tmp_path)
    measured = {name for name in names if name.startswith(("test", "validation"))}
    assert measured == {f"{tested}_accuracy", f"{tested}_loss"}

"""Every row of every config runs for an epoch on rendered clips: small images and networks."""

import importlib
import pathlib

import pytest

from mmer_jax import synthetic
from mmer_jax.experiments.run import run_experiment

FILES = sorted(
    p.stem for p in pathlib.Path("configs").glob("*.py") if p.stem not in ("__init__", "base")
)
# Rows that are those of another config on other clips: the table's own are run, no others.
SAME_ROWS = ("ravdess_normal", "ravdess_normal_8class", "demo")
# Of an ablation, rows that are put together in another way than the first; the others differ in
# amounts. Of the ladder, whose rows are those of ravdess_strong, one input and two.
SOME = {
    "ravdess_unseen_speakers": (
        "inductive",
        "transductive",
        "paper",
        "wide",
        "constant_adam",
        "flattened",
    ),
    "leakage_ladder": ("mel", "face_mel"),
}
# Compiling takes most of the time here, and grows with depth. test_configuration.py traces each
# row's network in its own depth; here two blocks do, except where depth is what rows differ in.
BLOCKS = {"audio_model_changes": 6}
LOOK = {"size": (96, 72), "seconds": 0.8, "fps": 10, "seed": 3}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders of rendered recordings, by data set; and where built sets go."""
    folder = tmp_path_factory.mktemp("rendered")
    synthetic.render_ravdess(
        folder / "ravdess",
        actors=(2, 3),
        emotions=(
            *("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"),
        ),
        repetitions=(1,),
        **LOOK,
    )
    # Both sets of BAUM-1 below one folder, which stands for either.
    shown = {"acted": 1, "spontaneous": 1}
    for subset, clips in shown.items():
        synthetic.render_baum1(
            folder / "baum1" / subset,
            subset,
            subjects=4,
            clips=clips,
            emotions=("anger", "disgust", "fear", "happiness", "sadness", "surprise"),
            traps=True,
            **LOOK,
        )
    return {
        "ravdess": str(folder / "ravdess"),
        "baum1_acted": str(folder / "baum1"),
        "baum1_spontaneous": str(folder / "baum1"),
        "data_dir": str(tmp_path_factory.mktemp("built")),
    }


def small(file, places, rows=None):
    """The config of a file for one epoch, on the rendered clips."""
    config = importlib.import_module(f"configs.{file}").get_config()
    config.unlock()
    every = config.table_rows if file in SAME_ROWS else SOME.get(file, config.rows)
    config.row = ",".join(rows or every)
    config.data.size = 32
    config.split.test_fraction = 0.5
    config.epochs, config.measure_epochs = 1, (1,)
    config.batch_size = 16
    config.run.tensorboard = False
    config.run.keep_params = False
    config.data.rendered.enabled = False
    config.data.manual_dir = places[config.data.dataset]
    config.data.data_dir = config.test_data.data_dir = places["data_dir"]
    if "sets" in config:
        for name in config.sets:
            config.sets[name].manual_dir = places[name]
            config.sets[name].data_dir = places["data_dir"]
    config.fusion.inner_folds = 2
    for row in config.rows.values():
        if row.get("model", {}).get("name") == "vgg16":
            row.model.groups = ((2,), (2, 2))
            row.model.hidden = (16, 16)
        elif "modalities" in row and "fusion" not in row:
            model = row.model.to_dict() if "model" in row else {}
            filters = model.get("filters", (32, 64, 64, 128, 128))[: BLOCKS.get(file, 2)]
            row.model = {
                **model,
                "filters": tuple(max(2, n // 16) for n in filters),
                "hidden": (16,) * len(model.get("hidden", (0,))),
            }
        if "optimizer" in row:
            row.optimizer.warmup_epochs = 0  # there is one epoch
    config.lock()
    return config


CHAINED = ("baum1_selector", "baum1_fusion")  # one after the other: see below


@pytest.mark.parametrize("file", [f for f in FILES if f not in CHAINED])
def test_every_row_runs(file, places, tmp_path):
    config = small(file, places)
    config.seeds, config.folds = (0,), (0,)  # each row once
    all_records = run_experiment(config, tmp_path)
    assert {record["row"] for record in all_records} >= set(config.row.split(","))
    for record in all_records:
        assert record["dataset"]["origin"] == "rendered"
        assert record["paper_accuracy"] is None
        assert record["n_test"] and record["n_train"]
        assert set(record["emotions"]) <= set(config.data.emotions) | {"surprise"}


def test_frames_are_picked_ranked_and_joined(places, tmp_path):
    """baum1_selector.py's networks choose the frames of baum1_fusion.py."""
    from mmer_jax.frame_selection import automatic, processing, scores

    picks, ranked = tmp_path / "picks.csv", tmp_path / "scores.csv"
    automatic.pick(processing.select_recordings("baum1_acted", places["baum1_acted"]), picks)
    config = small("baum1_selector", places)
    config.data.picked = str(picks)
    config.run.keep_params = True
    selector = run_experiment(config, tmp_path / "selector")
    assert {r["fold"] for r in selector} == {0, 1, 2, 3}  # four subjects, one in each
    assert all(r["dataset"]["origin"] == "rendered" for r in selector)
    scores.score_workdir(tmp_path / "selector", ranked)

    config = small("baum1_fusion", places)
    config.data.build.frame_scores = str(ranked)
    all_records = run_experiment(config, tmp_path / "fusion")
    assert {record["row"] for record in all_records} == set(config.rows)
    assert all(r["dataset"]["options"]["frame_choice"] == "scored" for r in all_records)

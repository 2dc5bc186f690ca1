"""Decision-level rows: networks on disk are reused, what is fitted has not seen its examples."""

import shutil

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.config import resolve
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import pack
from mmer_jax.evaluation import decision_rules
from mmer_jax.experiments import cells
from mmer_jax.experiments.run import run_experiment
from mmer_jax.protocols import splits
from mmer_jax.results import predictions

OF = ("face", "mel")


def fusion_config(small_pack, row, protocol="clip_random"):
    """fusion_strategies.py on the small pack: 60 clips, 16 pixels, two epochs, narrow."""
    from configs import fusion_strategies

    config = fusion_strategies.get_config(row)
    config.unlock()
    config.data.pack, config.data.size = str(small_pack), 16
    config.protocols = (protocol,)
    config.epochs, config.measure_epochs = 2, (1, 2)
    config.optimizer.learning_rate = 1e-2
    config.run.tensorboard = False
    config.model.filters = (2, 4)
    for fields in config.rows.values():
        if "model" in fields:
            fields.model.hidden = (8,)
    config.lock()
    return config


@pytest.fixture(scope="module")
def workdir(small_pack, tmp_path_factory):
    """A workdir after a rule and a fitted method have run."""
    folder = tmp_path_factory.mktemp("fusion")
    run_experiment(fusion_config(small_pack, "mean,logistic"), folder)
    return folder


def stored(workdir, row, protocol="clip_random"):
    return predictions.load(workdir / "predictions" / f"{row}-{protocol}-fold0-seed0.npz")


def test_a_rule_joins_what_is_on_disk(workdir):
    face, mel, joined = (stored(workdir, row) for row in (*OF, "mean"))
    for epoch in (1, 2):
        parts = [p.examples[epoch, "test"] for p in (face, mel, joined)]
        # Audio alone has one example a clip: it counts for each of the clip's frames.
        of_clip = dict(zip(parts[1].clip.tolist(), parts[1].probabilities, strict=True))
        mel_probabilities = np.stack([of_clip[clip] for clip in parts[0].clip.tolist()])
        expected = (parts[0].probabilities + mel_probabilities) / 2
        np.testing.assert_allclose(parts[2].probabilities, expected, atol=1e-6)
        np.testing.assert_array_equal(parts[2].label, parts[0].label)


def test_records_of_decisions_are_like_any_other(workdir, small_pack):
    all_records = run_experiment(fusion_config(small_pack, "mean,logistic"), workdir)
    by_row = {(r["row"], r["epochs"]): r for r in all_records}
    assert set(by_row) == {(r, e) for r in (*OF, "mean", "logistic") for e in (1, 2)}
    mean = by_row["mean", 2]
    assert mean["n_test"] == 36 and mean["n_test_clips"] == 12
    assert mean["n_train"] == by_row["face", 2]["n_train"]
    # 60 clips of 12 actors, 12 of the clips for testing.
    assert (mean["n_train"], mean["n_train_clips"], mean["n_train_subjects"]) == (144, 48, 12)
    assert mean["n_folds"] == 1
    assert mean["parameters"] == sum(by_row[row, 2]["parameters"] for row in OF)
    assert mean["seconds_per_epoch"] == sum(by_row[row, 2]["seconds_per_epoch"] for row in OF)


def test_what_is_fitted_on_was_predicted_by_networks_that_had_not_seen_it(workdir, small_pack):
    config = fusion_config(small_pack, "logistic")
    data = pack.open_pack(small_pack)
    predicted = []
    for row in OF:
        cell = Cell(row, "clip_random", 0, 0)
        resolved = resolve.resolve_row(config, row)
        test = stored(workdir, row).examples[2, "test"]
        for inner in cell.inner(row, 3):
            kept, left_out = splits.split_cell(inner, resolved, data).values()
            assert not set(kept.clip) & set(left_out.clip)
            assert not set(test.clip) & (set(kept.clip) | set(left_out.clip))
            inner_predictions = predictions.load(
                workdir / "predictions" / "inner" / f"{inner.name}.npz"
            )
            assert set(inner_predictions.examples[2, "test"].clip) == set(left_out.clip)
            predicted += [(row, c) for c in set(left_out.clip.tolist())]
    assert len(predicted) == len(set(predicted)) == 2 * 48  # every training clip once a row
    assert not (workdir / "params" / "face-clip_random-fold0-seed0-inner0of3").exists()


def test_the_stacker_is_the_one_fitted_on_them(workdir):
    inner = {
        row: [
            predictions.load(
                workdir / "predictions" / "inner" / f"{row}-clip_random-fold0-seed0-inner{j}of3.npz"
            ).examples[2, "test"]
            for j in range(3)
        ]
        for row in OF
    }
    mel_by_clip = {
        clip: values
        for f in inner["mel"]
        for clip, values in zip(f.clip.tolist(), f.probabilities, strict=True)
    }
    face = np.concatenate([f.probabilities for f in inner["face"]])
    label = np.concatenate([f.label for f in inner["face"]])
    mel = np.stack([mel_by_clip[c] for f in inner["face"] for c in f.clip.tolist()])
    combine = decision_rules.fit("logistic", {"face": face, "mel": mel}, label)
    test, waveform = (stored(workdir, row).examples[2, "test"] for row in OF)
    of_clip = dict(zip(waveform.clip.tolist(), waveform.probabilities, strict=True))
    expected = combine(
        {"face": test.probabilities, "mel": np.stack([of_clip[c] for c in test.clip.tolist()])}
    )
    fused = stored(workdir, "logistic").examples[2, "test"].probabilities
    np.testing.assert_allclose(fused, expected, atol=1e-5)


def test_another_method_trains_nothing(workdir, small_pack, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr(cells.training, "train", refuse)
    rows = "product,maximum,majority,weighted,linear_svm,rbf_svm,knn"
    all_records = run_experiment(fusion_config(small_pack, rows), workdir)
    assert {r["row"] for r in all_records} >= set(rows.split(","))


def test_triplets_are_matched_by_clip_and_view(small_pack, tmp_path):
    of = ("mel", "face", "flow")  # three, in any order
    config = fusion_config(small_pack, "mean", "triplet_random")
    config.epochs = 1
    config.rows["mean"].fusion.rows = of
    all_records = run_experiment(config, tmp_path)
    *parts, joined = (
        stored(tmp_path, r, "triplet_random").examples[1, "test"] for r in (*of, "mean")
    )
    for part in parts:
        np.testing.assert_array_equal(part.clip, joined.clip)
        np.testing.assert_array_equal(part.view, joined.view)
    expected = sum(part.probabilities for part in parts) / 3
    np.testing.assert_allclose(joined.probabilities, expected, atol=1e-6)
    modalities = {r["row"]: r["modalities"] for r in all_records}
    assert modalities["mean"] == ["face", "flow", "mel"]


class Killed(BaseException):
    """Like SIGKILL: nothing in the program catches it."""


def test_a_killed_run_goes_on_and_leaves_the_same(workdir, small_pack, tmp_path, monkeypatch):
    config = fusion_config(small_pack, "logistic")
    name = "mel-clip_random-fold0-seed0-inner1of3"
    save, rmtree = predictions.save, shutil.rmtree

    def save_and_die(path, epoch, *rest):
        save(path, epoch, *rest)
        if (path.stem, epoch) == (name, 1):  # within an inner network
            raise Killed

    def die_before_clean_up(folder, *rest, **options):
        if folder.name == name:
            raise Killed
        rmtree(folder, *rest, **options)

    for module, function, dying in (
        (predictions, "save", save_and_die),
        (cells.shutil, "rmtree", die_before_clean_up),
    ):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(module, function, dying)
            run_experiment(config, tmp_path)
    run_experiment(config, tmp_path)
    inner = sorted(p.name for p in (tmp_path / "predictions" / "inner").iterdir())
    assert len(inner) == 6
    for file in (*(f"inner/{n}" for n in inner), "logistic-clip_random-fold0-seed0.npz"):
        expected = np.load(workdir / "predictions" / file)
        continued = np.load(tmp_path / "predictions" / file)
        assert expected.files == continued.files
        for name in expected.files:
            np.testing.assert_array_equal(continued[name], expected[name], f"{file}: {name}")
    assert not list((tmp_path / "checkpoints").iterdir())


def test_inner_networks_are_trained_from_their_own_rows_data(small_pack, tmp_path):
    """A network that sees only black says one thing of everything, and so do its inner ones."""
    whole = pack.open_pack(small_pack)
    kept = ("dataset", "origin", "builder_config", "version", "options", "skipped")
    black = {name: np.zeros_like(array) for name, array in whole.arrays.items()}
    pack.write_pack(tmp_path / "p", {k: whole.info[k] for k in kept}, dict(whole.table), black)
    config = fusion_config(small_pack, "logistic")
    config.epochs, config.fusion.inner_folds = 1, 2
    with config.unlocked():
        config.rows.face.data = {"pack": str(tmp_path / "p")}
    run_experiment(config, tmp_path / "run")
    for j in range(2):
        path = tmp_path / f"run/predictions/inner/face-clip_random-fold0-seed0-inner{j}of2.npz"
        assert np.ptp(predictions.load(path).examples[1, "test"].probabilities, axis=0).max() == 0


def test_inner_networks_learn_the_shuffled_labels_of_their_cell(small_pack):
    """Or a check that chance comes out would leave out what is fitted on top."""
    config = fusion_config(small_pack, "logistic")
    config.split.shuffle_labels = True
    data = pack.open_pack(small_pack)
    learned = {}
    for row in OF:
        cell, resolved = Cell(row, "clip_random", 0, 0), resolve.resolve_row(config, row)
        shuffled = splits.split_cell(cell, resolved, data)["train"]
        resolved.split.shuffle_labels = False
        plain = splits.split_cell(cell, resolved, data)["train"]
        assert (shuffled.label != plain.label).any()
        learned[row] = dict(zip(shuffled.clip.tolist(), shuffled.label.tolist(), strict=True))
        resolved.split.shuffle_labels = True
        for inner in cell.inner(row, 3):
            for subset in splits.split_cell(inner, resolved, data).values():
                assert [learned[row][c] for c in subset.clip.tolist()] == subset.label.tolist()
    assert learned["face"] == learned["mel"]


@pytest.mark.parametrize(
    ("row", "changes", "message"),
    [
        ("mean", {"rows.mean.fusion.method": "bayes"}, "unknown fusion method 'bayes'; known: m"),
        ("mean", {"rows.mean.fusion.rows": ("face", "voice")}, "row that mean fuses 'voice'"),
        ("mean", {"rows.mean.fusion.rows": ("face", "product")}, "itself a late fusion"),
        ("mean", {"rows.mean.fusion.rows": ()}, "needs two rows or more"),
        ("mean", {"rows.mean.data": {"emotions": ("anger", "fear")}}, "config.data.emotions is"),
        ("mean", {"rows.mel.epochs": 2}, "config.epochs is 1 for the one and 2 for the other"),
        ("knn", {"fusion.inner_folds": 40}, "inner_folds is 40: .* as many groups"),
    ],
)
def test_mistakes_are_explained(small_pack, tmp_path, row, changes, message):
    config = fusion_config(small_pack, row)
    config.epochs = 1
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    with pytest.raises(errors.UserError, match=message):
        run_experiment(config, tmp_path)


def ensemble_config(small_pack, protocol="actor_kfold"):
    """The networks of two seeds, of the audio alone, and their ensemble."""
    config = fusion_config(small_pack, "ensemble", protocol)
    config.epochs, config.measure_epochs, config.folds, config.seeds = 1, (1,), (0,), (3, 5)
    with config.unlocked():
        config.rows.ensemble = {
            "modalities": ("mel",),
            "fusion": {"method": "mean", "rows": ("mel",), "seeds": (3, 5)},
        }
    return config


def test_an_ensemble_of_seeds_is_one_cell_with_the_mean_of_their_probabilities(
    small_pack, tmp_path
):
    found = run_experiment(ensemble_config(small_pack), tmp_path)
    by_cell = {(r["row"], r["seed"]): r for r in found}
    assert set(by_cell) == {("mel", 3), ("mel", 5), ("ensemble", 3)}
    of_seed = [
        predictions.load(tmp_path / "predictions" / f"mel-actor_kfold-fold0-seed{s}.npz")
        for s in (3, 5)
    ]
    name = "ensemble-actor_kfold-fold0-seed3.npz"
    fused = predictions.load(tmp_path / "predictions" / name).examples[1, "test"]
    members = [p.examples[1, "test"] for p in of_seed]
    assert (members[0].probabilities != members[1].probabilities).any()
    np.testing.assert_allclose(
        fused.probabilities, (members[0].probabilities + members[1].probabilities) / 2, atol=1e-6
    )
    np.testing.assert_array_equal(fused.clip, members[0].clip)
    assert by_cell["ensemble", 3]["parameters"] == 2 * by_cell["mel", 3]["parameters"]


@pytest.mark.parametrize(
    ("protocol", "changes", "message"),
    [
        ("clip_random", {}, "under clip_random each seed tests other examples"),
        ("actor_kfold", {"seeds": (3, 4)}, "fuses the seeds 3, 5: run them all"),
        ("actor_kfold", {"rows.ensemble.fusion.seeds": (3,)}, "two networks or more"),
        ("actor_kfold", {"rows.ensemble.fusion.method": "knn"}, "'knn', which is fitted"),
        ("actor_kfold", {"split.tested": "validation"}, "leave out this row"),
    ],
)
def test_mistakes_in_ensembles_are_explained(small_pack, tmp_path, protocol, changes, message):
    config = ensemble_config(small_pack, protocol)
    config.split.validation_fraction = 0.3
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    with pytest.raises(errors.UserError, match=message):
        run_experiment(config, tmp_path)


def test_rows_named_for_all_rows_alone_are_told_where_they_belong(small_pack, tmp_path):
    config = fusion_config(small_pack, "mean")
    with pytest.raises(errors.UserError, match=r"--config\.rows\.mean\.fusion\.rows=face,"):
        run_experiment(config, tmp_path, {"fusion.rows": ("face", "flow", "mel")})

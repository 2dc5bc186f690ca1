"""`mmer tune`: its results, their independence of test data, and continued searches."""

import json
import shutil

import numpy as np
import pytest

from mmer_jax import errors, training
from mmer_jax.cli import tune as command
from mmer_jax.config import resolve
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import pack
from mmer_jax.protocols import splits
from mmer_jax.results import predictions
from mmer_jax.tuning import search

CELL = Cell("mel", "actor_kfold", 0, 0)
SEARCH = ("optimizer.learning_rate=log:1e-3:1e-1", "model.dropout_output=0.1,0.6")
TRIALS = 3


def arguments(workdir, data, *more, searched=SEARCH, trials=TRIALS):
    """Arguments that tune a tiny network; the validation split has two subjects."""
    defaults = [
        "--config=configs/ravdess_strong.py:mel",
        f"--workdir={workdir}",
        f"--trials={trials}",
        "--seed=5",
        "--search",
        *searched,
        f"--config.data.pack={data}",
        "--config.data.size=16",
        "--config.protocols=actor_kfold",
        "--config.folds=0",
        "--config.split.validation_fraction=0.25",
        "--config.model.filters=(4, 8)",
        "--config.model.hidden=(16,)",
        "--config.epochs=3",
        "--config.run.tensorboard=False",
    ]
    given = {argument.partition("=")[0] for argument in more}
    kept = [a for a in defaults if "=" not in a or a.partition("=")[0] not in given]
    # --config must come before the flags of its fields.
    return sorted([*kept, *more], key=lambda a: not a.startswith("--config="))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("tuned")


@pytest.fixture(scope="module")
def tuned(workdir, small_pack):
    """Trials of a finished search, as in WORKDIR/tuning.json."""
    assert command.main(arguments(workdir, small_pack)) == 0
    return read_trials(workdir)


def read_trials(workdir):
    with open(workdir / search.FILE_NAME) as file:
        return json.load(file)["trials"]


def load_predictions(workdir, n):
    path = workdir / "trials" / str(n) / "predictions" / f"{CELL.name}.npz"
    (((_, subset), examples),) = predictions.load(path).examples.items()
    assert subset == "test"  # of the validation split, which takes its place
    return examples


def split_clips(data, strong_config):
    """Returns the names of the clips in each subset of the command's split."""
    fields = {"data.size": 16, "split.validation_fraction": 0.25}
    row = resolve.resolve_row(strong_config, "mel", fields)
    split = splits.split_cell(CELL, row, pack.open_pack(data))
    return {name: set(subset.clip.tolist()) for name, subset in split.items()}


def test_metrics_are_of_validation_clips_and_no_test_clip_is_in_any_file(
    tuned, workdir, small_pack, strong_config
):
    assert [trial["trial"] for trial in tuned] == [0, 1, 2]
    assert tuned[0]["values"] == {"optimizer.learning_rate": 3e-4, "model.dropout_output": 0.4}
    expected = split_clips(small_pack, strong_config)
    correct = []
    for trial in tuned:
        examples = load_predictions(workdir, trial["trial"])
        assert set(examples.clip.tolist()) == expected["validation"]
        masks = {clip: examples.clip == clip for clip in examples.clip.tolist()}
        correct.append(
            [
                examples.probabilities[mask].mean(axis=0).argmax() == examples.label[mask][0]
                for mask in masks.values()
            ]
        )
        assert trial["accuracy"] == pytest.approx(np.mean(correct[-1]))
        # Two subjects with as many clips each: no interval where their accuracies agree.
        numbers = {}
        for clip, is_correct in zip(masks, correct[-1], strict=True):
            numbers.setdefault(clip[-2:], []).append(is_correct)
        first, second = map(sum, numbers.values())
        low, high = trial["interval"] or (None, None)
        assert low is None if first == second else low < trial["accuracy"] < high
        assert trial["spread"] is None  # one seed
        if trial["trial"]:
            difference = np.mean(correct[-1]) - np.mean(correct[0])
            assert trial["difference"][0] == pytest.approx(difference)
    assert len({tuple(c) for c in correct}) > 1  # otherwise the tests below show nothing
    assert not (workdir / "trials" / "1" / "params").exists()


def test_the_output_has_the_best_trial_first_and_its_flags(tuned, workdir, small_pack, capsys):
    best = search.rank(tuned)[0]
    assert best["accuracy"] == max(trial["accuracy"] for trial in tuned)
    assert command.main(arguments(workdir, small_pack)) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].split()[0] == str(best["trial"])
    assert best["groups"].endswith(" subjects")
    assert f"95% interval over {best['groups']}. Trial 0" in " ".join(out.split())
    assert "No network read the test split of its own fold and seed." in " ".join(out.split())
    assert "Results are incomplete: 1 of 5 folds (0)." in out
    values = best["values"]
    flag = f"--config.optimizer.learning_rate={values['optimizer.learning_rate']}"
    assert (flag in out.splitlines()[-1]) == (best["trial"] != 0)


def test_finished_trials_are_not_run_again(tuned, workdir, small_pack, monkeypatch, capsys):
    monkeypatch.setattr(search, "run_experiment", lambda *_: pytest.fail("a trial ran again"))
    assert command.main(arguments(workdir, small_pack, trials=2)) == 0
    assert read_trials(workdir) == tuned
    assert len([line for line in capsys.readouterr().out.splitlines() if line[:5].strip()]) > 2
    other = arguments(workdir, small_pack, searched=SEARCH[:1])
    assert command.main(other) == 2
    assert "holds trials of another search. Differences: searched: " in capsys.readouterr().err
    assert command.main(arguments(workdir, small_pack, "--config.batch_size=20")) == 2
    assert "config.batch_size: there 30, now 20" in capsys.readouterr().err


def test_test_clips_have_no_influence_and_an_interrupted_search_continues(
    tuned, small_pack, alter_pack, strong_config, tmp_path, monkeypatch, capsys
):
    """Test clips with noise for images and permuted labels give the same trials."""
    before = split_clips(small_pack, strong_config)
    altered = alter_pack(tmp_path / "16px", small_pack, before["test"])
    assert split_clips(altered, strong_config) == before
    started, run = [], search.run_experiment

    def interrupt_once(config, folder, overrides):
        started.append(folder.name)
        if len(started) == 2:
            raise training.Interrupted(15)
        return run(config, folder, overrides)

    monkeypatch.setattr(search, "run_experiment", interrupt_once)
    assert command.main(arguments(tmp_path / "w", altered)) == 128 + 15
    assert "run the same command again to continue" in capsys.readouterr().err
    assert command.main(arguments(tmp_path / "w", altered)) == 0
    assert started == ["0", "1", "1", "2"]
    assert read_trials(tmp_path / "w") == tuned


def test_a_diverged_trial_is_ranked_last(small_pack, tmp_path, capsys):
    searched = ["optimizer.learning_rate=1e38,1e37"]
    assert command.main(arguments(tmp_path, small_pack, searched=searched)) == 0
    out = capsys.readouterr().out
    assert [line.split()[:2] for line in out.splitlines()[2:4]] == [
        ["1", "diverged"],
        ["2", "diverged"],
    ]
    assert "The config's own values are the best." in out


def test_rank():
    def trial(n, accuracy, likelihood):
        return {"trial": n, "accuracy": accuracy, "negative_log_likelihood": likelihood}

    trials = [
        trial(0, None, None),
        trial(1, 0.5, 1.0),
        trial(2, 0.6, 2.0),
        trial(3, 0.6, 1.5),
        trial(4, 0.0, 9.0),
        trial(5, 0.6, 1.5),
    ]
    assert [t["trial"] for t in search.rank(trials)] == [3, 5, 2, 1, 4, 0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--config.protocols=triplet_random"],
            "the tuner cannot be used under triplet_random: its validation examples are versions",
        ),
        (["--config.split.validation_fraction=0"], "the tuner needs a validation subset"),
        (["--config.protocols=actor_kfold,clip_random"], "takes one protocol, not actor_kfold, "),
        (["--config=configs/ravdess_strong.py"], "takes one row with one network, not face, "),
        (["--config.early_stopping.patience=3"], "chosen by the examples that it is measured on"),
        (["--config.epcohs=3"], "no field 'epcohs'; did you mean 'epochs'?"),
        (["--config.epochs=two"], "epochs"),
        (["--config=configs/nothing.py"], "configs/nothing.py"),
        (["--workdri=x"], "workdri"),
        (["--trials=1"], "--trials is 1; it must be 2 or more"),
        (["--search", "optimizer.learning_rat=1:2"], "did you mean 'learning_rate'?"),
        (["--search", "batch_size=8,16", "batch_size=8:16"], "--search names a field twice"),
        (
            ["--search", "optimizer.weight_decay=1e-4,1e-3"],
            "weight_decay is for adamw",
        ),
    ],
)
def test_mistakes_are_reported_before_anything_runs(small_pack, tmp_path, capsys, more, message):
    status = command.main(arguments(tmp_path / "w", small_pack, *more))
    assert status == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and len(error.splitlines()) == 1
    assert not (tmp_path / "w").exists()


def test_a_missing_config_is_reported(tmp_path, capsys):
    assert command.main([f"--workdir={tmp_path}", "--search", *SEARCH]) == 2
    assert "--config is missing; try --config=configs/" in capsys.readouterr().err


def test_trials_on_other_data_are_not_compared(tuned, workdir, small_pack, tmp_path):
    """A search cannot be continued with a changed dataset."""
    shutil.copytree(workdir, tmp_path / "w")
    data = pack.open_pack(small_pack)
    rng = np.random.default_rng(0)
    arrays = {m: rng.permutation(np.asarray(array)) for m, array in data.arrays.items()}
    keys = ("dataset", "origin", "builder_config", "version", "options", "skipped")
    info = {key: data.info[key] for key in keys}
    pack.write_pack(tmp_path / "16px", info, dict(data.table), arrays)
    config, overrides = command.load_config(
        [a for a in arguments("w", tmp_path / "16px") if a.startswith("--config")]
    )
    with pytest.raises(errors.UserError, match="results from different data"):
        search.tune(config, tmp_path / "w", overrides, SEARCH, trials=TRIALS + 1, seed=5)

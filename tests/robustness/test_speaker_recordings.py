"""`mmer speakers` on a pack without recordings, against networks applied in the tests."""

import json
import shutil
import statistics

import jax
import numpy as np
import pytest

from mmer_jax import models
from mmer_jax.cli.speakers import main
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import pack
from mmer_jax.experiments.run import run_experiment
from mmer_jax.inference import workdirs
from mmer_jax.protocols import splits
from mmer_jax.reports import report
from mmer_jax.results import predictions, records
from mmer_jax.robustness.speaker_recordings import Speakers
from mmer_jax.robustness.speaker_results import FILE_NAME, Draw
from mmer_jax.training import checkpoints

CELLS = [f"mel-actor_kfold-fold{fold}-seed0" for fold in (0, 1)]


@pytest.fixture(scope="module")
def trained(small_pack, tmp_path_factory):
    """A workdir of a transductive row, two folds, and of an inductive one."""
    from configs import ravdess_strong

    workdir = tmp_path_factory.mktemp("speakers") / "run"
    config = ravdess_strong.get_config()
    with config.unlocked():
        config.rows.mel.input = {"normalization": "per_speaker"}
    config.row, config.protocols, config.folds = "mel,face", ("actor_kfold",), (0, 1)
    config.data.pack, config.data.size = str(small_pack), 16
    config.epochs, config.measure_epochs = 2, (2,)
    config.model.filters, config.optimizer.learning_rate = (4, 8), 3e-3
    for row in ("mel", "face"):
        config.rows[row].model.hidden = (16,)
    config.run.tensorboard = False
    run_experiment(config, workdir)
    return workdir


@pytest.fixture
def workdir(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def run(capsys, *arguments):
    status = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return status, out, " ".join(err.split())


def lines_of(workdir):
    return [json.loads(line) for line in (workdir / FILE_NAME).read_text().splitlines()]


def load(path):
    return predictions.load(path).examples[2, "test"]


def drawn(workdir, cell, name):
    return load(workdir / "predictions" / "speaker_recordings" / cell / f"{name}.npz")


def test_all_recordings_reproduce_the_result_and_one_is_the_clip_alone(workdir, capsys):
    status, out, _ = run(capsys, workdir, "--recordings", "1")
    assert status == 0
    assert [line["used"] for line in lines_of(workdir)] == 2 * [[1, 1], [5, 5]]
    for cell in CELLS:
        stored = load(workdir / "predictions" / f"{cell}.npz")
        np.testing.assert_allclose(
            drawn(workdir, cell, "random-all-draw0").probabilities, stored.probabilities, atol=1e-5
        )
    assert "all (5)" in out and "Protocol actor_kfold: " in out and "seeds (0)" in out

    # One recording, computed here.
    (record, *_) = [
        r for r in records.read(workdir / records.FILE_NAME) if (r["row"], r["fold"]) == ("mel", 1)
    ]
    config = workdirs.load_config(record)
    data, cell = pack.open_pack(config.data.pack), Cell("mel", "actor_kfold", 1, 0)
    test = splits.split_cell(cell, config, data)["test"]
    images = np.asarray(data.arrays["mel"][test.indices["mel"]]) / 255
    by_frequency = images - images.mean((2,), keepdims=True)
    by_frequency /= np.maximum(images.std((2,), keepdims=True), 1e-3)
    params = checkpoints.load_params(workdirs.params_folder(workdir, cell))
    logits = models.build(config).apply(
        {"params": params}, {"mel": by_frequency.astype(np.float32)}, train=False
    )
    expected, measured = jax.nn.softmax(logits), drawn(workdir, CELLS[1], "random-1-draw0")
    assert measured.clip.tolist() == test.clip.tolist()
    np.testing.assert_allclose(measured.probabilities, expected, atol=1e-4)


def test_the_table_has_means_and_differences_over_draws(workdir, capsys):
    _, out, _ = run(capsys, workdir, "--recordings", "2", "--draws", "3", "--markdown")
    accuracies = []
    for i in range(3):
        tests = [drawn(workdir, cell, f"random-2-draw{i}") for cell in CELLS]
        correct = np.concatenate([t.probabilities.argmax(1) == t.label for t in tests])
        accuracies.append(100 * correct.mean())
    assert len(set(accuracies)) > 1  # otherwise the draws are all the same
    everything = [load(workdir / "predictions" / f"{cell}.npz") for cell in CELLS]
    correct = np.concatenate([t.probabilities.argmax(1) == t.label for t in everything])
    mean, full = statistics.fmean(accuracies), 100 * correct.mean()
    rows = [[cell.strip() for cell in line.split("|")] for line in out.splitlines()]
    (two,) = [row for row in rows if row[2:3] == ["2"]]
    assert two[1] == "mel (transductive)"
    assert two[3].split()[0] == f"{mean:.1f}"
    assert two[4] == f"±{statistics.stdev(accuracies):.1f}"
    assert float(two[5].split()[0]) == pytest.approx(full - mean, abs=0.051)
    assert two[6:8] == ["3", "2"]


def test_finished_draws_are_not_measured_again_and_more_are_added(workdir, capsys):
    run(capsys, workdir, "--recordings", "1", "2", "--draws", "2")
    first = (workdir / FILE_NAME).read_text()
    run(capsys, workdir, "--recordings", "2", "3", "--draws", "2", "--one_emotion")
    text = (workdir / FILE_NAME).read_text()
    assert text.startswith(first)
    added = [json.loads(line) for line in text[len(first) :].splitlines()]
    # The data have one recording of each speaker and emotion.
    new = [("random", 3, 0), ("random", 3, 1), ("one_emotion", None, 0)]
    assert [(r["kind"], r["recordings"], r["number"]) for r in added] == 2 * new
    page = report.write_report(workdir).read_text()
    assert "Recordings of a tested speaker under actor_kfold" in page
    assert "all (1) of one emotion" in page


def test_stored_results_are_printed_without_parameters(workdir, capsys):
    status, _, err = run(capsys, workdir, "--stored")
    assert status == 2 and "has no results yet: leave out --stored" in err
    _, measured, _ = run(capsys, workdir, "--recordings", "1")
    shutil.rmtree(workdir / "params")
    assert run(capsys, workdir, "--stored") == (0, measured, "")
    status, _, err = run(capsys, workdir)
    assert status == 2 and "no parameters" in err


def test_a_workdir_of_inductive_networks_is_refused(workdir, capsys):
    status, _, err = run(capsys, workdir, "--rows", "face")
    assert status == 2 and "no transductive network among the rows face" in err
    status, _, err = run(capsys, workdir, "--recordings", "0")
    assert status == 2 and "start at 1, not 0" in err


@pytest.fixture
def speakers():
    """Recordings of two speakers, 12 and 6, in two emotions; four of the first are tested."""
    clips = np.array([f"clip{i:02d}" for i in range(18)])
    speaker = np.where(np.arange(18) < 12, "a", "b")
    emotion = np.array(["anger", "fear"])[np.arange(18) % 2]
    return Speakers(clips[[0, 3, 4, 12]], clips, speaker, emotion, {}, {})


def test_a_draw_has_the_clip_and_others_of_its_speaker(speakers):
    for number in (1, 2, 5):
        used = speakers.draw(Draw("random", number, 0))
        assert (used.sum(1) == number).all()
        assert used[[0, 1, 2, 3], [0, 3, 4, 12]].all()
        assert not used[:3, 12:].any() and not used[3, :12].any()
    everything = speakers.draw(Draw("random", None, 0))
    assert everything.sum(1).tolist() == [12, 12, 12, 6]
    assert (speakers.draw(Draw("random", 8, 0)).sum(1) == [8, 8, 8, 6]).all()  # b has 6


def test_draws_are_uniform_and_smaller_ones_are_within_larger_ones(speakers):
    counts = sum(speakers.draw(Draw("random", 4, i)).astype(int) for i in range(400))
    others = np.delete(counts[0, :12], 0)
    assert others.sum() == 3 * 400
    assert others.std() < 3 * (400 * 3 / 11 * 8 / 11) ** 0.5  # of the binomial distribution
    assert others.min() > 60
    for i in range(5):
        small, large = (speakers.draw(Draw("random", n, i)) for n in (3, 7))
        assert (large | ~small).all()
    clip_alone = Speakers(speakers.tests[1:2], *(getattr(speakers, f) for f in FIELDS[1:]))
    np.testing.assert_array_equal(
        clip_alone.draw(Draw("random", 4, 0))[0], speakers.draw(Draw("random", 4, 0))[1]
    )


FIELDS = ("tests", "clips", "speaker", "emotion", "sums", "groups")


def test_recordings_of_one_emotion_are_those_of_the_clip(speakers):
    used = speakers.draw(Draw("one_emotion", 3, 0))
    assert (used.sum(1) == 3).all()
    for row, clip in zip(used, speakers.tests.tolist(), strict=True):
        own = speakers.clips.tolist().index(clip)
        assert row[own] and set(speakers.emotion[row]) == {speakers.emotion[own]}
    assert speakers.draw(Draw("one_emotion", None, 0)).sum(1).tolist() == [6, 6, 6, 3]


def test_numbers_that_give_all_recordings_are_measured_once(speakers):
    listed = speakers.list_draws((1, 4, 6, 12, 60), 2, True)
    assert [draw[1:] for draw in listed if draw.kind == "random"] == [
        *((1, 0), (4, 0), (4, 1), (6, 0), (6, 1)),
        (None, 0),
    ]
    assert [draw[1:] for draw in listed if draw.kind == "one_emotion"] == [
        (4, 0),
        (4, 1),
        (None, 0),
    ]

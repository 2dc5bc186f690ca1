"""`mmer robustness` on a pack without recordings, against images altered in the tests."""

import json
import shutil

import jax
import numpy as np
import pytest
import sklearn.metrics

from mmer_jax import models
from mmer_jax.cli.robustness import main
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import pack
from mmer_jax.inference import workdirs
from mmer_jax.protocols import splits
from mmer_jax.results import predictions, records
from mmer_jax.robustness import results
from mmer_jax.training import checkpoints


def run(capsys, *arguments):
    status = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return status, out, " ".join(err.split())


def lines_of(workdir):
    return [json.loads(line) for line in (workdir / results.FILE_NAME).read_text().splitlines()]


def predictions_under(condition, workdir, cell):
    path = workdir / "predictions" / "robustness" / cell / f"{condition}.npz"
    return predictions.load(path).examples[3, "test"]


def test_every_row_is_tested_under_every_applicable_condition(workdir, capsys):
    status, out, err = run(capsys, workdir)
    assert status == 2  # noisy audio needs recordings
    assert err.count("cannot be tested on noisy audio") == 2  # face_mel, normalized
    assert "the folder of the recordings is not known; name it with --manual_dir=DIR" in err
    lines = lines_of(workdir)
    tests = {(line["row"], line["corruption"], line["level"]) for line in lines}
    faces = {
        *(("blur", level) for level in (1.0, 2.0, 4.0, 8.0)),
        *(("darken", level) for level in (50.0, 75.0, 90.0)),
        *(("occlude", level) for level in (10.0, 25.0, 50.0)),
        *(("low_resolution", level) for level in (32.0, 16.0, 8.0, 4.0)),
    }
    assert tests == {
        *(("face", *condition) for condition in faces),
        *(("face_mel", *condition) for condition in faces),
        *(("normalized", *condition) for condition in faces),
        *((row, "missing", m) for row in ("face_mel", "normalized") for m in ("face", "mel")),
        *((row, "none", None) for row in ("face", "face_mel", "normalized")),
    }
    assert len(lines) == 2 * len(tests)  # seeds
    by_corruption = {line["corruption"]: line["altered"] for line in lines}
    assert by_corruption["none"] == [] and by_corruption["blur"] == ["face"]
    assert "clip_random, blurred faces" in out and "without mel spectrogram" in out
    for line in lines:
        assert np.sum(line["confusion"]) == line["n_test_clips"] == 12
        assert line["epochs"] == 3


def test_untouched_inputs_reproduce_the_stored_predictions(workdir, capsys):
    run(capsys, workdir, "--corruptions", "missing")
    for seed in (0, 1):
        cell = f"face_mel-clip_random-fold0-seed{seed}"
        stored = predictions.load(workdir / "predictions" / f"{cell}.npz").examples[3, "test"]
        untouched = predictions_under("none", workdir, cell)
        np.testing.assert_allclose(untouched.probabilities, stored.probabilities, atol=1e-6)
        assert untouched.clip.tolist() == stored.clip.tolist()
        (line,) = (
            line
            for line in lines_of(workdir)
            if (line["row"], line["seed"], line["corruption"]) == ("face_mel", seed, "none")
        )
        assert line["largest_difference"] <= 1e-6
        clip = np.unique(stored.clip)
        mean = np.stack([stored.probabilities[stored.clip == c].mean(0) for c in clip])
        label = [stored.label[stored.clip == c][0] for c in clip]
        predicted = mean.argmax(1)
        assert line["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(label, predicted))
        assert (
            line["confusion"]
            == sklearn.metrics.confusion_matrix(label, predicted, labels=range(5)).tolist()
        )


@pytest.mark.parametrize("row", ["face_mel", "normalized"])
@pytest.mark.parametrize(
    ("condition", "change", "absent"),
    [
        ("darken-50", lambda face: np.rint(face * 0.5).astype(np.uint8), None),
        ("low_resolution-1", lambda face: mean_color(face), None),
        ("missing-face", lambda face: face, "face"),
        ("missing-mel", lambda face: face, "mel"),
    ],
)
def test_inputs_are_altered_as_the_condition_says(
    workdir, capsys, small_pack, row, condition, change, absent
):
    """Compares with the same network applied to images altered and normalized in this test."""
    corruption, _, level = condition.partition("-")
    flags = [f"--{corruption}", level] if absent is None else []
    run(capsys, workdir, "--rows", row, "--corruptions", corruption, *flags)
    cell = Cell(row, "clip_random", 0, 1)
    record = [r for r in records.read(workdir / records.FILE_NAME) if r["row"] == row][-1]
    config, data = workdirs.load_config(record), pack.open_pack(small_pack)
    split = splits.split_cell(cell, config, data)
    inputs = {}
    for name, indices in split["test"].indices.items():
        images = np.asarray(data.arrays[name])
        x = change(images[indices]) if name == "face" else images[indices]
        x = x / np.float32(255)
        if row == "normalized":
            train = images[split["train"].indices[name]] / np.float32(255)
            axes = (0, 1, 2) if name == "face" else (0, 2)  # each frequency band by itself
            x = (x - train.mean(axes, keepdims=True)) / train.std(axes, keepdims=True)
        inputs[name] = np.zeros_like(x) if name == absent else x
    params = checkpoints.load_params(workdir / "params" / cell.name)
    logits = models.build(config).apply({"params": params}, inputs, train=False)
    examples = predictions_under(condition, workdir, cell.name)
    np.testing.assert_allclose(examples.probabilities, jax.nn.softmax(logits), atol=1e-4)
    assert examples.label.tolist() == split["test"].label.tolist()


def mean_color(face):
    return np.broadcast_to(
        np.rint(face.mean((1, 2), keepdims=True, dtype=np.float64)).astype(np.uint8), face.shape
    )


def test_existing_results_are_not_measured_again(workdir, capsys):
    arguments = (workdir, "--rows", "face", "--corruptions", "blur", "--blur", "4")
    assert run(capsys, *arguments)[0] == 0
    before = (workdir / results.FILE_NAME).read_bytes()
    assert before.count(b"\n") == 4  # two seeds, untouched and one level
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "") and "4 %" in out
    assert (workdir / results.FILE_NAME).read_bytes() == before
    # A killed run: the torn last line is measured again, and a new level is added.
    with open(workdir / results.FILE_NAME, "r+b") as file:
        file.truncate(len(before) - 7)
    assert run(capsys, *arguments, "2")[0] == 0
    after = (workdir / results.FILE_NAME).read_bytes()
    intact = before[: before[:-1].rindex(b"\n") + 1]
    assert after.startswith(intact) and after.count(b"\n") == 6
    keys = [results.make_key(line) for line in results.read_results(workdir)]
    assert len(set(keys)) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "flow"], "unknown row 'flow'; known: face, face_mel, normalized"),
        (["--protocol", "actor"], "unknown protocol 'actor'; known: clip_random"),
        (["--corruptions", "rain"], "unknown corruption 'rain'; known: blur, darken"),
        (["--occlude", "120"], "a level of occlude must be from 0 to 100 %, found 120"),
        (["--pack", "nowhere"], "nowhere is not a pack: it does not exist"),
    ],
)
def test_a_mistake_gives_one_message(workdir, capsys, arguments, message):
    status, _, err = run(capsys, workdir, *arguments)
    assert status == 2 and err.startswith("error: ") and message in err
    assert not (workdir / results.FILE_NAME).exists()


def test_missing_runs_and_parameters_are_reported(workdir, tmp_path, capsys):
    assert "holds no record" in run(capsys, tmp_path / "nothing")[2]
    (workdir / "params").rename(tmp_path / "elsewhere")
    status, _, err = run(capsys, workdir, "--rows", "face")
    assert status == 2 and "no network to test: 2 of 2 cells of row face have no parameters" in err


def test_changed_parameters_are_refused(workdir, capsys):
    folder = workdir / "params" / "face-clip_random-fold0-seed0"
    params = checkpoints.load_params(folder)
    params["output"]["bias"] = params["output"]["bias"] + np.arange(5, dtype=np.float32)
    checkpoints.save_params(folder, params)
    status, _, err = run(capsys, workdir, "--rows", "face")
    assert status == 2
    assert "the network of face-clip_random-fold0-seed0 does not reproduce its stored pred" in err


def test_changed_data_are_refused(workdir, small_pack, tmp_path, capsys):
    old = pack.open_pack(small_pack)
    brighter = {name: np.asarray(array) | 1 for name, array in old.arrays.items()}
    pack.write_pack(tmp_path / "16px", old.info, old.table, brighter)
    status, _, err = run(capsys, workdir, "--pack", tmp_path / "16px")
    assert status == 2 and "holds other data than row face" in err


def test_stored_results_are_printed_without_parameters(workdir, capsys):
    status, _, err = run(capsys, workdir, "--stored")
    assert status == 2 and "has no results yet: leave out --stored" in err
    _, measured, _ = run(capsys, workdir, "--corruptions", "missing")
    shutil.rmtree(workdir / "params")
    assert run(capsys, workdir, "--stored") == (0, measured, "")

"""The command on networks trained on a pack alone: what it says against images altered here."""

import json

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


def said(workdir, cell, condition):
    path = workdir / "predictions" / "robustness" / cell / f"{condition}.npz"
    return predictions.load(path).examples[3, "test"]


def test_every_row_under_every_condition_that_it_can_meet(workdir, capsys):
    status, out, err = run(capsys, workdir)
    assert status == 2  # for the one thing that a pack alone cannot give
    assert err.count("cannot be tested on noisy audio") == 2  # face_mel, normalized
    assert "the recordings are not known; name their folder with --manual_dir=DIR" in err
    lines = lines_of(workdir)
    found = {(line["row"], line["corruption"], line["level"]) for line in lines}
    faces = {
        *(("blur", level) for level in (1.0, 2.0, 4.0, 8.0)),
        *(("darken", level) for level in (50.0, 75.0, 90.0)),
        *(("occlude", level) for level in (10.0, 25.0, 50.0)),
        *(("low_resolution", level) for level in (32.0, 16.0, 8.0, 4.0)),
    }
    assert found == {
        *(("face", *one) for one in faces),
        *(("face_mel", *one) for one in faces),
        *(("normalized", *one) for one in faces),
        *((row, "missing", m) for row in ("face_mel", "normalized") for m in ("face", "mel")),
        *((row, "none", None) for row in ("face", "face_mel", "normalized")),
    }
    assert len(lines) == 2 * len(found)  # seeds
    by_condition = {line["corruption"]: line["altered"] for line in lines}
    assert by_condition["none"] == [] and by_condition["blur"] == ["face"]
    assert "clip_random, blurred faces" in out and "without mel spectrogram" in out
    for line in lines:
        assert np.sum(line["confusion"]) == line["n_test_clips"] == 12
        assert line["epochs"] == 3


def test_untouched_inputs_give_the_stored_predictions(workdir, capsys):
    run(capsys, workdir, "--corruptions", "missing")
    for seed in (0, 1):
        cell = f"face_mel-clip_random-fold0-seed{seed}"
        stored = predictions.load(workdir / "predictions" / f"{cell}.npz").examples[3, "test"]
        again = said(workdir, cell, "none")
        np.testing.assert_allclose(again.probabilities, stored.probabilities, atol=1e-6)
        assert again.clip.tolist() == stored.clip.tolist()
        (line,) = (
            line
            for line in lines_of(workdir)
            if (line["row"], line["seed"], line["corruption"]) == ("face_mel", seed, "none")
        )
        assert line["largest_difference"] <= 1e-6
        clip = np.unique(stored.clip)
        mean = np.stack([stored.probabilities[stored.clip == c].mean(0) for c in clip])
        label = [stored.label[stored.clip == c][0] for c in clip]
        decided = mean.argmax(1)
        assert line["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(label, decided))
        assert (
            line["confusion"]
            == sklearn.metrics.confusion_matrix(label, decided, labels=range(5)).tolist()
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
def test_the_network_sees_what_the_condition_says(
    workdir, capsys, small_pack, row, condition, change, absent
):
    """The same network applied here to images that are altered and normalized here."""
    corruption, _, level = condition.partition("-")
    flags = [f"--{corruption}", level] if absent is None else []
    run(capsys, workdir, "--rows", row, "--corruptions", corruption, *flags)
    cell = Cell(row, "clip_random", 0, 1)
    record = [r for r in records.read(workdir / records.FILE_NAME) if r["row"] == row][-1]
    config, data = workdirs.config_of(record), pack.open_pack(small_pack)
    parts = splits.split_examples(cell, config, data)
    seen = {}
    for name, rows in parts["test"].indices.items():
        images = np.asarray(data.arrays[name])
        x = change(images[rows]) if name == "face" else images[rows]
        x = x / np.float32(255)
        if row == "normalized":
            trained_on = images[parts["train"].indices[name]] / np.float32(255)
            axes = (0, 1, 2) if name == "face" else (0, 2)  # frequencies by themselves
            x = (x - trained_on.mean(axes, keepdims=True)) / trained_on.std(axes, keepdims=True)
        seen[name] = np.zeros_like(x) if name == absent else x
    params = checkpoints.load_params(workdir / "params" / cell.name)
    logits = models.build(config).apply({"params": params}, seen, train=False)
    found = said(workdir, cell.name, condition)
    np.testing.assert_allclose(found.probabilities, jax.nn.softmax(logits), atol=1e-4)
    assert found.label.tolist() == parts["test"].label.tolist()


def mean_color(face):
    return np.broadcast_to(
        np.rint(face.mean((1, 2), keepdims=True, dtype=np.float64)).astype(np.uint8), face.shape
    )


def test_what_is_there_is_not_measured_again(workdir, capsys):
    arguments = (workdir, "--rows", "face", "--corruptions", "blur", "--blur", "4")
    assert run(capsys, *arguments)[0] == 0
    before = (workdir / results.FILE_NAME).read_bytes()
    assert before.count(b"\n") == 4  # two seeds, untouched and one level
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "") and "4 %" in out
    assert (workdir / results.FILE_NAME).read_bytes() == before
    # A killed run: the last line is torn, so it is measured again, and a new level with it.
    with open(workdir / results.FILE_NAME, "r+b") as file:
        file.truncate(len(before) - 7)
    assert run(capsys, *arguments, "2")[0] == 0
    after = (workdir / results.FILE_NAME).read_bytes()
    whole = before[: before[:-1].rindex(b"\n") + 1]
    assert after.startswith(whole) and after.count(b"\n") == 6
    keys = [results.key(line) for line in results.read(workdir)]
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
def test_mistakes_end_in_one_message(workdir, capsys, arguments, message):
    status, _, err = run(capsys, workdir, *arguments)
    assert status == 2 and err.startswith("error: ") and message in err
    assert not (workdir / results.FILE_NAME).exists()


def test_no_run_no_parameters(workdir, tmp_path, capsys):
    assert "holds no record" in run(capsys, tmp_path / "nothing")[2]
    (workdir / "params").rename(tmp_path / "elsewhere")
    status, _, err = run(capsys, workdir, "--rows", "face")
    assert status == 2 and "no network to test: 2 of 2 cells of row face have no parameters" in err


def test_networks_that_changed_are_noticed(workdir, capsys):
    folder = workdir / "params" / "face-clip_random-fold0-seed0"
    params = checkpoints.load_params(folder)
    params["output"]["bias"] = params["output"]["bias"] + np.arange(5, dtype=np.float32)
    checkpoints.save_params(folder, params)
    status, _, err = run(capsys, workdir, "--rows", "face")
    assert status == 2
    assert "the network of face-clip_random-fold0-seed0 does not say what it said" in err


def test_other_data_are_noticed(workdir, small_pack, tmp_path, capsys):
    old = pack.open_pack(small_pack)
    brighter = {name: np.asarray(array) | 1 for name, array in old.arrays.items()}
    pack.write_pack(tmp_path / "16px", old.info, old.table, brighter)
    status, _, err = run(capsys, workdir, "--pack", tmp_path / "16px")
    assert status == 2 and "holds other data than row face" in err

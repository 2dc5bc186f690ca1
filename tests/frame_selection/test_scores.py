"""Which networks score which frames, the scores, and the command from training to list."""

import dataclasses

import flax.linen as nn
import numpy as np
import pytest

from mmer_jax import errors, models
from mmer_jax.cli.frames import main
from mmer_jax.config import resolve
from mmer_jax.datasets import frame_lists, pack
from mmer_jax.experiments.run import run_experiment
from mmer_jax.frame_selection import scores
from mmer_jax.protocols import registry
from mmer_jax.training import checkpoints

SUBJECTS = [f"S{number:03d}" for number in (1, 2, 3, 4, 6, 7, 8)]
EMOTIONS = ("anger", "fear")


def folds_of(subjects):
    return registry.subject_folds({"subject": np.array(subjects)})


# Pure functions, with handmade probabilities.


def test_no_frame_is_scored_by_a_network_trained_on_its_subject():
    rng = np.random.default_rng(0)
    subject = rng.permutation(np.repeat(SUBJECTS, 5))
    trained_on = [set(SUBJECTS) - set(tested) for tested in folds_of(SUBJECTS).values()]
    probabilities = rng.dirichlet(np.ones(4), (len(trained_on), len(subject)))
    for network, subjects in enumerate(trained_on):
        probabilities[network, np.isin(subject, list(subjects))] = np.nan  # must not be averaged
    used = scores.assign_networks(subject, trained_on)
    score = scores.combine(probabilities, used)
    assert (used.sum(0) == 1).all()
    np.testing.assert_allclose(score, np.nanmax(probabilities, axis=(0, 2)))


def test_left_out_subjects_are_scored_by_all_networks_and_others_by_one():
    left_out = folds_of(SUBJECTS)[0]
    inner = [name for name in SUBJECTS if name not in left_out]
    trained_on = [set(inner) - set(tested) for tested in folds_of(inner).values()]
    subject = np.repeat(SUBJECTS, 3)
    used = scores.assign_networks(subject, trained_on)
    assert used[:, np.isin(subject, left_out)].all()
    assert (used[:, ~np.isin(subject, left_out)].sum(0) == 1).all()
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(4), used.shape)
    score = scores.combine(probabilities, used)
    i = np.flatnonzero(np.isin(subject, left_out))[0]
    assert score[i] == pytest.approx(probabilities[:, i].mean(0).max())


def test_in_sample_frames_are_scored_by_networks_trained_on_the_subject():
    subject = np.array(["a", "b", "c", "d"])
    trained_on = [{"b", "c"}, {"a", "c"}, {"a", "b"}]
    used = scores.assign_networks(subject, trained_on, in_sample=True)
    assert used.T.tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 1, 1]]
    assert (scores.assign_networks(subject[:3], trained_on) == ~used[:, :3]).all()


def test_a_subject_that_all_networks_were_trained_on_is_reported():
    with pytest.raises(errors.UserError, match="trained on b: run all folds of actor_kfold"):
        scores.assign_networks(np.array(["a", "b"]), [{"b"}, {"a", "b"}])


# The command on a small pack: ten frames of each of 14 clips, 16 pixels. Two of the ten show the
# clip's emotion, and these are picked.

FRAMES = 10
EXPRESSIVE = (3, 7)


@pytest.fixture(scope="module")
def frames_pack(tmp_path_factory):
    clips = [f"{s}_{number:03d}" for s in SUBJECTS for number in (1, 2)]
    n = len(clips) * FRAMES
    clip = np.repeat(clips, FRAMES)
    index = np.tile(np.arange(1, FRAMES + 1), len(clips))
    emotion = np.repeat(np.array(EMOTIONS)[np.arange(len(clips)) % 2], FRAMES)
    rng = np.random.default_rng(0)
    # Anger is red, fear is blue, and the other frames are gray.
    direction = np.where(np.isin(index, EXPRESSIVE), np.where(emotion == "anger", 1, -1), 0)
    color = 125 + 90 * direction[:, None] * np.array([1, 0, -1])
    face = np.clip(color[:, None, None, :] + rng.normal(0, 12, (n, 16, 16, 3)), 0, 255)
    table = {
        "clip": clip,
        "view": index - 1,
        "emotion": emotion,
        "subject": np.array([name[:4] for name in clip.tolist()]),
        "gender": np.full(n, "female"),
        "intensity": np.full(n, "acted"),
        "statement": np.zeros(n, int),
        "repetition": np.zeros(n, int),
        "channel": np.full(n, "audio_video"),
        "audio_variant": np.full(n, "original"),
        "content_id": clip,
        "frame_index": index,
        "frame_time": index / np.float32(25),
        "duration": np.ones(n, np.float32),
    }
    info = {
        "dataset": "baum1_acted",
        "origin": "rendered",
        "builder_config": "frames",
        "version": "1.0.0",
        "options": {},
        "skipped": {},
    }
    path = tmp_path_factory.mktemp("pack") / "16px"
    pack.write_pack(path, info, table, {"face": face.astype(np.uint8)})
    picked = [(name, frame) for name in clips for frame in EXPRESSIVE]
    frame_lists.write(path.parent / "picks.csv", frame_lists.PICKS, picked)
    return path


def small_config(frames_pack, **split):
    from configs import baum1_selector

    config = baum1_selector.get_config()
    config.data.pack = str(frames_pack)
    config.data.picked = str(frames_pack.parent / "picks.csv")
    config.data.size = 16
    config.data.emotions = EMOTIONS
    config.batch_size = 10
    config.epochs, config.measure_epochs = 20, (20,)
    config.model.filters = (4, 8)
    config.rows.face.model.hidden = (16,)
    config.optimizer.learning_rate = 3e-3
    config.run.tensorboard = False
    config.split.update(split)
    return config


@pytest.fixture(scope="module")
def workdir(frames_pack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("selector")
    run_experiment(small_config(frames_pack), folder)
    return folder


def column(path, name):
    lines = path.read_text().splitlines()
    position = lines[0].split(",").index(name)
    return [line.split(",")[position] for line in lines[1:]]


def test_every_frame_is_scored_by_the_network_tested_on_its_subject(workdir, tmp_path):
    out = tmp_path / "scores.csv"
    assert main(["score", "--workdir", str(workdir), "--out", str(out)]) == 0
    listed = frame_lists.read_scores(out)
    assert len(listed) == 14 * FRAMES and set(listed.rows["S001_001"]) == set(range(1, FRAMES + 1))
    assert all(0.5 <= s <= 1 for frames in listed.scores.values() for s in frames.values())
    tested = {name: str(fold) for fold, names in folds_of(SUBJECTS).items() for name in names}
    assert column(out, "folds") == [tested[clip[:4]] for clip in column(out, "clip")]


def test_a_score_is_the_largest_probability_of_that_network(workdir, frames_pack, tmp_path):
    """Compares the scores with the model's output."""
    out = tmp_path / "scores.csv"
    scores.score_workdir(workdir, out)
    resolved = resolve.resolve_row(small_config(frames_pack), "face")
    data = pack.open_pack(frames_pack)
    listed = frame_lists.read_scores(out).scores
    for clip, fold in (("S001_002", 0), ("S003_001", 2)):
        params = checkpoints.load_params(workdir / "params" / f"face-actor_kfold-fold{fold}-seed0")
        indices = np.flatnonzero(data.table["clip"] == clip)
        model = models.build(resolved)
        logits = model.apply(
            {"params": params}, {"face": data.arrays["face"][indices]}, train=False
        )
        expected = np.asarray(nn.softmax(logits)).max(-1)
        np.testing.assert_allclose(list(listed[clip].values()), expected, rtol=1e-5)


def test_expressive_frames_are_ranked_first(workdir, tmp_path):
    """The networks generalize to the unseen speakers whose frames they score."""
    out = tmp_path / "scores.csv"
    scores.score_workdir(workdir, out)
    clips = frame_lists.read_scores(out).scores
    correct = sum(set(sorted(s, key=s.get)[-2:]) == set(EXPRESSIVE) for s in clips.values())
    assert correct >= 0.8 * len(clips)


def test_the_clips_own_label_is_never_read(workdir, frames_pack):
    """With permuted labels, the trained networks give every frame the same score."""
    resolved = resolve.resolve_row(small_config(frames_pack), "face")
    data = pack.open_pack(frames_pack)
    cells, _ = scores._finished_cells(workdir, None)
    # Labels are permuted within subjects, since folds depend on the labels that a subject has.
    permuted = data.table["emotion"].copy()
    for subject in np.unique(data.table["subject"]):
        clips = np.unique(data.table["clip"][data.table["subject"] == subject])
        emotions = [data.table["emotion"][data.table["clip"] == clip][0] for clip in clips]
        for clip, emotion in zip(clips, np.roll(emotions, 1), strict=True):
            permuted[data.table["clip"] == clip] = emotion
    other = dataclasses.replace(data, table=data.table | {"emotion": permuted})
    assert (permuted != data.table["emotion"]).any()
    both = []
    for labeled in (data, other):
        networks = [scores._load_network(cell, resolved, labeled, workdir) for cell in cells]
        both.append(scores.score_pack(labeled, resolved, networks)[0])
    np.testing.assert_array_equal(*both)
    # A table without labels is enough.
    bare = dataclasses.replace(data, table={"subject": data.table["subject"]})
    np.testing.assert_array_equal(scores.score_pack(bare, resolved, networks)[0], both[0])


def test_left_out_subjects_are_not_trained_on_and_are_scored_by_all_networks(frames_pack, tmp_path):
    config = small_config(frames_pack, leave_out_fold=1)
    config.epochs, config.measure_epochs = 1, (1,)
    records = run_experiment(config, tmp_path / "w")
    left_out = folds_of(SUBJECTS)[1]
    assert not set(records[0]["dataset"]["subjects"]) & set(left_out)
    out = tmp_path / "scores.csv"
    summary = scores.score_workdir(tmp_path / "w", out)
    assert summary.endswith(f"none of which was trained on {', '.join(left_out)}")
    folds = dict(zip(column(out, "clip"), column(out, "folds"), strict=True))
    inner = folds_of([name for name in SUBJECTS if name not in left_out])
    for clip, listed in folds.items():
        if clip[:4] in left_out:
            assert listed == " ".join(map(str, inner))
        else:
            assert clip[:4] in inner[int(listed)]


def test_in_sample_scores_as_in_the_paper(workdir, tmp_path):
    out = tmp_path / "scores.csv"
    command = ["score", "--workdir", str(workdir), "--out", str(out), "--in_sample"]
    assert main(command) == 0
    tested = {name: fold for fold, names in folds_of(SUBJECTS).items() for name in names}
    for clip, listed in zip(column(out, "clip"), column(out, "folds"), strict=True):
        assert {int(f) for f in listed.split()} == set(range(5)) - {tested[clip[:4]]}


def test_a_mistake_gives_one_message(workdir, frames_pack, small_pack, tmp_path, capsys):
    def message(folder, *more):
        command = ["score", "--workdir", str(folder), "--out", str(tmp_path / "scores.csv"), *more]
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        return error

    assert "holds no results under actor_kfold: train" in message(tmp_path)
    assert "'flow'; known: face" in message(workdir, "--row", "flow")
    assert "nowhere is not a pack" in message(workdir, "--pack", "nowhere")
    assert "--config.data.dataset=ravdess" in message(workdir, "--pack", str(small_pack))
    params = workdir / "params" / "face-actor_kfold-fold3-seed0"
    aside = params.rename(tmp_path / "aside")
    assert "no finished network of fold 3 seed 0: run its command again" in message(workdir)
    aside.rename(params)
    picks = frame_lists.write(tmp_path / "other.csv", frame_lists.PICKS, [("S001_001", 3)])
    assert "have changed since its networks were" in message(workdir, "--picked", str(picks))
    assert "no file nowhere.csv, which" in message(workdir, "--picked", "nowhere.csv")
    changed = tmp_path / "changed"
    data = pack.open_pack(frames_pack)
    faces = np.array(data.arrays["face"])
    faces[0] += 1
    pack.write_pack(changed, data.info, data.table, {"face": faces})
    assert "is not the data that the networks of" in message(workdir, "--pack", str(changed))
    assert not (tmp_path / "scores.csv").exists()

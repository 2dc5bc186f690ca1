"""Work folders made by hand; what is told of them against scikit-learn, scipy and counting."""

import numpy as np
import pytest
import sklearn.metrics
from scipy import stats

from mmer_jax import errors
from mmer_jax.cli import compare as command
from mmer_jax.config.cell import cell_name
from mmer_jax.evaluation import comparable, metrics, summary
from mmer_jax.reports import compare
from mmer_jax.results import predictions, records

EMOTIONS = ("anger", "fear", "sadness")
DATASET = {
    "name": "ravdess",
    "origin": "recorded",
    "version": "1.0.0",
    "builder_config": "triplets",
    "options": {"detector": "haar"},
    "size": 64,
    "pack_digest": "aa",
}


def clip_names(actors, takes=6):
    return [
        f"01-01-{5 + i % 2:02d}-02-{1 + i // 2 % 2:02d}-{1 + i // 4:02d}-{actor:02d}"
        for actor in actors
        for i in range(takes)
    ]


def said(clips, views=3, sure=1.5, seed=0):
    """Examples with labels that follow from the clip, and a network that is often right."""
    clip, view = np.repeat(clips, views), np.tile(np.arange(views), len(clips))
    label = np.array([int(c[7]) % 2 + (c[13] == "2") for c in clip])  # emotion, statement
    logits = np.random.default_rng(seed).normal(size=(len(clip), 3)) + sure * np.eye(3)[label]
    return predictions.Examples(
        clip, view, label, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    )


@pytest.fixture
def write(make_record, tmp_path):
    """Writes a cell's record and predictions into a work folder."""

    def write(row, test, workdir="run", seed=0, fold=0, validation=None, epochs=10, **changes):
        protocol = changes.setdefault("protocol", "clip_random")
        parts = {"test": test} | ({"validation": validation} if validation is not None else {})
        cell = cell_name(row, protocol, fold, seed)
        path = tmp_path / workdir / "predictions" / f"{cell}.npz"
        predictions.save(path, epochs, parts, EMOTIONS)
        record = make_record(
            **{"dataset": DATASET, **changes},
            **metrics.measure(test.label, test.probabilities),
            row=row,
            seed=seed,
            fold=fold,
            epochs=epochs,
            emotions=list(EMOTIONS),
            n_test=len(test.label),
        )
        records.append(tmp_path / workdir / records.FILE_NAME, record)
        return tmp_path / workdir

    return write


def run(capsys, *arguments):
    status = command.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert (status == 0) == (err == "") and status in (0, 2)
    return " ".join((out or err).split())


ACTORS = range(1, 7)


def test_figures_per_clip_over_seeds_and_folds(write):
    """Two seeds of two folds: each seed's folds are one test, their mean is what is shown."""
    halves = clip_names(range(1, 4)), clip_names(range(4, 7))
    for seed in (0, 1):
        for fold, clips in enumerate(halves):
            test = said(clips, seed=10 * seed + fold)
            workdir = write("mel", test, seed=seed, fold=fold, protocol="actor_kfold")
    (row,) = comparable.read([workdir])
    accuracies, f1 = [], []
    for seed in (0, 1):
        parts = [said(clips, seed=10 * seed + fold) for fold, clips in enumerate(halves)]
        means = np.concatenate([p.probabilities.reshape(-1, 3, 3).mean(axis=1) for p in parts])
        labels = np.concatenate([p.label[::3] for p in parts])
        accuracies.append(sklearn.metrics.accuracy_score(labels, means.argmax(1)))
        f1.append(sklearn.metrics.f1_score(labels, means.argmax(1), average="macro"))
    found = row.figure("accuracy")
    assert found.per_seed == pytest.approx(accuracies)
    assert row.figure("macro_f1").per_seed == pytest.approx(f1)
    assert found.low < found.mean < found.high
    text = compare.text([row])
    shown = [summary.percent(v) for v in (found.mean, found.spread, found.low, found.high)]
    assert "{} ±{} ({}-{})".format(*shown) in text
    line = next(line for line in text.splitlines() if line.startswith("mel"))
    assert line.split()[-6:] == [summary.percent(1 / 2), "10", "2", "2", "36", "6"]
    assert "No subject is on both sides" in text and "rendered" not in text


def test_per_triplet_the_examples_count(write):
    test = said(clip_names(ACTORS))
    (row,) = comparable.read([write("face", test)], per="triplet")
    expected = sklearn.metrics.log_loss(test.label, test.probabilities)
    assert row.figure("negative_log_likelihood").mean == pytest.approx(expected, rel=1e-5)
    assert row.figure("accuracy").mean == np.mean(test.probabilities.argmax(1) == test.label)


def right_of(test):
    means = test.probabilities.reshape(-1, 3, 3).mean(axis=1)
    return means.argmax(axis=1) == test.label[::3]


def test_a_pair_against_scipy(write):
    clips = clip_names(ACTORS)
    tests = said(clips, sure=2.5), said(clips, sure=0.5, seed=1)
    write("face", tests[0])
    # In another order: examples are matched by name.
    order = np.random.default_rng(0).permutation(len(tests[1].label))
    shuffled = predictions.Examples(
        *(getattr(tests[1], f)[order] for f in ("clip", "view", "label", "probabilities"))
    )
    rows = comparable.read([write("mel", shuffled)])
    ((found,), left_out) = comparable.pairs(rows)
    assert not left_out and found.seeds == (0,) and found.units.count == 6
    a, b = map(right_of, tests)
    assert found.mcnemar[:2] == ((a & ~b).sum(), (b & ~a).sum())
    assert found.mcnemar.p == pytest.approx(stats.binomtest((a & ~b).sum(), (a != b).sum()).pvalue)
    by_actor = (a.astype(float) - b).reshape(6, 6).mean(axis=1)
    expected = stats.permutation_test(
        (by_actor, np.zeros(6)), lambda x, y: np.mean(x) - np.mean(y),
        permutation_type="samples", n_resamples=np.inf,
    )  # fmt: skip
    assert found.permutation == pytest.approx(expected.pvalue)
    assert found.difference.mean == pytest.approx(a.mean() - b.mean())
    interval = stats.bootstrap((by_actor,), np.mean, method="percentile", rng=0, n_resamples=9999)
    np.testing.assert_allclose(
        [found.difference.low, found.difference.high], interval.confidence_interval, atol=0.02
    )


def test_seeds_of_a_pair_count_their_mean_and_decide_together(write):
    clips = clip_names(ACTORS)
    tests = {"a": [said(clips, seed=s) for s in (0, 1)]}
    tests["b"] = [said(clips, seed=s) for s in (2, 3, 4)]
    for row, given in tests.items():
        for seed, test in enumerate(given):
            workdir = write(row, test, seed=seed)
    ((found,), _) = comparable.pairs(comparable.read([workdir]))
    assert found.seeds == (0, 1)  # which both have
    a, b = (np.array([right_of(test).mean() for test in given[:2]]) for given in tests.values())
    assert found.difference.per_seed == pytest.approx(a - b)
    together = [
        right_of(
            predictions.Examples(
                given[0].clip, given[0].view, given[0].label,
                (given[0].probabilities + given[1].probabilities) / 2,
            )
        )
        for given in tests.values()
    ]  # fmt: skip
    assert found.mcnemar.only_first == (together[0] & ~together[1]).sum()


def test_p_are_corrected_for_the_number_of_pairs(write, capsys):
    clips = clip_names(range(1, 13))
    for row, sure in (("good", 3.0), ("bad", 0.0), ("worse", -1.0)):
        workdir = write(row, said(clips, sure=sure))
    text = run(capsys, workdir)
    assert "for the number of pairs here (3)" in text
    # Good against worse: the least of three, times three.
    found = comparable.pair(*comparable.read([workdir], rows=["good", "worse"]))
    assert found.permutation == 2 / 2**12
    assert f"<0.001 <0.001 <0.001 {6 / 2**12:.3f} 1" in text


def test_rows_on_other_clips_are_named_and_not_compared(write, capsys):
    write("face", said(clip_names(range(1, 5))))
    write("mel", said(clip_names(range(3, 7))))
    workdir = write("late", said(clip_names(range(3, 7))), seed=7)
    text = run(capsys, workdir)
    assert "12 are the first's alone, 12 the second's, 12 are shared): face and mel." in text
    assert "(no seed in common): face and late; mel and late." in text
    assert "McNemar" not in text


def test_audio_alone_has_one_example_a_clip(write, capsys):
    clips = clip_names(ACTORS)
    write("face", said(clips))
    workdir = write("mel", said(clips, views=1))
    assert "McNemar" in run(capsys, workdir)
    assert "Not compared (test examples of seed 0" in run(capsys, workdir, "--per", "triplet")


def test_one_subject_is_told(write, capsys):
    write("face", said(clip_names([3])))
    text = run(capsys, write("mel", said(clip_names([3]), seed=1)))
    assert "One subject in face, mel: clips are drawn instead" in text
    assert "single clips are exchanged" in text and "With 6 clips no permutation p" in text


def test_temperature_is_fitted_on_validation_examples(write, capsys):
    clips = clip_names(ACTORS)
    test, validation = said(clips), said(clips, sure=0.3, seed=1)
    hot = np.exp(4 * np.log(validation.probabilities.astype(np.float64)))
    hot = predictions.Examples(
        validation.clip, validation.view, validation.label, hot / hot.sum(axis=1, keepdims=True)
    )
    workdir = write("mel", test, validation=hot)
    (plain,), (scaled,) = (comparable.read([workdir], temperature=t) for t in (False, True))
    assert scaled.temperatures[0] > 1.5 and plain.temperatures == ()
    for name in ("accuracy", "macro_f1"):
        assert scaled.figure(name).mean == plain.figure(name).mean
    # Test examples were not exaggerated: cooling them is wrong, and it is done all the same.
    nll = "negative_log_likelihood"
    assert scaled.figure(nll).mean > plain.figure(nll).mean
    assert f"{scaled.temperatures[0]:.2f}" in run(capsys, workdir, "--temperature")
    workdir = write("face", test)
    assert "no validation examples" in run(capsys, workdir, "--temperature")


def test_rows_of_several_folders_keep_their_names(write, capsys, tmp_path):
    clips = clip_names(ACTORS)
    for workdir in ("one", "two"):
        write("mel", said(clips), workdir=workdir)
    text = run(capsys, tmp_path / "one", tmp_path / "two", tmp_path / "one")
    assert f"{tmp_path / 'one'}: table8: mel" in text and "number of pairs here (1)" in text
    write("mel", said(clips), workdir="three", table="table7")
    text = run(capsys, tmp_path / "one", tmp_path / "three")
    assert "table7: mel" in text and f"{tmp_path}" not in text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": "1.1.0"}, "ravdess, version 1.0.0 in .*one, row mel.*; 1.1.0 in .*two, row"),
        ({"pack_digest": "bb"}, "ravdess, pack digest aa in .*; bb in "),
        ({"origin": "rendered"}, "ravdess, origin recorded in .*; rendered in "),
    ],
)
def test_different_data_of_one_name_are_refused(write, change, told):
    clips = clip_names(ACTORS)
    one = write("mel", said(clips), workdir="one")
    two = write("mel", said(clips), workdir="two", dataset=DATASET | change)
    with pytest.raises(errors.UserError, match=told):
        comparable.read([one, two])
    comparable.read([two])


def test_other_inputs_and_other_sizes_may_stand_in_one_table(write):
    clips = clip_names(ACTORS)
    one = write("mel", said(clips), workdir="one")
    other = DATASET | {"size": 32, "pack_digest": "bb"}
    two = write("mel", said(clips), workdir="two", dataset=other)
    faces = {"dataset": other | {"pack_digest": "c"}, "modalities": ["face"]}
    write("face", said(clips), workdir="two", **faces)
    assert len(comparable.pairs(comparable.read([one, two]))[0]) == 3


def test_choices_and_what_is_not_there(write, capsys, tmp_path):
    clips = clip_names(ACTORS)
    write("mel", said(clips), epochs=10)
    write("mel", said(clips, seed=1), epochs=20)
    workdir = write("face", said(clips), protocol="triplet_random")
    assert [r.epochs for r in comparable.read([workdir])] == [20, 10]
    assert comparable.read([workdir], epochs=10, rows=["mel"])[0].epochs == 10
    assert "### clip_random" in run(capsys, workdir, "--markdown", "--protocol", "clip_random")
    for arguments, told in (
        (["--rows", "mle"], "unknown row 'mle'; known: mel, face"),
        (["--protocol", "kfold"], "unknown protocol 'kfold'; known: clip_random, triplet_random"),
        (["--epochs", "20"], "row face under triplet_random was measured after 10 epochs, not"),
        (["--rows", "face", "--protocol", "clip_random"], "no row of face was measured under"),
    ):
        said_instead = run(capsys, workdir, *arguments)
        assert said_instead.startswith("error: ") and told in said_instead
    assert "holds no record" in run(capsys, tmp_path / "nothing")


def test_predictions_of_another_run_are_refused(write, capsys):
    clips = clip_names(ACTORS)
    workdir = write("mel", said(clips))
    path = workdir / "predictions" / "mel-clip_random-fold0-seed0.npz"
    predictions.save(path, 10, {"test": said(clips, seed=5)}, EMOTIONS)
    assert "files of different runs" in run(capsys, workdir)
    path.unlink()
    assert "no predictions at" in run(capsys, workdir)


def test_folds_that_are_not_there_yet_and_rendered_clips_are_told(write, capsys):
    halves = clip_names(range(1, 4)), clip_names(range(4, 7))
    rendered = DATASET | {"origin": "rendered"}
    for seed, fold in ((0, 0), (0, 1), (1, 0)):
        workdir = write("mel", said(halves[fold]), seed=seed, fold=fold, dataset=rendered)
    text = run(capsys, workdir)
    assert "mel: seed 1 lacks fold 1." in text and " 18-36 " in text
    assert "say nothing about emotion recognition" in text


def test_few_subjects_bound_p(write, capsys):
    clips = clip_names([1, 2, 3])
    write("face", said(clips, sure=9))
    text = run(capsys, write("mel", said(clips, sure=-9)))
    assert "With 3 subjects no permutation p can be below 0.25" in text
    assert " 0.250 0.250 1 " in text

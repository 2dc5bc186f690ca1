"""Comparisons of synthetic workdirs against scikit-learn, SciPy and counts."""

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


def draw(clips, views=3, weight=1.5, seed=0):
    """Draws predictions of a network whose accuracy increases with `weight`.

    Labels are determined by the clip's name.
    """
    clip, view = np.repeat(clips, views), np.tile(np.arange(views), len(clips))
    label = np.array([int(c[7]) % 2 + (c[13] == "2") for c in clip])  # From emotion and statement.
    logits = np.random.default_rng(seed).normal(size=(len(clip), 3)) + weight * np.eye(3)[label]
    return predictions.Predictions(
        clip, view, label, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    )


@pytest.fixture
def write(make_record, tmp_path):
    """Writes the record and the predictions of a cell into a workdir."""

    def write(row, test, workdir="run", seed=0, fold=0, validation=None, epochs=10, **changes):
        protocol = changes.setdefault("protocol", "clip_random")
        subsets = {"test": test} | ({"validation": validation} if validation is not None else {})
        cell = cell_name(row, protocol, fold, seed)
        path = tmp_path / workdir / "predictions" / f"{cell}.npz"
        predictions.save(path, epochs, subsets, EMOTIONS)
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


def test_metrics_per_clip_over_seeds_and_folds(write):
    """The folds of a seed are pooled; the metric is the mean over seeds."""
    halves = clip_names(range(1, 4)), clip_names(range(4, 7))
    for seed in (0, 1):
        for fold, clips in enumerate(halves):
            test = draw(clips, seed=10 * seed + fold)
            workdir = write("mel", test, seed=seed, fold=fold, protocol="actor_kfold")
    (row,) = comparable.read([workdir])
    accuracies, f1 = [], []
    for seed in (0, 1):
        folds = [draw(clips, seed=10 * seed + fold) for fold, clips in enumerate(halves)]
        means = np.concatenate([f.probabilities.reshape(-1, 3, 3).mean(axis=1) for f in folds])
        labels = np.concatenate([f.label[::3] for f in folds])
        accuracies.append(sklearn.metrics.accuracy_score(labels, means.argmax(1)))
        f1.append(sklearn.metrics.f1_score(labels, means.argmax(1), average="macro"))
    accuracy = row.metric("accuracy")
    assert accuracy.per_seed == pytest.approx(accuracies)
    assert row.metric("macro_f1").per_seed == pytest.approx(f1)
    assert accuracy.low < accuracy.mean < accuracy.high
    text = compare.format_comparison([row])
    values = (accuracy.mean, accuracy.spread, accuracy.low, accuracy.high)
    assert "{} ±{} ({}-{})".format(*map(summary.percent, values)) in text
    line = next(line for line in text.splitlines() if line.startswith("mel"))
    assert line.split()[-6:] == [summary.percent(1 / 2), "10", "2", "2", "36", "6"]
    assert "No subject is on both sides" in text and "rendered" not in text


def test_metrics_per_triplet_count_examples(write):
    test = draw(clip_names(ACTORS))
    (row,) = comparable.read([write("face", test)], per="triplet")
    expected = sklearn.metrics.log_loss(test.label, test.probabilities)
    assert row.metric("negative_log_likelihood").mean == pytest.approx(expected, rel=1e-5)
    assert row.metric("accuracy").mean == np.mean(test.probabilities.argmax(1) == test.label)


def is_correct(test):
    """Returns whether the prediction of each clip is correct."""
    means = test.probabilities.reshape(-1, 3, 3).mean(axis=1)
    return means.argmax(axis=1) == test.label[::3]


def test_a_pair_against_scipy(write):
    clips = clip_names(ACTORS)
    tests = draw(clips, weight=2.5), draw(clips, weight=0.5, seed=1)
    write("face", tests[0])
    # The order differs, because examples are matched by name.
    order = np.random.default_rng(0).permutation(len(tests[1].label))
    shuffled = predictions.Predictions(
        *(getattr(tests[1], f)[order] for f in ("clip", "view", "label", "probabilities"))
    )
    rows = comparable.read([write("mel", shuffled)])
    ((pair,), not_compared) = comparable.pairs(rows)
    assert not not_compared and pair.seeds == (0,) and pair.groups.count == 6
    a, b = map(is_correct, tests)
    assert pair.mcnemar[:2] == ((a & ~b).sum(), (b & ~a).sum())
    assert pair.mcnemar.p == pytest.approx(stats.binomtest((a & ~b).sum(), (a != b).sum()).pvalue)
    by_actor = (a.astype(float) - b).reshape(6, 6).mean(axis=1)
    expected = stats.permutation_test(
        (by_actor, np.zeros(6)), lambda x, y: np.mean(x) - np.mean(y),
        permutation_type="samples", n_resamples=np.inf,
    )  # fmt: skip
    assert pair.permutation == pytest.approx(expected.pvalue)
    assert pair.difference.mean == pytest.approx(a.mean() - b.mean())
    # The interval of a paired t test over actors, which is symmetric: differences are moderate.
    usual = stats.t(5, by_actor.mean(), stats.sem(by_actor)).interval(0.95)
    np.testing.assert_allclose([pair.difference.low, pair.difference.high], usual, atol=0.02)


def test_a_pair_averages_differences_over_seeds_and_tests_their_ensemble(write):
    clips = clip_names(ACTORS)
    tests = {"a": [draw(clips, seed=s) for s in (0, 1)]}
    tests["b"] = [draw(clips, seed=s) for s in (2, 3, 4)]
    for row, row_tests in tests.items():
        for seed, test in enumerate(row_tests):
            workdir = write(row, test, seed=seed)
    ((pair,), _) = comparable.pairs(comparable.read([workdir]))
    assert pair.seeds == (0, 1)  # The seeds that both rows have.
    a, b = (np.array([is_correct(test).mean() for test in t[:2]]) for t in tests.values())
    assert pair.difference.per_seed == pytest.approx(a - b)
    ensembles = [
        is_correct(
            predictions.Predictions(
                t[0].clip, t[0].view, t[0].label,
                (t[0].probabilities + t[1].probabilities) / 2,
            )
        )
        for t in tests.values()
    ]  # fmt: skip
    assert pair.mcnemar.only_first == (ensembles[0] & ~ensembles[1]).sum()


def test_p_values_are_corrected_for_the_number_of_pairs(write, capsys):
    clips = clip_names(range(1, 13))
    for row, weight in (("good", 3.0), ("bad", 0.0), ("worse", -1.0)):
        workdir = write(row, draw(clips, weight=weight))
    text = run(capsys, workdir)
    assert "for the number of pairs here (3)" in text
    # Good against worse has the smallest of three p-values, which is multiplied by three.
    pair = comparable.pair(*comparable.read([workdir], rows=["good", "worse"]))
    assert pair.permutation == 2 / 2**12
    assert f"<0.001 <0.001 <0.001 {6 / 2**12:.3f} 1" in text


def test_rows_on_different_clips_are_named_and_not_compared(write, capsys):
    write("face", draw(clip_names(range(1, 5))))
    write("mel", draw(clip_names(range(3, 7))))
    workdir = write("late", draw(clip_names(range(3, 7))), seed=7)
    text = run(capsys, workdir)
    assert "12 only in the first, 12 only in the second, 12 shared): face and mel." in text
    assert "(no seed in common): face and late; mel and late." in text
    assert "McNemar" not in text


def test_rows_with_and_without_images_are_compared_per_clip_only(write, capsys):
    clips = clip_names(ACTORS)
    write("face", draw(clips))
    workdir = write("mel", draw(clips, views=1))
    assert "McNemar" in run(capsys, workdir)
    assert "Not compared (test examples of seed 0" in run(capsys, workdir, "--per", "triplet")


def test_a_note_explains_results_of_one_subject(write, capsys):
    write("face", draw(clip_names([3])))
    text = run(capsys, write("mel", draw(clip_names([3]), seed=1)))
    assert "One subject in face, mel: the 95% interval is a jackknife over 6 clips" in text
    assert "for whole clips" in text and "With 6 clips no permutation p" in text
    assert "subjects" not in text.replace("clips subjects", "")  # Only the column's heading.


def test_temperature_is_fitted_on_validation_examples(write, capsys):
    clips = clip_names(ACTORS)
    test, validation = draw(clips), draw(clips, weight=0.3, seed=1)
    scaled = np.exp(4 * np.log(validation.probabilities.astype(np.float64)))
    overconfident = predictions.Predictions(
        validation.clip,
        validation.view,
        validation.label,
        scaled / scaled.sum(axis=1, keepdims=True),
    )
    workdir = write("mel", test, validation=overconfident)
    (plain,), (scaled,) = (comparable.read([workdir], temperature=t) for t in (False, True))
    assert scaled.temperatures[0] > 1.5 and plain.temperatures == ()
    for name in ("accuracy", "macro_f1"):
        assert scaled.metric(name).mean == plain.metric(name).mean
    # The test predictions are not overconfident, so the fitted temperature increases their NLL.
    nll = "negative_log_likelihood"
    assert scaled.metric(nll).mean > plain.metric(nll).mean
    assert f"{scaled.temperatures[0]:.2f}" in run(capsys, workdir, "--temperature")
    workdir = write("face", test)
    assert "no validation examples" in run(capsys, workdir, "--temperature")


def test_rows_of_several_workdirs_have_unique_names(write, capsys, tmp_path):
    clips = clip_names(ACTORS)
    for workdir in ("one", "two"):
        write("mel", draw(clips), workdir=workdir)
    text = run(capsys, tmp_path / "one", tmp_path / "two", tmp_path / "one")
    assert f"{tmp_path / 'one'}: table8: mel" in text and "number of pairs here (1)" in text
    write("mel", draw(clips), workdir="three", table="table7")
    text = run(capsys, tmp_path / "one", tmp_path / "three")
    assert "table7: mel" in text and f"{tmp_path}" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "1.1.0"}, "ravdess, version 1.0.0 in .*one, row mel.*; 1.1.0 in .*two, row"),
        ({"pack_digest": "bb"}, "ravdess, pack digest aa in .*; bb in "),
        ({"origin": "rendered"}, "ravdess, origin recorded in .*; rendered in "),
    ],
)
def test_different_data_under_one_name_are_rejected(write, change, message):
    clips = clip_names(ACTORS)
    one = write("mel", draw(clips), workdir="one")
    two = write("mel", draw(clips), workdir="two", dataset=DATASET | change)
    with pytest.raises(errors.UserError, match=message):
        comparable.read([one, two])
    comparable.read([two])


def test_other_inputs_and_image_sizes_are_allowed_in_one_table(write):
    clips = clip_names(ACTORS)
    one = write("mel", draw(clips), workdir="one")
    other = DATASET | {"size": 32, "pack_digest": "bb"}
    two = write("mel", draw(clips), workdir="two", dataset=other)
    faces = {"dataset": other | {"pack_digest": "c"}, "modalities": ["face"]}
    write("face", draw(clips), workdir="two", **faces)
    assert len(comparable.pairs(comparable.read([one, two]))[0]) == 3


def test_options_select_rows_and_unknown_names_are_errors(write, capsys, tmp_path):
    clips = clip_names(ACTORS)
    write("mel", draw(clips), epochs=10)
    write("mel", draw(clips, seed=1), epochs=20)
    workdir = write("face", draw(clips), protocol="triplet_random")
    assert [r.epochs for r in comparable.read([workdir])] == [20, 10]
    assert comparable.read([workdir], epochs=10, rows=["mel"])[0].epochs == 10
    assert "### clip_random" in run(capsys, workdir, "--markdown", "--protocol", "clip_random")
    for arguments, message in (
        (["--rows", "mle"], "unknown row 'mle'; known: mel, face"),
        (["--protocol", "kfold"], "unknown protocol 'kfold'; known: clip_random, triplet_random"),
        (["--epochs", "20"], "row face under triplet_random was measured after 10 epochs, not"),
        (["--rows", "face", "--protocol", "clip_random"], "no row of face was measured under"),
    ):
        output = run(capsys, workdir, *arguments)
        assert output.startswith("error: ") and message in output
    assert "holds no record" in run(capsys, tmp_path / "nothing")


def test_predictions_of_another_run_are_rejected(write, capsys):
    clips = clip_names(ACTORS)
    workdir = write("mel", draw(clips))
    path = workdir / "predictions" / "mel-clip_random-fold0-seed0.npz"
    predictions.save(path, 10, {"test": draw(clips, seed=5)}, EMOTIONS)
    assert "files of different runs" in run(capsys, workdir)
    path.unlink()
    assert "no predictions at" in run(capsys, workdir)


def test_notes_name_missing_folds_and_rendered_clips(write, capsys):
    halves = clip_names(range(1, 4)), clip_names(range(4, 7))
    rendered = DATASET | {"origin": "rendered"}
    for seed, fold in ((0, 0), (0, 1), (1, 0)):
        workdir = write("mel", draw(halves[fold]), seed=seed, fold=fold, dataset=rendered)
    text = run(capsys, workdir)
    assert "mel: seed 1 lacks fold 1." in text and " 18-36 " in text
    workdir = write("face", draw(halves[0]), fold=0, dataset=rendered, n_folds=5)
    text = run(capsys, workdir)
    assert "face: 1 of 5 folds (0)." in text and " 1 of 5 " in text
    assert "say nothing about emotion recognition" in text


def test_a_note_gives_the_smallest_p_of_few_subjects(write, capsys):
    clips = clip_names([1, 2, 3])
    write("face", draw(clips, weight=9))
    text = run(capsys, write("mel", draw(clips, weight=-9)))
    assert "With 3 subjects no permutation p can be below 0.25" in text
    assert " 0.250 0.250 1 " in text

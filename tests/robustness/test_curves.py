"""Curves and report sections of handmade results, against counting and scikit-learn."""

from xml.etree import ElementTree

import numpy as np
import pytest
import sklearn.metrics

from mmer_jax import errors
from mmer_jax.evaluation import settings
from mmer_jax.reports import robustness
from mmer_jax.results import predictions, records
from mmer_jax.robustness import results
from mmer_jax.robustness.conditions import UNTOUCHED, Condition

EMOTIONS = ("anger", "fear", "sadness")
ACTORS, TAKES = range(1, 9), 6
CLIPS = np.array(
    [
        f"01-01-{4 + take % 3:02d}-02-{1 + take // 3:02d}-01-{actor:02d}"
        for actor in ACTORS
        for take in range(TAKES)
    ]
)
LABEL = np.arange(len(CLIPS)) % 3


def make_examples(correct):
    """Makes two examples per clip, whose predictions are correct where the mask `correct` is."""
    probabilities = 0.1 + 0.7 * np.eye(3)[predict(correct)]
    return predictions.Predictions(
        np.repeat(CLIPS, 2), np.tile([0, 1], len(CLIPS)), np.repeat(LABEL, 2),
        np.repeat(probabilities, 2, axis=0),
    )  # fmt: skip


def predict(correct):
    return np.where(correct, LABEL, (LABEL + 1) % 3)


def draw(share, seed):
    """Draws a mask over the clips that is 1 for about this share of them."""
    return np.random.default_rng(seed).random(len(CLIPS)) < share


RECORD = {
    "table": "table8",
    "row": "face",
    "protocol": "clip_random",
    "fold": 0,
    "epochs": 10,
    "modalities": ["face"],
    "emotions": list(EMOTIONS),
    "config_digest": "3b1f9e20",
    "config": {"split": {"tested": "test"}},
    "dataset": {"name": "ravdess", "origin": "recorded", "size": 64, "pack_digest": "aa"},
}


@pytest.fixture
def write(tmp_path):
    """A function that writes the result of a cell under a condition and returns the workdir."""

    def write(condition, correct, seed=0, **fields):
        record = RECORD | {"seed": seed} | fields
        results.save(tmp_path, record, condition, ["face"], make_examples(correct), {})
        return tmp_path

    return write


def test_a_point_is_the_mean_over_seeds_and_its_drop_is_paired(write):
    blurred, share = Condition("blur", 4.0), {}
    for seed in (0, 1):
        before = draw(0.9, seed)
        after = before & draw(0.6, seed + 10)
        write(UNTOUCHED, before, seed)
        workdir = write(blurred, after, seed)
        share[seed] = before.mean(), after.mean()
    (curve,) = results.compute_curves(workdir)
    point = curve.points[blurred]
    assert point.accuracy.per_seed == pytest.approx([share[0][1], share[1][1]])
    assert point.drop.mean == pytest.approx(np.mean([b - a for b, a in share.values()]))
    assert curve.points[UNTOUCHED].drop.mean == 0 and curve.points[UNTOUCHED].drop.ends is None
    predicted = predict(draw(0.9, 0) & draw(0.6, 10))
    assert point.recall.per_seed[0] == pytest.approx(
        sklearn.metrics.balanced_accuracy_score(LABEL, predicted)
    )
    assert (curve.groups.name, point.cells, curve.chance) == ("subject", 2, pytest.approx(1 / 3))
    # Pairing makes the interval of the drop narrower than independent accuracies would.
    width = point.accuracy.high - point.accuracy.low
    assert point.drop.low > 0 and point.drop.high - point.drop.low < 1.5 * width


def test_the_interval_is_over_subjects(write):
    """All clips of a subject are correct or all wrong, so one over clips would be too narrow."""
    by_subject = np.repeat([i % 2 == 0 for i, _ in enumerate(ACTORS)], TAKES)
    (curve,) = results.compute_curves(write(UNTOUCHED, by_subject))
    accuracy = curve.points[UNTOUCHED].accuracy
    expected = 2 * 1.96 * (0.25 / len(ACTORS)) ** 0.5
    assert accuracy.high - accuracy.low == pytest.approx(expected, rel=0.25)


def test_sections_hold_curves_and_tables(write):
    conditions = [Condition("low_resolution", k) for k in (8.0, 32.0)]
    for row in ("face", "face_mel"):
        write(UNTOUCHED, draw(0.9, 1), row=row)
        for i, condition in enumerate(conditions):
            workdir = write(condition, draw(0.4 + 0.3 * i, 2), row=row)
    write(
        Condition("missing", "mel"),
        draw(0.5, 3),
        row="face_mel",
        modalities=["face", "mel"],
    )
    low, missing = robustness.make_sections(workdir)
    assert low.title == "Robustness under clip_random: low-resolution faces"
    assert [line[:2] for line in low.table] == [
        ("row", "level"),
        *[("face", level) for level in ("untouched", "32 px", "8 px")],
        *[("face_mel", level) for level in ("untouched", "32 px", "8 px")],
    ]
    assert low.table[3][2].startswith(f"{100 * draw(0.4, 2).mean():.1f} (")
    chart, legend = (ElementTree.fromstring(drawing) for drawing in low.drawings)
    lines = [e for e in chart.iter("polyline") if "row" in e.get("class")]
    assert [len(line.get("points").split()) for line in lines] == [3, 3]
    assert {"8", "32", "64"} <= {e.text for e in chart.iter("text")}
    assert [e.text for e in legend.iter("text")] == ["face", "face_mel"]
    colors = [e.get("class").split()[-1] for e in (*lines, *legend.iter("line"))]
    assert colors == ["row1", "row2"] * 2
    text = " ".join(low.text)
    assert (
        "enlarged again" in text
        and f"jackknife over {len(ACTORS)} subjects" in text
        and "No clip is on" in text
    )

    assert missing.title == "Robustness under clip_random: a missing input"
    assert missing.drawings == ()
    assert missing.table[2][:2] == ("face_mel", "without mel spectrogram")


def test_a_workdir_without_results_has_no_section(tmp_path):
    assert robustness.make_sections(tmp_path) == []


def test_incomplete_results_are_marked(write):
    for seed in (0, 1):
        write(UNTOUCHED, draw(0.9, seed), seed)
    workdir = write(Condition("blur", 4.0), draw(0.5, 5), 1)
    (curve,) = results.compute_curves(workdir)
    point = curve.points[Condition("blur", 4.0)]
    assert point.cells == 1
    assert point.drop.mean == pytest.approx(draw(0.9, 1).mean() - draw(0.5, 5).mean())
    (section,) = robustness.make_sections(workdir)
    assert "The measurements are incomplete" in " ".join(section.text)
    assert "folds" not in " ".join(section.text).replace("folds pooled", "")


def test_missing_folds_are_named(write, monkeypatch):
    monkeypatch.setitem(RECORD, "protocol", "actor_kfold")
    monkeypatch.setitem(RECORD, "n_folds", 5)
    workdir = write(UNTOUCHED, draw(0.9, 0))
    write(Condition("blur", 4.0), draw(0.5, 5))
    (section,) = robustness.make_sections(workdir)
    assert "Results are incomplete. face: 1 of 5 folds (0)." in section.text


def test_results_on_rendered_clips_are_marked(write):
    rendered = RECORD["dataset"] | {"origin": "rendered"}
    write(UNTOUCHED, draw(0.9, 0), dataset=rendered)
    workdir = write(Condition("blur", 4.0), draw(0.5, 5), dataset=rendered)
    assert "say nothing about emotion recognition" in " ".join(
        robustness.make_sections(workdir)[0].text
    )


def test_results_on_validation_splits_are_marked(write):
    validation = {"split": {"tested": "validation"}}
    write(UNTOUCHED, draw(0.9, 0), config=validation)
    workdir = write(Condition("blur", 4.0), draw(0.5, 5), config=validation)
    (section,) = robustness.make_sections(workdir)
    assert settings.VALIDATION_NOTE in section.text
    assert {row[0] for row in section.table[1:]} == {"face (validation)"}


def test_results_of_transductive_networks_are_marked(write, make_record):
    write(UNTOUCHED, draw(0.9, 0))
    workdir = write(Condition("blur", 4.0), draw(0.5, 5))
    config = {"input": {"normalization": "per_speaker"}}
    fields = {field: RECORD[field] for field in ("table", "row", "protocol", "fold")}
    records.append(workdir / records.FILE_NAME, make_record(**fields, seed=0, config=config))
    (section,) = robustness.make_sections(workdir)
    assert {row[0] for row in section.table[1:]} == {"face (transductive)"}
    assert any(text.startswith("Transductive: ") for text in section.text)
    assert "face (transductive)" in section.drawings[1]


def test_predictions_of_another_run_are_refused(write):
    workdir = write(UNTOUCHED, draw(0.9, 0))
    (path,) = workdir.rglob("*.npz")
    predictions.save(path, 10, {"test": make_examples(draw(0.2, 9))}, EMOTIONS)
    with pytest.raises(errors.UserError, match=r"does not hold the predictions that robustness"):
        results.compute_curves(workdir)

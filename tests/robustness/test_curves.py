"""Curves and sections of results written by hand, against counting."""

from xml.etree import ElementTree

import numpy as np
import pytest
import sklearn.metrics

from mmer_jax import errors
from mmer_jax.reports import robustness
from mmer_jax.results import predictions
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


def decided(right):
    """Two views a clip; the clip's decision is right where `right` says so."""
    said = np.where(right, LABEL, (LABEL + 1) % 3)
    probabilities = 0.1 + 0.7 * np.eye(3)[said]
    return predictions.Examples(
        np.repeat(CLIPS, 2), np.tile([0, 1], len(CLIPS)), np.repeat(LABEL, 2),
        np.repeat(probabilities, 2, axis=0),
    )  # fmt: skip


def right(share, seed):
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
    """Writes the result of one cell under one condition; returns the work folder."""

    def write(condition, is_right, seed=0, **fields):
        record = RECORD | {"seed": seed} | fields
        results.save(tmp_path, record, condition, ["face"], decided(is_right), {})
        return tmp_path

    return write


def test_a_point_is_the_mean_over_seeds_and_its_fall_is_paired(write):
    blurred, share = Condition("blur", 4.0), {}
    for seed in (0, 1):
        before, after = right(0.9, seed), right(0.9, seed) & right(0.6, seed + 10)
        write(UNTOUCHED, before, seed)
        workdir = write(blurred, after, seed)
        share[seed] = before.mean(), after.mean()
    (curve,) = results.curves(workdir)
    point = curve.points[blurred]
    assert point.accuracy.per_seed == pytest.approx([share[0][1], share[1][1]])
    assert point.fall.mean == pytest.approx(np.mean([b - a for b, a in share.values()]))
    assert curve.points[UNTOUCHED].fall.low == curve.points[UNTOUCHED].fall.high == 0
    said = np.where(right(0.9, 0) & right(0.6, 10), LABEL, (LABEL + 1) % 3)
    assert point.recall.per_seed[0] == pytest.approx(
        sklearn.metrics.balanced_accuracy_score(LABEL, said)
    )
    assert (curve.units, point.cells, curve.chance) == ("subject", 2, pytest.approx(1 / 3))
    # What was right stays so or not: the difference is known better than its two ends are.
    ends = point.accuracy.high - point.accuracy.low
    assert point.fall.low > 0 and point.fall.high - point.fall.low < 1.5 * ends


def test_the_interval_resamples_people(write):
    """Half of the people are always right, half never: clips alone would seem to be known well."""
    by_person = np.repeat([i % 2 == 0 for i, _ in enumerate(ACTORS)], TAKES)
    (curve,) = results.curves(write(UNTOUCHED, by_person))
    accuracy = curve.points[UNTOUCHED].accuracy
    expected = 2 * 1.96 * (0.25 / len(ACTORS)) ** 0.5
    assert accuracy.high - accuracy.low == pytest.approx(expected, rel=0.25)


def test_sections_have_the_curves_and_their_numbers(write):
    conditions = [Condition("low_resolution", k) for k in (8.0, 32.0)]
    for row in ("face", "face_mel"):
        write(UNTOUCHED, right(0.9, 1), row=row)
        for i, condition in enumerate(conditions):
            workdir = write(condition, right(0.4 + 0.3 * i, 2), row=row)
    write(Condition("missing", "mel"), right(0.5, 3), row="face_mel", modalities=["face", "mel"])
    low, missing = robustness.sections(workdir)
    assert low.title == "Robustness under clip_random: faces of low resolution"
    assert [line[:2] for line in low.table] == [
        ("row", "level"),
        *[("face", level) for level in ("untouched", "32 px", "8 px")],
        *[("face_mel", level) for level in ("untouched", "32 px", "8 px")],
    ]
    assert low.table[3][2].startswith(f"{100 * right(0.4, 2).mean():.1f} (")
    chart, key = (ElementTree.fromstring(drawing) for drawing in low.drawings)
    lines = [e for e in chart.iter("polyline") if "row" in e.get("class")]
    assert [len(line.get("points").split()) for line in lines] == [3, 3]
    assert {"8", "32", "64"} <= {e.text for e in chart.iter("text")}
    assert [e.text for e in key.iter("text")] == ["face", "face_mel"]
    colors = [e.get("class").split()[-1] for e in (*lines, *key.iter("line"))]
    assert colors == ["row1", "row2"] * 2
    text = " ".join(low.text)
    assert "enlarged again" in text and "resamples subjects" in text and "No clip is on" in text

    assert missing.title == "Robustness under clip_random: an input missing"
    assert missing.drawings == ()
    assert missing.table[2][:2] == ("face_mel", "without mel spectrogram")


def test_no_test_no_section(tmp_path):
    assert robustness.sections(tmp_path) == []


def test_rows_of_which_a_part_is_measured_say_so(write):
    for seed in (0, 1):
        write(UNTOUCHED, right(0.9, seed), seed)
    workdir = write(Condition("blur", 4.0), right(0.5, 5), 1)
    (curve,) = results.curves(workdir)
    point = curve.points[Condition("blur", 4.0)]
    assert point.cells == 1
    assert point.fall.mean == pytest.approx(right(0.9, 1).mean() - right(0.5, 5).mean())
    (section,) = robustness.sections(workdir)
    assert "Results are incomplete" in " ".join(section.text)


def test_rendered_clips_are_called_so(write):
    rendered = RECORD["dataset"] | {"origin": "rendered"}
    write(UNTOUCHED, right(0.9, 0), dataset=rendered)
    workdir = write(Condition("blur", 4.0), right(0.5, 5), dataset=rendered)
    assert "say nothing about emotion recognition" in " ".join(robustness.sections(workdir)[0].text)


def test_validation_parts_are_called_so(write):
    validation = {"split": {"tested": "validation"}}
    write(UNTOUCHED, right(0.9, 0), config=validation)
    workdir = write(Condition("blur", 4.0), right(0.5, 5), config=validation)
    assert "test splits were not read" in " ".join(robustness.sections(workdir)[0].text)


def test_predictions_of_another_run_are_refused(write):
    workdir = write(UNTOUCHED, right(0.9, 0))
    (path,) = workdir.rglob("*.npz")
    predictions.save(path, 10, {"test": decided(right(0.2, 9))}, EMOTIONS)
    with pytest.raises(errors.UserError, match=r"does not hold the predictions that robustness"):
        results.curves(workdir)

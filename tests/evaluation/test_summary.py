"""Summaries of records: order, pooling of folds, spread over seeds, chance level."""

import statistics

import numpy as np
import pytest

from mmer_jax.evaluation import metrics, summary
from mmer_jax.protocols import registry
from mmer_jax.results import predictions


def test_rows_are_sorted_by_modalities_and_blocks_by_appearance(make_record):
    rows = ["face_flow_mel", "mel", "face_mel", "face"]
    measured = [
        make_record(row=row, modalities=row.split("_"), protocol=protocol)
        for protocol in ("triplet_random", "clip_random")
        for row in rows
    ]
    blocks = summary.blocks(measured)
    assert [block.protocol for block in blocks] == ["triplet_random", "clip_random"]
    assert [row.name for row in blocks[0].rows] == ["face", "mel", "face_mel", "face_flow_mel"]


def test_rows_with_equal_modalities_keep_their_order(make_record):
    measured = [make_record(row=row, modalities=["mel"]) for row in ("start", "change1", "a")]
    (block,) = summary.blocks(measured)
    assert [row.name for row in block.rows] == ["start", "change1", "a"]


def test_records_alone_have_results_per_example_without_interval(make_record):
    record = make_record()
    measured = summary.blocks([record])[0].rows[0].last
    assert measured.scores is measured.per_example and measured.scores.unit == "example"
    assert measured.scores.accuracy == pytest.approx(record["accuracy"])
    assert measured.scores.spread is None
    assert measured.scores.chance == 0.2
    assert (measured.per_clip, measured.interval, measured.groups) == (None, None, None)
    assert measured.problem


def write_views(tmp_path, make_record, right, **changes) -> list:
    """Writes a cell whose clips have three examples each, and returns its record in a list.

    Args:
      right: For each actor, the probabilities of the true class for the examples of one clip.
    """
    views = np.array(right)
    clip = np.repeat([f"01-01-05-02-01-01-{i + 1:02d}" for i in range(len(views))], 3)
    label = np.zeros(len(clip), int)
    probabilities = np.stack([views.ravel(), 1 - views.ravel()], axis=1)
    test = predictions.Predictions(clip, np.tile(np.arange(3), len(views)), label, probabilities)
    emotions = ("anger", "fear")
    cell = tmp_path / "predictions" / "face_mel-triplet_random-fold0-seed0.npz"
    predictions.save(cell, 10, {"test": test, "validation": test}, emotions)
    fields = {"n_test": len(clip), "n_test_clips": len(views), "n_validation": len(clip)}
    measured = metrics.measure(label, probabilities)
    return [make_record(emotions=list(emotions), **measured, **fields, **changes)]


def test_predictions_give_results_per_clip_with_an_interval(make_record, tmp_path):
    """Two of three examples are wrong in the second clip, but the mean probability is right."""
    right = [[0.9, 0.8, 0.7], [0.95, 0.4, 0.4], [0.1, 0.2, 0.6]]
    records = write_views(tmp_path, make_record, right, validation_accuracy=5 / 9)
    measured = summary.blocks(records, tmp_path)[0].rows[0].last
    assert measured.scores is measured.per_clip and measured.problem == ""
    assert measured.per_clip.accuracy == pytest.approx(2 / 3)
    assert measured.per_example.accuracy == pytest.approx(5 / 9)
    assert measured.validation == pytest.approx(2 / 3)
    assert measured.interval.mean == pytest.approx(2 / 3)
    assert measured.interval.low < 2 / 3 < measured.interval.high
    assert str(measured.groups) == "3 subjects"
    assert measured.per_clip.confusion.tolist() == [[2, 1], [0, 0]]


def test_the_interval_of_one_subject_is_over_clips(make_record, tmp_path):
    (record,) = write_views(tmp_path, make_record, [[0.9, 0.8, 0.7]])
    measured = summary.blocks([record], tmp_path)[0].rows[0].last
    assert str(measured.groups) == "1 clip" and measured.interval.ends is None


def test_predictions_of_another_run_give_no_results_per_clip(make_record, tmp_path):
    (record,) = write_views(tmp_path, make_record, [[0.9, 0.8, 0.7]])
    other = {**record, "confusion": [[0, 3], [0, 0]], "accuracy": 0.0}
    measured = summary.blocks([other], tmp_path)[0].rows[0].last
    assert measured.per_clip is None and "files of different runs" in measured.problem
    measured = summary.blocks([{**record, "epochs": 20}], tmp_path)[0].rows[0].last
    assert "no test predictions after 20 epochs" in measured.problem


def test_several_seeds_have_a_mean_and_a_standard_deviation(make_record):
    records = [make_record(seed=seed) for seed in (2, 0, 1)]
    measured = summary.blocks(records)[0].rows[0].last
    accuracies = [record["accuracy"] for record in records]
    assert measured.seeds == (0, 1, 2)
    assert measured.scores.accuracy == pytest.approx(statistics.fmean(accuracies))
    assert measured.scores.spread == pytest.approx(np.std(accuracies, ddof=1))
    assert measured.scores.confusion.sum() == 300 and measured.count("n_test") == "100"


def test_folds_of_a_seed_are_pooled(make_record):
    """Folds are weighted by their number of examples, not equally."""
    small = make_record(fold=1, n_test=2, n_test_clips=2, **metrics_of([0, 1], [0, 0]))
    large = make_record(fold=0, accuracy_target=0.9)
    measured = summary.blocks([small, large])[0].rows[0].last
    assert [record["fold"] for record in measured.records] == [0, 1]
    correct = np.trace(large["confusion"]) + 1
    assert measured.scores.accuracy == pytest.approx(correct / 102)
    assert (measured.count("n_test"), measured.count("n_test_clips")) == ("102", "92")


def metrics_of(labels, predicted) -> dict:
    return metrics.measure(np.array(labels), np.eye(5)[predicted])


def test_the_last_of_several_records_with_one_key_counts(make_record):
    records = [make_record(accuracy_target=0.3), make_record(accuracy_target=0.9)]
    measured = summary.blocks(records)[0].rows[0].last
    assert len(measured.records) == 1
    assert measured.scores.accuracy == pytest.approx(records[1]["accuracy"])


def test_counts_that_differ_between_seeds_are_shown_as_a_range(make_record):
    records = [make_record(seed=0, n_test_clips=90), make_record(seed=1, n_test_clips=94)]
    assert summary.blocks(records)[0].rows[0].last.count("n_test_clips") == "90-94"


def test_chance_is_the_share_of_the_most_frequent_emotion(make_record):
    record = make_record(n_test=10, **metrics_of([0] * 7 + [1] * 3, [0] * 10))
    assert summary.blocks([record])[0].rows[0].last.scores.chance == 0.7


def test_the_paper_number_requires_all_records_to_have_it(make_record):
    with_it = make_record(seed=0, paper_accuracy=0.9, row="mel")
    without = make_record(seed=1, paper_accuracy=None, row="mel")
    assert summary.blocks([with_it])[0].rows[0].last.paper == 0.9
    assert summary.blocks([with_it, without])[0].rows[0].last.paper is None
    assert not summary.blocks([without])[0].has_paper


def test_guarantees_are_passed_or_taken_from_the_registry():
    assert summary.describe_guarantee("p", {"p": "Nothing."}) == "Nothing."
    assert "does not know" in summary.describe_guarantee("unheard_of", {})


def test_every_protocol_has_a_guarantee():
    for name in registry.PROTOCOLS:
        assert len(summary.describe_guarantee(name)) > 10

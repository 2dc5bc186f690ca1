"""Summaries of records: order, pooling of folds, spread over seeds, chance level."""

import statistics

import numpy as np
import pytest

from mmer_jax.evaluation import metrics, summary
from mmer_jax.protocols import registry


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


def test_one_seed_has_a_wilson_interval_and_no_standard_deviation(make_record):
    record = make_record()
    measured = summary.blocks([record])[0].rows[0].last
    assert measured.accuracy == pytest.approx(record["accuracy"])
    assert measured.interval == pytest.approx(tuple(record["accuracy_interval"]))
    assert measured.low_high == measured.interval
    assert measured.spread is None
    assert measured.chance == 0.2


def test_several_seeds_have_a_mean_and_a_standard_deviation_but_no_wilson_interval(make_record):
    records = [make_record(seed=seed) for seed in (2, 0, 1)]
    measured = summary.blocks(records)[0].rows[0].last
    accuracies = [record["accuracy"] for record in records]
    assert measured.seeds == (0, 1, 2)
    assert measured.accuracy == pytest.approx(statistics.fmean(accuracies))
    assert measured.spread == pytest.approx(np.std(accuracies, ddof=1))
    assert measured.interval is None
    assert measured.confusion.sum() == 300 and measured.count("n_test") == "100"


def test_folds_of_a_seed_are_pooled(make_record):
    """Folds are weighted by their number of examples, not equally."""
    small = make_record(fold=1, n_test=2, n_test_clips=2, **metrics_of([0, 1], [0, 0]))
    large = make_record(fold=0, accuracy_target=0.9)
    measured = summary.blocks([large, small])[0].rows[0].last
    correct = np.trace(large["confusion"]) + 1
    assert measured.accuracy == pytest.approx(correct / 102)
    assert measured.interval == pytest.approx(metrics.wilson_interval(int(correct), 102))
    assert (measured.count("n_test"), measured.count("n_test_clips")) == ("102", "92")


def metrics_of(labels, predicted) -> dict:
    return metrics.measure(np.array(labels), np.eye(5)[predicted])


def test_the_last_of_several_records_with_one_key_counts(make_record):
    records = [make_record(accuracy_target=0.3), make_record(accuracy_target=0.9)]
    measured = summary.blocks(records)[0].rows[0].last
    assert len(measured.records) == 1
    assert measured.accuracy == pytest.approx(records[1]["accuracy"])


def test_counts_that_differ_between_seeds_are_shown_as_a_range(make_record):
    records = [make_record(seed=0, n_test_clips=90), make_record(seed=1, n_test_clips=94)]
    assert summary.blocks(records)[0].rows[0].last.count("n_test_clips") == "90-94"


def test_chance_is_the_share_of_the_most_frequent_emotion(make_record):
    record = make_record(n_test=10, **metrics_of([0] * 7 + [1] * 3, [0] * 10))
    assert summary.blocks([record])[0].rows[0].last.chance == 0.7


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

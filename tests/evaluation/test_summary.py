import statistics

import numpy as np
import pytest

from mmer_jax.evaluation import metrics, summary


def test_rows_stand_in_joining_order_and_blocks_in_order_of_appearance(make_record):
    rows = ["face_flow_mel", "mel", "face_mel", "face"]
    found = [
        make_record(row=row, modalities=row.split("_"), protocol=protocol)
        for protocol in ("triplet_random", "clip_random")
        for row in rows
    ]
    blocks = summary.blocks(found)
    assert [block.protocol for block in blocks] == ["triplet_random", "clip_random"]
    assert [row.name for row in blocks[0].rows] == ["face", "mel", "face_mel", "face_flow_mel"]


def test_rows_of_the_same_modalities_keep_their_order(make_record):
    found = [make_record(row=row, modalities=["mel"]) for row in ("start", "change1", "a")]
    (block,) = summary.blocks(found)
    assert [row.name for row in block.rows] == ["start", "change1", "a"]


def test_one_seed_has_an_interval_and_no_spread(make_record):
    record = make_record()
    measured = summary.blocks([record])[0].rows[0].last
    assert measured.accuracy == pytest.approx(record["accuracy"])
    assert measured.interval == pytest.approx(tuple(record["accuracy_interval"]))
    assert measured.low_high == measured.interval
    assert measured.spread is None
    assert measured.chance == 0.2


def test_several_seeds_have_a_mean_and_a_spread_and_no_interval(make_record):
    found = [make_record(seed=seed) for seed in (2, 0, 1)]
    measured = summary.blocks(found)[0].rows[0].last
    accuracies = [record["accuracy"] for record in found]
    assert measured.seeds == (0, 1, 2)
    assert measured.accuracy == pytest.approx(statistics.fmean(accuracies))
    assert measured.spread == pytest.approx(np.std(accuracies, ddof=1))
    assert measured.interval is None
    assert measured.confusion.sum() == 300 and measured.count("n_test") == "100"


def test_folds_of_a_seed_are_pooled(make_record):
    """Two folds of unequal size weigh by their examples, not one half each."""
    small = make_record(fold=1, n_test=2, n_test_clips=2, **measured_of([0, 1], [0, 0]))
    large = make_record(fold=0, right=0.9)
    measured = summary.blocks([large, small])[0].rows[0].last
    right = np.trace(large["confusion"]) + 1
    assert measured.accuracy == pytest.approx(right / 102)
    assert measured.interval == pytest.approx(metrics.wilson_interval(int(right), 102))
    assert (measured.count("n_test"), measured.count("n_test_clips")) == ("102", "92")


def measured_of(labels, predicted) -> dict:
    return metrics.measure(np.array(labels), np.eye(5)[predicted])


def test_of_records_with_one_key_the_last_counts(make_record):
    found = [make_record(right=0.3), make_record(right=0.9)]
    measured = summary.blocks(found)[0].rows[0].last
    assert len(measured.records) == 1
    assert measured.accuracy == pytest.approx(found[1]["accuracy"])


def test_counts_that_differ_between_seeds_are_a_range(make_record):
    found = [make_record(seed=0, n_test_clips=90), make_record(seed=1, n_test_clips=94)]
    assert summary.blocks(found)[0].rows[0].last.count("n_test_clips") == "90-94"


def test_chance_is_the_commonest_emotion(make_record):
    record = make_record(n_test=10, **measured_of([0] * 7 + [1] * 3, [0] * 10))
    assert summary.blocks([record])[0].rows[0].last.chance == 0.7


def test_the_paper_s_number_needs_all_records_to_have_it(make_record):
    with_it = make_record(seed=0, paper_accuracy=0.9, row="mel")
    without = make_record(seed=1, paper_accuracy=None, row="mel")
    assert summary.blocks([with_it])[0].rows[0].last.paper == 0.9
    assert summary.blocks([with_it, without])[0].rows[0].last.paper is None
    assert not summary.blocks([without])[0].has_paper


def test_promises_are_given_or_those_of_the_protocols():
    assert summary.promise("p", {"p": "Nothing."}) == "Nothing."
    assert "does not know" in summary.promise("unheard_of", {})


def test_every_protocol_promises_something():
    protocols = pytest.importorskip(
        "mmer_jax.protocols.registry", reason="datasets.protocols isn't there"
    )
    for name in protocols.PROTOCOLS:
        assert len(summary.promise(name)) > 10

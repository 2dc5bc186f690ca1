"""Tests of frame selection."""

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.media import frame_choice


def choose(count, n, method, seed=0, scores=None):
    rng = np.random.default_rng(seed)
    if scores is None and method in frame_choice.NEEDS_SCORES:
        scores = {i: (7 * i) % 31 for i in range(1, count)}
    return frame_choice.choose_frames(count, n, method, rng, scores)


@pytest.mark.parametrize("method", frame_choice.CHOICES)
@pytest.mark.parametrize("count", [4, 5, 20, 98])
def test_indices_are_ascending_distinct_and_never_zero(method, count):
    for seed in range(50):
        indices = choose(count, 3, method, seed)
        assert len(indices) == len(set(indices)) == 3
        assert indices == sorted(indices)
        assert all(type(i) is int and 1 <= i < count for i in indices)


@pytest.mark.parametrize("method", frame_choice.CHOICES)
@pytest.mark.parametrize("count", [2, 3])
def test_frames_are_repeated_if_there_are_too_few(method, count):
    indices = choose(count, 3, method)
    assert len(indices) == 3
    assert set(indices) == set(range(1, count))


@pytest.mark.parametrize("method", frame_choice.CHOICES)
@pytest.mark.parametrize("count", [0, 1])
def test_clip_without_motion_is_too_short(method, count):
    with pytest.raises(errors.ClipError) as caught:
        choose(count, 3, method)
    assert caught.value.kind == "too short"


def test_random_selection_follows_the_generator_and_is_uniform():
    assert choose(98, 3, "random", 5) == choose(98, 3, "random", 5)
    indices = [i for seed in range(2000) for i in choose(11, 3, "random", seed)]
    counts = np.bincount(indices, minlength=11)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 600).max() < 100


def test_uniform_selection_is_evenly_spaced():
    assert choose(91, 3, "uniform") == [16, 46, 76]
    assert choose(4, 3, "uniform") == [1, 2, 3]


def test_every_tenth_draws_from_three_different_blocks_of_ten():
    """The blocks are 1..10, 11..20, ...: with three or more of them, none gives two frames."""
    blocks = [{(i - 1) // 10 for i in choose(98, 3, "every_tenth", seed)} for seed in range(500)]
    assert all(len(drawn) == 3 for drawn in blocks)
    counts = np.bincount([block for drawn in blocks for block in drawn])
    assert np.abs(counts - 500 * 3 / 10).max() < 50  # all blocks are equally likely
    indices = {i for seed in range(2000) for i in choose(98, 3, "every_tenth", seed)}
    assert indices == set(range(1, 98))
    # With two blocks, each gives one frame, and the third frame is any other.
    assert {len({(i - 1) // 10 for i in choose(21, 3, "every_tenth", s)}) for s in range(50)} == {2}


def test_scored_selects_the_highest_scores_and_the_earlier_of_equal_ones():
    scores = {0: 9.0, 1: 0.2, 2: 0.5, 3: 0.9, 4: 0.5, 5: 0.5, 6: -1.0}
    assert choose(7, 3, "scored", scores=scores) == [2, 3, 4]
    assert choose(7, 1, "scored", scores=scores) == [3]
    assert choose(7, 3, "scored", 1, scores) == choose(7, 3, "scored", 2, scores)


def test_frames_without_a_score_are_not_selected():
    assert choose(50, 3, "scored", scores={7: 0.1, 31: 0.2}) == [7, 31, 31]
    for scores in ({}, {0: 1.0}, {50: 1.0}):
        with pytest.raises(errors.ClipError) as caught:
            choose(50, 3, "scored", scores=scores)
        assert caught.value.kind == "no scores"


def test_unknown_method_lists_the_known_ones():
    with pytest.raises(errors.UserError, match=r"'best'; known: random, uniform"):
        choose(10, 3, "best")

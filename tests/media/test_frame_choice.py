"""Which frames are chosen."""

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.media import frame_choice


def choose(count, n, how, seed=0, scores=None):
    rng = np.random.default_rng(seed)
    if scores is None and how in frame_choice.NEEDS_SCORES:
        scores = {i: (7 * i) % 31 for i in range(1, count)}
    return frame_choice.choose_frames(count, n, how, rng, scores)


@pytest.mark.parametrize("how", frame_choice.CHOICES)
@pytest.mark.parametrize("count", [4, 5, 20, 98])
def test_ascending_distinct_and_never_the_first(how, count):
    for seed in range(50):
        chosen = choose(count, 3, how, seed)
        assert len(chosen) == len(set(chosen)) == 3
        assert chosen == sorted(chosen)
        assert all(type(i) is int and 1 <= i < count for i in chosen)


@pytest.mark.parametrize("how", frame_choice.CHOICES)
@pytest.mark.parametrize("count", [2, 3])
def test_too_few_frames_are_repeated(how, count):
    chosen = choose(count, 3, how)
    assert len(chosen) == 3
    assert set(chosen) == set(range(1, count))


@pytest.mark.parametrize("how", frame_choice.CHOICES)
@pytest.mark.parametrize("count", [0, 1])
def test_a_clip_without_motion_is_too_short(how, count):
    with pytest.raises(errors.ClipError) as caught:
        choose(count, 3, how)
    assert caught.value.kind == "too short"


def test_random_choice_is_the_generators_and_reaches_every_frame():
    assert choose(98, 3, "random", 5) == choose(98, 3, "random", 5)
    reached = [i for seed in range(2000) for i in choose(11, 3, "random", seed)]
    counts = np.bincount(reached, minlength=11)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 600).max() < 100


def test_uniform_choice_spreads_over_the_clip():
    assert choose(91, 3, "uniform") == [16, 46, 76]
    assert choose(4, 3, "uniform") == [1, 2, 3]


def test_every_tenth_takes_one_of_each_ten_and_three_of_these():
    """The tens are 1..10, 11..20, ...: one ten never gives two frames where there are three."""
    tens = [{(i - 1) // 10 for i in choose(98, 3, "every_tenth", seed)} for seed in range(500)]
    assert all(len(drawn) == 3 for drawn in tens)
    counts = np.bincount([ten for drawn in tens for ten in drawn])
    assert np.abs(counts - 500 * 3 / 10).max() < 50  # each ten is drawn as often
    reached = {i for seed in range(2000) for i in choose(98, 3, "every_tenth", seed)}
    assert reached == set(range(1, 98))
    # Two tens: both give one, and the third frame is any other.
    assert {len({(i - 1) // 10 for i in choose(21, 3, "every_tenth", s)}) for s in range(50)} == {2}


def test_the_largest_scores_win_and_of_equal_ones_the_earlier_frame():
    scores = {0: 9.0, 1: 0.2, 2: 0.5, 3: 0.9, 4: 0.5, 5: 0.5, 6: -1.0}
    assert choose(7, 3, "scored", scores=scores) == [2, 3, 4]
    assert choose(7, 1, "scored", scores=scores) == [3]
    assert choose(7, 3, "scored", 1, scores) == choose(7, 3, "scored", 2, scores)


def test_frames_without_a_score_are_not_chosen():
    assert choose(50, 3, "scored", scores={7: 0.1, 31: 0.2}) == [7, 31, 31]
    for scores in ({}, {0: 1.0}, {50: 1.0}):
        with pytest.raises(errors.ClipError) as caught:
            choose(50, 3, "scored", scores=scores)
        assert caught.value.kind == "no scores"


def test_unknown_choice_lists_the_known():
    with pytest.raises(errors.UserError, match=r"'best'; known: random, uniform"):
        choose(10, 3, "best")

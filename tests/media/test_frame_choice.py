"""Which frames are chosen."""

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.media import frame_choice


def choose(count, n, how, seed=0):
    return frame_choice.choose_frames(count, n, how, np.random.default_rng(seed))


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


def test_unknown_choice_lists_the_known():
    with pytest.raises(errors.UserError, match=r"'best'; known: random, uniform"):
        choose(10, 3, "best")

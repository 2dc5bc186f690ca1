"""Tests of the vocabulary of emotions."""

import pytest

from mmer_jax import errors
from mmer_jax.corpora import emotions, ravdess


def test_every_ravdess_emotion_is_canonical():
    assert {emotions.lookup(name) for name in ravdess.EMOTIONS.values()} <= set(emotions.EMOTIONS)


def test_names_are_sorted_and_unique():
    assert list(emotions.EMOTIONS) == sorted(set(emotions.EMOTIONS))


def test_unknown_emotion_lists_the_known_ones():
    with pytest.raises(errors.UserError, match=r"'happy'.*happiness"):
        emotions.lookup("happy")

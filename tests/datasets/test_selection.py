"""Selection of examples, and the audio that each is paired with."""

import itertools

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.datasets import selection

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness")
VARIANTS = ("original", "noise", "pitch_shift")


def ravdess_like(actors=24, views=3):
    """Table of RAVDESS's five emotions at one intensity: actors x 5 x 2 x 2 clips, 3 views."""
    rows = [
        (f"01-01-{e + 3:02d}-02-{s:02d}-{r:02d}-{a:02d}", v, EMOTIONS[e], f"actor_{a:02d}", s, r)
        for a, e, s, r, v in itertools.product(
            range(1, actors + 1), range(5), (1, 2), (1, 2), range(views)
        )
    ]
    clip, view, emotion, subject, statement, repetition = map(np.array, zip(*rows, strict=True))
    return {
        "clip": clip,
        "view": view,
        "emotion": emotion,
        "subject": subject,
        "statement": statement,
        "repetition": repetition,
        "intensity": np.full(len(clip), "strong"),
        "audio_variant": np.array(VARIANTS)[view],
        "content_id": np.array([f"audio of {c}" for c in clip]),
    }


def make(table, indices, names, original):
    return selection.make_examples(
        table, indices, names=names, emotions=EMOTIONS, original_audio=original
    )


def test_test_example_pairs_each_frame_with_the_original_audio_of_its_clip():
    table = ravdess_like(actors=2)
    indices = np.arange(30, 90)
    examples = make(table, indices, ["face", "flow", "mel"], True)
    np.testing.assert_array_equal(examples.indices["face"], indices)
    np.testing.assert_array_equal(examples.indices["flow"], indices)
    mel_indices = examples.indices["mel"]
    assert set(table["audio_variant"][mel_indices]) == {"original"}
    np.testing.assert_array_equal(table["clip"][mel_indices], table["clip"][indices])
    np.testing.assert_array_equal(np.array(EMOTIONS)[examples.label], table["emotion"][indices])


def test_audio_only_has_one_test_example_per_clip():
    table = ravdess_like(actors=2)
    indices = np.arange(len(table["clip"]))
    examples = make(table, indices, ["mel"], True)
    assert len(examples) == len(indices) // 3 == len(set(examples.clip.tolist()))
    assert len(make(table, indices, ["mel"], False)) == len(indices)
    assert len(make(table, indices, ["face"], True)) == len(indices)


def test_training_examples_keep_their_own_audio():
    table = ravdess_like(actors=2)
    indices = np.arange(12)
    examples = make(table, indices, ["mel", "face"], False)
    np.testing.assert_array_equal(examples.indices["mel"], indices)


def test_selection_by_emotion_and_intensity():
    table = ravdess_like(actors=2)
    table["intensity"][::2] = "normal"
    indices = selection.select_indices(table, emotions=("fear", "anger"), intensities=("normal",))
    assert set(table["emotion"][indices]) == {"fear", "anger"}
    assert set(table["intensity"][indices]) == {"normal"}
    table["intensity"][table["emotion"] == "fear"] = "strong"
    with pytest.raises(errors.UserError, match="have no fear at the intensity normal"):
        selection.select_indices(table, emotions=("fear", "anger"), intensities=("normal",))
    with pytest.raises(errors.UserError, match="no example with emotion calm; available: anger"):
        selection.select_indices(table, emotions=("calm",), intensities=("normal",))
    with pytest.raises(errors.UserError, match="no example with audio variant time_shift"):
        selection.select_indices(table, emotions=("fear",), audio_variants=("time_shift",))
    originals = selection.select_indices(table, emotions=("fear",), audio_variants=("original",))
    assert set(table["view"][originals]) == {0}
    assert set(table["emotion"][originals]) == {"fear"}

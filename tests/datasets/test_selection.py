"""The examples are the ones that are asked for, each with the audio that it should have."""

import itertools

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.datasets import selection

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness")
VARIANTS = ("original", "noise", "pitch_shift")


def ravdess_like(actors=24, views=3):
    """The table of RAVDESS's five emotions at one intensity: actors x 5 x 2 x 2 clips, 3 views."""
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


def make(table, rows, names, original):
    return selection.make_examples(
        table, rows, names=names, emotions=EMOTIONS, original_audio=original
    )


def test_a_test_example_pairs_each_frame_with_its_clips_original_audio():
    table = ravdess_like(actors=2)
    rows = np.arange(30, 90)
    examples = make(table, rows, ["face", "flow", "mel"], True)
    np.testing.assert_array_equal(examples.indices["face"], rows)
    np.testing.assert_array_equal(examples.indices["flow"], rows)
    waveforms = examples.indices["mel"]
    assert set(table["audio_variant"][waveforms]) == {"original"}
    np.testing.assert_array_equal(table["clip"][waveforms], table["clip"][rows])
    np.testing.assert_array_equal(np.array(EMOTIONS)[examples.label], table["emotion"][rows])


def test_audio_alone_has_one_test_example_a_clip():
    table = ravdess_like(actors=2)
    rows = np.arange(len(table["clip"]))
    examples = make(table, rows, ["mel"], True)
    assert len(examples) == len(rows) // 3 == len(set(examples.clip.tolist()))
    assert len(make(table, rows, ["mel"], False)) == len(rows)
    assert len(make(table, rows, ["face"], True)) == len(rows)


def test_training_examples_keep_their_own_audio():
    table = ravdess_like(actors=2)
    rows = np.arange(12)
    examples = make(table, rows, ["mel", "face"], False)
    np.testing.assert_array_equal(examples.indices["mel"], rows)


def test_selection_by_emotion_and_intensity():
    table = ravdess_like(actors=2)
    table["intensity"][::2] = "normal"
    rows = selection.wanted_rows(table, emotions=("fear", "anger"), intensities=("normal",))
    assert set(table["emotion"][rows]) == {"fear", "anger"}
    assert set(table["intensity"][rows]) == {"normal"}
    table["intensity"][table["emotion"] == "fear"] = "strong"
    with pytest.raises(errors.UserError, match="hold no fear at the intensity normal"):
        selection.wanted_rows(table, emotions=("fear", "anger"), intensities=("normal",))
    with pytest.raises(errors.UserError, match="no example of emotion calm; they have anger"):
        selection.wanted_rows(table, emotions=("calm",), intensities=("normal",))
    with pytest.raises(errors.UserError, match="no example of audio variant time_shift"):
        selection.wanted_rows(table, emotions=("fear",), audio_variants=("time_shift",))
    originals = selection.wanted_rows(table, emotions=("fear",), audio_variants=("original",))
    assert set(table["view"][originals]) == {0}
    assert set(table["emotion"][originals]) == {"fear"}

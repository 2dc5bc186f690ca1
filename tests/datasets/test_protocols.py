"""Each protocol keeps its promise, and the examples are the ones that it says."""

import itertools

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.datasets import protocols, selection

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
        "content_id": np.array([f"sound of {c}" for c in clip]),
    }


def split(name, table, seed=0, validation=0.1):
    return protocols.get(name).split(
        table, fold=0, seed=seed, test_fraction=0.2, validation_fraction=validation
    )


@pytest.mark.parametrize("name", ["triplet_random", "clip_random"])
@pytest.mark.parametrize("validation", [0.0, 0.1])
def test_every_row_is_in_one_part_and_classes_are_even(name, validation):
    table = ravdess_like()
    parts = split(name, table, validation=validation)
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(together.tolist()) == list(range(len(table["clip"])))
    assert len(parts.test) == pytest.approx(0.2 * len(together), abs=3)
    assert len(parts.validation) == pytest.approx(validation * 0.8 * len(together), abs=3)
    _, counts = np.unique(table["emotion"][parts.test], return_counts=True)
    assert len(counts) == 5 and np.ptp(counts) <= 3  # a clip has three rows


def test_clip_random_keeps_clips_together():
    table = ravdess_like()
    parts = split("clip_random", table)
    sides = [set(table["clip"][p]) for p in (parts.train, parts.validation, parts.test)]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]


def test_clip_random_keeps_identical_recordings_together_and_silent_ones_apart():
    table = ravdess_like(actors=4)
    twins = ("01-01-03-02-01-01-01", "01-01-03-02-01-02-01")
    table["content_id"][np.isin(table["clip"], twins)] = "same sound"
    silent = np.isin(table["clip"], [f"01-01-04-02-01-01-{a:02d}" for a in (1, 2, 3, 4)])
    table["content_id"][silent] = ""
    apart = 0
    for seed in range(20):
        test = set(table["clip"][split("clip_random", table, seed).test])
        assert len(test & set(twins)) in (0, 2)
        apart += 0 < len(test & set(table["clip"][silent])) < 4
    assert apart  # the silent ones are not one recording


def test_actor_kfold_tests_every_actor_once_and_as_a_stranger():
    table, way = ravdess_like(), protocols.get("actor_kfold")
    assert way.folds(table) == (0, 1, 2, 3, 4)
    tested = []
    for fold in way.folds(table):
        parts = way.split(table, fold=fold, seed=0, test_fraction=0.2, validation_fraction=0.2)
        people = [set(table["subject"][p]) for p in (parts.train, parts.validation, parts.test)]
        assert len(set.union(*people)) == sum(map(len, people)) == 24
        assert len(people[1]) == round(0.2 * (24 - len(people[2])))
        tested += sorted(people[2])
    assert sorted(tested) == [f"actor_{a:02d}" for a in range(1, 25)]
    # Fold 0, as printed.
    assert tested[:5] == ["actor_02", "actor_05", "actor_14", "actor_15", "actor_16"]


def test_actor_kfold_with_some_actors_or_with_other_peoples_names():
    few = ravdess_like(actors=5)
    assert protocols.get("actor_kfold").folds(few) == (0, 1, 4)  # those with an actor to test
    others = {**few, "subject": np.char.replace(few["subject"], "actor_", "S0")}
    assert protocols.subject_folds(others) == {i: [f"S0{i + 1:02d}"] for i in range(5)}
    with pytest.raises(errors.UserError, match="found actor_01; clip_random"):
        protocols.get("actor_kfold").folds(ravdess_like(actors=1))


def test_cross_dataset_tests_on_the_second_set_alone():
    table = ravdess_like(actors=4)
    way = protocols.get("cross_dataset")
    with pytest.raises(errors.UserError, match="needs a second data set"):
        way.folds(table)
    table["role"] = np.where(table["subject"] == "actor_04", "test", "train")
    parts = way.split(table, fold=0, seed=0, test_fraction=0.2, validation_fraction=0.1)
    assert set(table["role"][parts.test]) == {"test"}
    assert (table["role"] == "test").sum() == len(parts.test)
    assert len(parts.validation) == pytest.approx(0.1 * 3 * 60, abs=3)


def test_triplet_random_puts_a_sibling_in_training_with_the_probability_it_states():
    table = ravdess_like()
    share = []
    for seed in range(20):
        parts = split("triplet_random", table, seed, validation=0)
        train = set(table["clip"][parts.train])
        share.append(np.mean([c in train for c in table["clip"][parts.test].tolist()]))
    assert np.mean(share) == pytest.approx(1 - 0.2**2, abs=0.01)
    assert "0.96" in protocols.get("triplet_random").promise


def test_splits_repeat_with_the_seed_and_only_then():
    table = ravdess_like()
    a, b, c = (split("clip_random", table, s).test.tolist() for s in (0, 0, 1))
    assert a == b != c


def test_too_few_recordings_are_named():
    table = {k: v[:9] for k, v in ravdess_like(actors=1).items()}
    table["emotion"][:] = ["anger"] * 3 + ["fear"] * 3 + ["sadness"] * 3
    with pytest.raises(errors.UserError, match="anger 1, fear 1, sadness 1"):
        split("clip_random", table)


def test_unknown_names():
    with pytest.raises(errors.UserError, match="unknown protocol 'actor'; known: triplet_random"):
        protocols.get("actor")
    with pytest.raises(errors.UserError, match="unknown fold of clip_random 3; known: 0"):
        protocols.get("clip_random").split(
            ravdess_like(), fold=3, seed=0, test_fraction=0.2, validation_fraction=0
        )


def make(table, rows, names, original):
    return selection.make_examples(
        table, rows, names=names, emotions=EMOTIONS, original_sound=original
    )


def test_a_test_example_pairs_each_frame_with_its_clips_original_sound():
    table = ravdess_like(actors=2)
    rows = np.arange(30, 90)
    examples = make(table, rows, ["face", "flow", "mel"], True)
    np.testing.assert_array_equal(examples.rows["face"], rows)
    np.testing.assert_array_equal(examples.rows["flow"], rows)
    sounds = examples.rows["mel"]
    assert set(table["audio_variant"][sounds]) == {"original"}
    np.testing.assert_array_equal(table["clip"][sounds], table["clip"][rows])
    np.testing.assert_array_equal(np.array(EMOTIONS)[examples.label], table["emotion"][rows])


def test_sound_alone_has_one_test_example_a_clip():
    table = ravdess_like(actors=2)
    rows = np.arange(len(table["clip"]))
    examples = make(table, rows, ["mel"], True)
    assert len(examples) == len(rows) // 3 == len(set(examples.clip.tolist()))
    assert len(make(table, rows, ["mel"], False)) == len(rows)
    assert len(make(table, rows, ["face"], True)) == len(rows)


def test_training_examples_keep_their_own_sound():
    table = ravdess_like(actors=2)
    rows = np.arange(12)
    examples = make(table, rows, ["mel", "face"], False)
    np.testing.assert_array_equal(examples.rows["mel"], rows)


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

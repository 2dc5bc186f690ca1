"""Equal training subsets: counts against arithmetic, draws against their expected shares."""

import functools
import itertools

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.protocols import equal_training, registry

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness")
KNOWN_SPEAKERS = registry.LADDER[:5]


@functools.cache
def ravdess_strong(actors=18):
    """Strong speech of the first actors: 20 clips each, two takes of each sentence, three views."""
    clips = list(itertools.product(range(1, actors + 1), EMOTIONS, (1, 2), (1, 2)))
    columns = {
        "clip": [f"{e} {s} {r} {a}" for a, e, s, r in clips],
        "subject": [f"actor_{a:02d}" for a, *_ in clips],
        "gender": [("male", "female")[1 - a % 2] for a, *_ in clips],
        "emotion": [e for _, e, _, _ in clips],
        "intensity": ["strong" for _ in clips],
        "statement": [s for *_, s, _ in clips],
        "repetition": [r for *_, r in clips],
    }
    table = {name: np.repeat(np.array(column), 3) for name, column in columns.items()}
    return table | {"content_id": table["clip"]}


def split(protocol, fold, seed=0, table=None, equal_to=registry.LADDER, validation=0.0):
    table = ravdess_strong() if table is None else table
    if not equal_to:
        return _split_table(seed, validation, protocol, fold, table)
    split_table = functools.partial(_split_table, seed, validation)
    return equal_training.split(
        protocol, fold, seed, table, equal_to=equal_to, split_table=split_table
    )


def _split_table(seed, validation, protocol, fold, table):
    return registry.get(protocol).split(
        table, fold=fold, seed=seed, test_fraction=0.2, validation_fraction=validation
    )


def values(column, rows):
    return set(ravdess_strong()[column][rows].tolist())


def cells():
    for name in registry.LADDER:
        for fold in registry.get(name).folds(ravdess_strong()):
            if name != "leave_one_actor_out" or fold in (0, 17):
                yield name, fold


def test_every_rung_trains_on_equally_many_speakers_recordings_and_examples():
    # actor_kfold tests at most 5 of the 18 actors; 13 of them have 10 clips of one sentence;
    # triplet_random tests a fifth of 390 examples.
    table, speakers = ravdess_strong(), set()
    for name, fold in cells():
        found = split(name, fold)
        assert len(found.train) == 312, (name, fold)
        clips = len(values("clip", found.train))
        assert 127 <= clips <= 130 if name == "triplet_random" else clips == 130, (name, fold)
        assert len(values("subject", found.train)) == 13, (name, fold)
        counts = np.unique(table["emotion"][found.train], return_counts=True)[1]
        np.testing.assert_allclose(counts, 312 / 5, atol=6, err_msg=name)
        views = np.unique(table["clip"][found.train], return_counts=True)[1]
        assert name == "triplet_random" or set(views) == {2, 3}
        again = split(name, fold)
        np.testing.assert_array_equal(found.train, again.train)
        np.testing.assert_array_equal(found.test, again.test)
        if name in KNOWN_SPEAKERS:
            speakers.add(frozenset(values("subject", found.train)))
    assert len(speakers) == 1
    assert values("subject", split("clip_random", 0, seed=1).train) not in speakers


def test_the_guarantees_hold_and_only_known_speakers_are_tested_where_speakers_are_shared():
    for name, fold in cells():
        found, plain = split(name, fold), split(name, fold, equal_to=())
        assert not set(found.train) & set(found.test)
        if name in KNOWN_SPEAKERS:
            assert values("subject", found.test) <= values("subject", found.train)
        else:
            assert not values("subject", found.test) & values("subject", found.train)
            np.testing.assert_array_equal(found.test, plain.test)
        if name != "triplet_random":
            assert not values("clip", found.test) & values("clip", found.train)
    takes = split("take_grouped", 0)
    train, test = (
        set(
            zip(
                *(ravdess_strong()[c][rows] for c in ("subject", "emotion", "statement")),
                strict=True,
            )
        )
        for rows in (takes.train, takes.test)
    )
    assert not train & test
    sentences = split("statement_disjoint", 1)
    assert (values("statement", sentences.train), values("statement", sentences.test)) == ({1}, {2})


def test_a_recording_is_shared_as_often_as_without_equal_training():
    table, shared = ravdess_strong()["clip"], []
    for seed in range(5):
        found = split("triplet_random", 0, seed)
        shared += np.isin(table[found.test], table[found.train]).tolist()
        assert len(found.test) == 78 and len(values("clip", [*found.train, *found.test])) == 130
    assert np.mean(shared) == pytest.approx(1 - 0.2**2, abs=0.04)


def test_altered_audio_is_tested_of_the_clips_of_clip_random():
    plain, altered = (split(n, 0, 3) for n in ("clip_random", "clip_random_altered_sound"))
    np.testing.assert_array_equal(plain.train, altered.train)
    np.testing.assert_array_equal(plain.test, altered.test)


def test_validation_examples_are_of_drawn_speakers_and_leave_the_numbers_equal():
    sizes = set()
    for name, fold in cells():
        found = split(name, fold, validation=0.25)
        sizes.add(len(found.train))
        assert len(found.validation)
        assert not set(found.validation) & {*found.train, *found.test}
        if name in KNOWN_SPEAKERS:
            assert values("subject", found.validation) <= values("subject", found.train)
    assert len(sizes) == 1


def test_nothing_is_left_out_where_all_have_one_size():
    for fold in (0, 1):
        found = split("statement_disjoint", fold, equal_to=("statement_disjoint",))
        plain = split("statement_disjoint", fold, equal_to=())
        np.testing.assert_array_equal(found.train, plain.train)
        np.testing.assert_array_equal(found.test, plain.test)


def test_two_takes_with_the_same_audio_stay_on_one_side():
    table = dict(ravdess_strong())
    first, second = "anger 1 1 1", "anger 2 1 1"
    table["content_id"] = np.where(table["clip"] == second, first, table["clip"])
    for name, seed in itertools.product(registry.LADDER[1:], range(4)):
        found = split(name, 0, seed, table)
        sides = [
            {name for name in ("train", "test") if clip in table["clip"][getattr(found, name)]}
            for clip in (first, second)
        ]
        assert len(sides[0] | sides[1]) <= 1, (name, seed)


def test_a_draw_takes_the_share_of_every_stratum_and_each_item_equally_often():
    stratum = np.repeat(["a", "b", "c"], (6, 9, 15))
    inner = np.tile([0, 1, 2], 10)
    drawn = np.zeros(30)
    for seed in range(400):
        found = equal_training.draw(10, [stratum, inner], seed)
        assert len(np.unique(found)) == 10 and (np.diff(found) > 0).all()
        assert np.unique(stratum[found], return_counts=True)[1].tolist() == [2, 3, 5]
        assert (np.bincount(inner[found][stratum[found] == "b"], minlength=3) == 1).all()
        drawn[found] += 1
    # Binomial with 400 draws of probability 1/3: standard deviation 9.4.
    np.testing.assert_allclose(drawn, 400 / 3, atol=4 * 9.5)


@pytest.mark.parametrize("size", [1, 29, 30])
def test_any_number_can_be_drawn(size):
    # 29 of 30 leaves fewer than the strata: scikit-learn's stratified split refuses it.
    found = equal_training.draw(size, [np.arange(30) % 3], 0)
    assert len(np.unique(found)) == size


def test_too_few_speakers_for_a_split_are_named():
    # Of actors 1 to 4 actor_kfold trains on two or more; they have 20 takes, a fifth of which
    # cannot have five emotions.
    with pytest.raises(errors.UserError, match=r"with the 2 subjects .*, take_grouped cannot take"):
        split("clip_random", 0, table=ravdess_strong(4))


def test_a_training_subset_without_an_emotion_is_refused():
    table = dict(ravdess_strong())
    # Anger is recorded by one actor, who is left out in most draws of speakers.
    keep = (table["emotion"] != "anger") | (table["subject"] == "actor_18")
    table = {name: column[keep] for name, column in table.items()}
    with pytest.raises(errors.UserError, match=r"leaves no example of anger to (train on|test)"):
        for seed in range(20):
            split("actor_kfold", 0, seed, table, equal_to=("actor_kfold", "statement_disjoint"))

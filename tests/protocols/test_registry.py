"""Each protocol holds its guarantee, for every clip that RAVDESS has and on a set like BAUM-1."""

import functools
import itertools

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.protocols import registry

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness")
EIGHT = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
# Actor 7's two takes of one sentence that are byte for byte the same audio.
TWINS = ("01-01-03-01-02-01-07", "01-01-03-01-02-02-07")


def as_table(rows):
    """Three rows for each (clip, emotion, subject, gender, intensity, statement, repetition,
    channel)."""
    names = ["clip", "emotion", "subject", "gender", "intensity"]
    names += ["statement", "repetition", "channel"]
    columns = map(np.array, zip(*rows, strict=True))
    table = {name: np.repeat(c, 3) for name, c in zip(names, columns, strict=True)}
    table["view"] = np.tile(np.arange(3), len(rows))
    waveform = np.char.add("audio of ", table["clip"])
    waveform[np.isin(table["clip"], TWINS)] = "the same"
    silent = np.char.add("silent ", table["clip"])
    table["content_id"] = np.where(table["channel"] == "video_only", silent, waveform)
    return table


@functools.cache
def ravdess_in_full(copies=False):
    """All 1440 clips of speech, three rows each; with their video-only copies 2880."""
    rows = [
        (
            f"{c:02d}-01-{e:02d}-{i:02d}-{s:02d}-{r:02d}-{a:02d}",
            EIGHT[e - 1],
            f"actor_{a:02d}",
            ("male", "female")[1 - a % 2],
            ("normal", "strong")[i - 1],
            s,
            r,
            ("audio_video", "video_only")[c - 1],
        )
        for c, e, i, s, r, a in itertools.product(
            (1, 2)[: 1 + copies], range(1, 9), (1, 2), (1, 2), (1, 2), range(1, 25)
        )
        if (e, i) != (1, 2)  # neutral is never strong
    ]
    assert len(rows) == 1440 * (1 + copies)
    return as_table(rows)


@functools.cache
def baum1_like():
    """30 subjects, S005 left out, with 3 to 16 clips each of six emotions, some of them rare."""
    rng = np.random.default_rng(5)
    emotions = ["anger", "boredom", "disgust", "fear", "happiness", "sadness"]
    rows = []
    for subject in (s for s in range(1, 32) if s != 5):
        gender = "female" if rng.random() < 0.5 else "male"
        for clip in range(1, rng.integers(4, 18)):
            emotion = rng.choice(emotions, p=[0.2, 0.1, 0.1, 0.1, 0.3, 0.2])
            facts = (f"S{subject:03d}", gender, "acted", 0, 0, "audio_video")
            rows.append((f"S{subject:03d}_{clip:03d}", emotion, *facts))
    return as_table(rows)


def where(table, rows):
    return {name: column[rows] for name, column in table.items()}


def ravdess_like(actors=24):
    """Five emotions at one intensity: actors x 5 x 2 x 2 clips, three rows each."""
    table = ravdess_in_full()
    wanted = np.isin(table["emotion"], EMOTIONS) & (table["intensity"] == "strong")
    return where(table, wanted & (table["subject"] <= f"actor_{actors:02d}"))


TABLES = {
    "ravdess": ravdess_in_full,
    "ravdess with copies": functools.partial(ravdess_in_full, True),
    "baum1": baum1_like,
}
# What may not be on two sides, read from a clip's name: CC-VV-EE-II-SS-RR-AA, or SXXX_YYY.
CLIPS = ("clip_random", "clip_random_altered_sound")
FORBIDDEN = {
    # A copy is the same recording.
    **dict.fromkeys(CLIPS, lambda clip: clip[clip.find("-") + 1 :]),
    "take_grouped": lambda clip: clip[6:14] + clip[18:],
    "actor_kfold": lambda clip: clip[18:] or clip[:4],
    "leave_one_actor_out": lambda clip: clip[18:] or clip[:4],
    "statement_disjoint": lambda clip: clip[12:14],
}
SERVED = {
    "ravdess": ["triplet_random", *FORBIDDEN],
    "baum1": ["triplet_random", *CLIPS, "actor_kfold", "leave_one_actor_out"],
}
ASKED = [(p, name) for name in TABLES for p in FORBIDDEN if p in SERVED[name.split()[0]]]


def every_split(way, table, seeds=(0, 1, 2), validation=0.15):
    """Yields (fold, seed, split) of all folds and seeds."""
    for fold, seed in itertools.product(way.folds(table), seeds):
        kwargs = {"test_fraction": 0.2, "validation_fraction": validation}
        yield fold, seed, way.split(table, fold=fold, seed=seed, **kwargs)


@pytest.mark.parametrize(("name", "of"), ASKED)
def test_no_two_examples_across_the_split_share_what_is_forbidden(name, of):
    table, way = TABLES[of](), registry.get(name)
    forbidden = np.array([FORBIDDEN[name](clip) for clip in table["clip"].tolist()])
    tested = {}
    for _, seed, parts in every_split(way, table):
        train, validation, test = (
            set(forbidden[rows]) for rows in (parts.train, parts.validation, parts.test)
        )
        assert train and validation and test
        assert not test & (train | validation)
        if name == "statement_disjoint":  # both are the other sentence: whole takes are drawn
            take = np.array([FORBIDDEN["take_grouped"](c) for c in table["clip"].tolist()])
            train, validation = set(take[parts.train]), set(take[parts.validation])
        assert not train & validation
        together = np.concatenate([parts.train, parts.validation, parts.test])
        assert sorted(together.tolist()) == list(range(len(table["clip"])))
        waveforms = [set(table["content_id"][rows]) for rows in vars(parts).values()]
        assert len(set.union(*waveforms)) == sum(map(len, waveforms))
        tested.setdefault(seed, []).append(parts.test)
    if way.test_masks:  # the folds are a partition, the same for every seed
        for folds in tested.values():
            np.testing.assert_array_equal(np.sort(np.concatenate(folds)), range(len(forbidden)))
            assert all(map(np.array_equal, folds, tested[0]))


@pytest.mark.parametrize("of", TABLES)
def test_the_protocols_that_a_set_can_serve(of):
    table = TABLES[of]()
    assert registry.applicable(table) == SERVED[of.split()[0]]
    second = np.isin(table["subject"], np.unique(table["subject"])[::2])
    joined = {**table, "role": np.where(second, "test", "train")}
    assert registry.applicable(joined) == ["cross_dataset"]


def test_folds_are_as_many_as_there_is_to_test():
    table = ravdess_in_full()
    assert len(registry.get("leave_one_actor_out").folds(table)) == 24
    assert registry.get("statement_disjoint").folds(table) == (0, 1)
    for fold, _, parts in every_split(registry.get("statement_disjoint"), table, seeds=(0,)):
        assert set(table["statement"][parts.test]) == {fold + 1}
    for fold, _, parts in every_split(registry.get("leave_one_actor_out"), table, seeds=(0,)):
        assert set(table["subject"][parts.test]) == {f"actor_{fold + 1:02d}"}
    assert len(registry.get("leave_one_actor_out").folds(baum1_like())) == 30


@pytest.mark.parametrize("name", ["clip_random", "take_grouped"])
@pytest.mark.parametrize("copies", [False, True])
def test_draws_are_even_in_emotion(name, copies):
    """Each emotion gives its share, to one unit; a unit has up to 4 clips, 3 rows each."""
    table = ravdess_in_full(copies)
    _, every = np.unique(table["emotion"], return_counts=True)
    unit = 3 * (1 + copies) * (1 + (name == "take_grouped"))
    for _, _, parts in every_split(registry.get(name), table):
        for rows, share in ((parts.test, 0.2), (parts.validation, 0.8 * 0.15)):
            emotions, counts = np.unique(table["emotion"][rows], return_counts=True)
            assert emotions.tolist() == sorted(EIGHT)
            assert np.abs(counts - share * every).max() <= 1.5 * unit


@pytest.mark.parametrize("name", ["actor_kfold", "leave_one_actor_out"])
def test_validation_subjects_are_even_in_gender_and_leave_every_emotion_to_training(name):
    for table in (ravdess_in_full(), baum1_like()):
        for _, _, parts in every_split(registry.get(name), table):
            rest = np.concatenate([parts.train, parts.validation])
            for gender in ("female", "male"):
                there, drawn = (
                    len(set(table["subject"][rows][table["gender"][rows] == gender]))
                    for rows in (rest, parts.validation)
                )
                assert abs(drawn - 0.15 * there) <= 1
            everybody, drawn = (
                len(np.unique(table["subject"][rows])) for rows in (rest, parts.validation)
            )
            assert drawn == round(0.15 * everybody)
            assert set(table["emotion"][parts.train]) == set(table["emotion"])


def test_a_rare_emotion_is_not_drawn_away_from_training():
    table = dict(baum1_like())
    rare = ("S001", "S002", "S003")
    lucky = np.isin(table["subject"], rare) & np.char.endswith(table["clip"], "_001")
    table["emotion"] = np.where(lucky, "contempt", table["emotion"])
    way, validated = registry.get("leave_one_actor_out"), set()
    for fold, _, parts in every_split(way, table, seeds=range(8), validation=0.6):
        assert "contempt" in table["emotion"][parts.train]
        validated |= set(table["subject"][parts.validation])
        if fold > 2:
            break
    assert validated & set(rare)  # they are drawn, but never all of them


def give_one_audio(table, *clips):
    """The table with the same audio in several clips."""
    same = np.isin(table["clip"], clips)
    assert same.sum() == 3 * len(clips)
    return {**table, "content_id": np.where(same, "one waveform", table["content_id"])}, same


@pytest.mark.parametrize("name", ["actor_kfold", "leave_one_actor_out"])
def test_a_audio_of_two_subjects_is_tested_with_each_and_never_trained_on_meanwhile(name):
    clips = "01-01-03-02-01-01-02", "01-01-03-02-01-01-03"
    table, same = give_one_audio(ravdess_in_full(), *clips)
    people, tested = ["actor_02", "actor_03"], []
    for _, _, parts in every_split(registry.get(name), table):
        used = np.concatenate([parts.train, parts.validation])
        tested.append(parts.test)
        if who := set(people) & set(table["subject"][parts.test]):
            assert not same[used].any()
            assert len(used) + len(parts.test) == len(same) - 3 * (2 - len(who))
        else:  # as one unit they both train or both validate
            assert same[used].sum() == 6
            assert same[parts.train].sum() in (0, 6)
            together = [
                np.isin(people, table["subject"][p]) for p in (parts.train, parts.validation)
            ]
            assert together[0].all() != together[1].all()
    np.testing.assert_array_equal(np.unique(np.concatenate(tested)), range(len(same)))


def test_a_audio_of_both_statements_is_tested_with_each_and_never_trained_on_meanwhile():
    clips = "01-01-03-02-01-01-02", "01-01-03-02-02-01-02"
    table, same = give_one_audio(ravdess_in_full(), *clips)
    for _, _, parts in every_split(registry.get("statement_disjoint"), table):
        assert same[parts.test].sum() == 3
        assert not same[parts.train].any() and not same[parts.validation].any()
        assert len(parts.train) + len(parts.validation) + len(parts.test) == len(same) - 3


def test_a_audio_of_two_sets_is_not_trained_on():
    table, same = give_one_audio(ravdess_like(), "01-01-03-02-01-01-02", "01-01-03-02-01-01-03")
    table["role"] = np.where(table["subject"] == "actor_02", "test", "train")
    way = registry.get("cross_dataset")
    parts = way.split(table, fold=0, seed=0, test_fraction=0.2, validation_fraction=0.1)
    np.testing.assert_array_equal(parts.test, np.flatnonzero(table["role"] == "test"))
    assert not same[parts.train].any() and not same[parts.validation].any()


def test_takes_that_share_a_audio_are_drawn_as_one():
    table, same = give_one_audio(
        ravdess_in_full(), "01-01-03-02-01-01-02", "01-01-05-01-02-01-09", "01-01-08-01-01-02-24"
    )
    for _, _, parts in every_split(registry.get("take_grouped"), table, seeds=range(6)):
        assert [same[rows].sum() for rows in vars(parts).values()].count(0) == 2


@pytest.mark.parametrize("name", [n for n in registry.PROTOCOLS if n != "cross_dataset"])
def test_a_split_depends_on_the_seed_and_not_on_the_number_or_order_of_rows(name):
    table, way = ravdess_in_full(), registry.get(name)
    order = np.random.default_rng(0).permutation(len(table["clip"]))
    shuffled = {column: values[order] for column, values in table.items()}
    kwargs = {"fold": way.folds(table)[-1], "test_fraction": 0.2, "validation_fraction": 0.2}
    a, b = (way.split(t, seed=0, **kwargs) for t in (table, table))
    other = way.split(table, seed=1, **kwargs)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(a, part), getattr(b, part))
    assert a.validation.tolist() != other.validation.tolist()
    if name == "triplet_random":  # its units are the rows
        return
    one_a_clip = where(table, table["view"] == 0)
    c, d = (way.split(t, seed=0, **kwargs) for t in (shuffled, one_a_clip))
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(a, part), np.sort(order[getattr(c, part)]))
        clips = one_a_clip["clip"][getattr(d, part)]
        assert set(table["clip"][getattr(a, part)]) == set(clips)


def explain(name, table, fold=0, validation=0.0):
    with pytest.raises(errors.UserError) as caught:
        registry.get(name).split(
            table, fold=fold, seed=0, test_fraction=0.2, validation_fraction=validation
        )
    assert type(caught.value) is errors.UserError
    return str(caught.value)


def test_what_a_set_cannot_serve_is_said_with_what_it_can():
    others = f"triplet_random, {', '.join(CLIPS)}, actor_kfold, leave_one_actor_out"
    can = f"Protocols that apply: {others}"
    lacks = "needs the statement of every clip, and the metadata do not have it"
    assert explain("take_grouped", baum1_like()) == f"take_grouped {lacks}. {can}"
    lacks = "needs clips of the statements 1 and 2, found none"
    assert explain("statement_disjoint", baum1_like()) == f"statement_disjoint {lacks}. {can}"
    with pytest.raises(errors.UserError, match=r"statement_disjoint needs clips .* found none"):
        registry.get("statement_disjoint").folds(baum1_like())
    table = ravdess_in_full()
    one = where(table, table["statement"] == 2)
    text = explain("statement_disjoint", one)
    assert "found 2. Protocols that apply: triplet_random, clip_random, clip_random_alt" in text
    assert "altered_sound, take_grouped, actor_kfold" in text
    without = {name: column for name, column in table.items() if name != "statement"}
    text = explain("take_grouped", without)
    assert (
        "needs the column statement" in text and "that apply: triplet_random, actor_kfold" in text
    )
    text = explain("cross_dataset", table)
    assert "second dataset" in text and text.endswith("leave_one_actor_out, statement_disjoint")


def test_too_few_subjects():
    table = ravdess_in_full()
    alone = where(table, table["subject"] == "actor_07")
    can = f"Protocols that apply: triplet_random, {', '.join(CLIPS)}, statement_disjoint"
    for name, lacks in (
        ("actor_kfold", "needs subjects in two of its folds or more, found actor_07"),
        ("leave_one_actor_out", "needs two subjects or more, found actor_07"),
    ):
        assert explain(name, alone) == f"{name} {lacks}. {can}"
    assert "20% of its groups (found anger 4, calm 4, " in explain("take_grouped", alone)
    few = where(table, np.isin(table["subject"], ["actor_02", "actor_03", "actor_06"]))
    assert "has no fold 2 here: its folds are 0, 1, from 3 participating subjects" in explain(
        "actor_kfold", few, 2
    )
    assert "has no fold 3 here: its folds are 0, 1, 2" in explain("leave_one_actor_out", few, 3)
    assert "10% of its groups (found subject 2)" in explain("leave_one_actor_out", few, 0, 0.1)


def test_an_emotion_that_one_side_would_lack():
    table = dict(baum1_like())
    first = np.isin(table["clip"], ["S001_001"])
    table["emotion"] = np.where(first, "contempt", table["emotion"])
    fold = next(f for f, names in registry.subject_folds(table).items() if "S001" in names)
    text = explain("actor_kfold", table, fold)
    assert text.startswith(
        "actor_kfold leaves no example of contempt to train on. Protocols that apply:"
    )
    assert text.endswith("that apply: triplet_random")  # no whole clip can be on both sides
    assert "no example of contempt to test" in explain("actor_kfold", table, (fold + 1) % 5)
    assert "no example of contempt to train on" in explain("leave_one_actor_out", table, 0)
    assert "contempt 1" in explain("clip_random", table)
    # With a second subject who has it, everybody can be tested alone, on what there is of them.
    first |= np.isin(table["clip"], ["S002_001"])
    table["emotion"] = np.where(first, "contempt", table["emotion"])
    having = {
        fold
        for fold, names in registry.subject_folds(table).items()
        if {"S001", "S002"} & set(names)
    }
    text = explain("actor_kfold", table, min({0, 1, 2, 3, 4} - having))
    assert "no example of contempt to test. " in text
    assert text.endswith("that apply: triplet_random, leave_one_actor_out")


def split(name, table, seed=0, validation=0.1):
    return registry.get(name).split(
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


def test_actor_kfold_with_some_actors_or_with_other_peoples_names():
    few = ravdess_like(actors=5)
    assert registry.get("actor_kfold").folds(few) == (0, 1, 4)  # those with an actor to test
    others = {**few, "subject": np.char.replace(few["subject"], "actor_", "S0")}
    assert registry.subject_folds(others) == {i: [f"S0{i + 1:02d}"] for i in range(5)}
    with pytest.raises(errors.UserError, match=r"found actor_01\. Protocols that apply: triplet"):
        registry.get("actor_kfold").folds(ravdess_like(actors=1))


def test_cross_dataset_tests_on_the_second_set_alone():
    table = ravdess_like(actors=4)
    way = registry.get("cross_dataset")
    with pytest.raises(errors.UserError, match="needs a second dataset"):
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
    assert "0.96" in registry.get("triplet_random").guarantee


def test_too_few_recordings_are_named():
    table = {k: v[:9] for k, v in ravdess_like(actors=1).items()}
    table["emotion"][:] = ["anger"] * 3 + ["fear"] * 3 + ["sadness"] * 3
    with pytest.raises(errors.UserError, match="anger 1, fear 1, sadness 1"):
        split("clip_random", table)


def test_unknown_names():
    with pytest.raises(errors.UserError, match="unknown protocol 'actor'; known: triplet_random"):
        registry.get("actor")
    with pytest.raises(errors.UserError, match="unknown fold of clip_random 3; known: 0"):
        registry.get("clip_random").split(
            ravdess_like(), fold=3, seed=0, test_fraction=0.2, validation_fraction=0
        )

"""What is one unit, and that subjects are dealt evenly, whatever their clips were made into."""

import itertools

import numpy as np
import pytest
from sklearn import model_selection

from mmer_jax import errors
from mmer_jax.protocols import groups, registry


def table_of(*rows):
    """Columns from (clip, content_id), clips under RAVDESS's names."""
    clip, content = map(np.array, zip(*rows, strict=True))
    codes = np.array([name.split("-") for name in clip.tolist()])
    return {
        "clip": clip,
        "content_id": content,
        "channel": codes[:, 0],
        "emotion": codes[:, 2],
        "intensity": codes[:, 3],
        "statement": codes[:, 4].astype(int),
        "repetition": codes[:, 5].astype(int),
        "subject": codes[:, 6],
    }


def members(names):
    """The row numbers of each unit."""
    return sorted(np.flatnonzero(names == name).tolist() for name in np.unique(names))


def test_units_are_joined_by_clip_copy_and_audio_and_by_nothing_else():
    table = table_of(
        ("01-01-03-01-01-01-07", "a"),
        ("01-01-03-01-01-01-07", "a"),  # another view
        ("02-01-03-01-01-01-07", "silent 02-01-03-01-01-01-07"),  # the same images
        ("01-01-03-01-01-02-07", "a"),  # the same audio
        ("02-01-03-01-01-02-07", "silent 02-01-03-01-01-02-07"),
        ("01-01-03-01-02-01-07", ""),  # a take of the other statement; no audio
        ("01-01-03-01-02-02-07", ""),
        ("01-01-05-01-01-01-07", "silent take"),  # nor is silence one that they share
        ("01-01-06-01-01-01-07", "silent take"),
        ("01-01-05-01-02-01-08", "b"),
        ("01-01-05-01-02-01-09", "b"),  # another actor with the same audio
    )
    assert members(groups.single_examples(table)) == [[i] for i in range(11)]
    assert members(groups.recordings(table)) == [
        [0, 1, 2, 3, 4],
        [5],
        [6],
        [7],
        [8],
        [9, 10],
    ]
    assert members(groups.takes(table)) == [[0, 1, 2, 3, 4], [5, 6], [7], [8], [9, 10]]
    assert members(groups.subjects(table)) == [[0, 1, 2, 3, 4, 5, 6, 7, 8], [9, 10]]
    assert set(groups.subjects(table)) == {"07", "08"}


def test_chains_of_shared_audio_are_one_unit():
    """Against a search from each row through all that share a clip or a waveform."""
    rng = np.random.default_rng(0)
    clip = np.array([f"S001_{n:03d}" for n in rng.integers(0, 60, 80)])
    content = np.array([f"audio {n}" if n < 50 else "" for n in rng.integers(0, 60, 80)])
    zeros = np.zeros(80, int)
    table = {"clip": clip, "content_id": content, "statement": zeros, "repetition": zeros}
    table |= {name: np.full(80, "same") for name in ("subject", "emotion", "intensity")}
    shares = (clip[:, None] == clip) | ((content[:, None] == content) & (content != ""))
    reached = np.linalg.matrix_power(shares.astype(float), 80) > 0
    unit = groups.recordings(table)
    np.testing.assert_array_equal(unit[:, None] == unit, reached)
    assert 10 < len(np.unique(unit)) < len(np.unique(clip))


def people(seed, count=30, emotions=6):
    """Subjects with 3 to 16 clips each, of emotions from frequent to rare."""
    rng = np.random.default_rng(seed)
    share = np.linspace(2, 0.6, emotions) / np.linspace(2, 0.6, emotions).sum()
    rows = [
        (f"S{subject:03d}", f"S{subject:03d}_{clip:03d}", f"e{rng.choice(emotions, p=share)}")
        for subject in range(1, count + 1)
        for clip in range(rng.integers(3, 17))
    ]
    subject, clip, emotion = map(np.array, zip(*rows, strict=True))
    return {"subject": subject, "clip": clip, "emotion": emotion}


def unevenness(table, folds):
    """How far the folds' shares of each emotion are from each other; 0 is even."""
    kinds = np.unique(table["emotion"])
    counts = np.array(
        [
            [(np.isin(table["subject"], names) & (table["emotion"] == k)).sum() for k in kinds]
            for names in folds
        ]
    )
    return ((counts / counts.sum(0) - 1 / len(counts)) ** 2).sum()


@pytest.mark.parametrize("seed", range(4))
def test_folds_of_subjects_are_as_even_as_scikit_learns_and_of_one_size(seed):
    table = people(seed)
    folds = list(registry.subject_folds(table).values())
    assert [len(names) for names in folds] == [6] * 5
    assert sorted(itertools.chain(*folds)) == np.unique(table["subject"]).tolist()
    splitter = model_selection.StratifiedGroupKFold(5)
    parts = splitter.split(table["clip"], table["emotion"], table["subject"])
    theirs = [np.unique(table["subject"][test]) for _, test in parts]
    ours = unevenness(table, folds)
    assert ours <= unevenness(table, theirs)
    # No two subjects could change places with gain: those of two folds, as all pairs take long.
    for a, b in itertools.product(folds[0], folds[1 + seed]):
        other = [{*names} for names in folds]
        other[0] ^= {a, b}
        other[1 + seed] ^= {a, b}
        assert unevenness(table, map(list, other)) > ours - 1e-9


def test_folds_depend_on_subjects_and_their_clips_alone():
    table = people(0)
    folds = registry.subject_folds(table)
    rng = np.random.default_rng(1)
    # Frames: many rows a clip, of no fixed number, in any order; other facts beside them.
    many = rng.permutation(np.repeat(np.arange(len(table["clip"])), rng.integers(1, 40)))
    frames = {name: column[many] for name, column in table.items()}
    frames["content_id"] = frames["clip"]
    assert registry.subject_folds(frames) == folds
    uneven = rng.permutation(np.r_[np.arange(len(table["clip"])), np.arange(20), np.arange(9)])
    assert registry.subject_folds({n: c[uneven] for n, c in table.items()}) == folds
    renamed = {**table, "clip": np.char.add("other_", table["clip"])}
    assert registry.subject_folds(renamed) == folds
    assert registry.subject_folds(people(1)) != folds


def test_subjects_alone_are_dealt_by_name():
    names = [f"S{n:03d}" for n in (9, 3, 1, 7, 2, 4, 8)]
    dealt = {0: ["S001", "S008"], 1: ["S002", "S009"], 2: ["S003"], 3: ["S004"], 4: ["S007"]}
    assert registry.subject_folds({"subject": np.array(names)}) == dealt
    assert list(registry.subject_folds({"subject": np.array(names[:3])})) == [0, 1, 2]
    with pytest.raises(errors.UserError, match=r"found S009\. Protocols that apply: none"):
        registry.subject_folds({"subject": np.array(names[:1])})


def test_ravdess_has_the_printed_folds_whatever_its_actors_clips():
    table = people(0, count=24)
    table["subject"] = np.array([f"actor_{name[2:]}" for name in table["subject"].tolist()])
    printed = ({2, 5, 14, 15, 16}, {3, 6, 7, 13, 18}, {10, 11, 12, 19, 20}, {8, 17, 21, 23, 24})
    for fold, actors in enumerate((*printed, {1, 4, 9, 22})):
        expected = sorted(f"actor_{a:02d}" for a in actors)
        assert registry.subject_folds(table)[fold] == expected

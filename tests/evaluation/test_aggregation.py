"""Aggregation by clip against values computed by hand; subjects of clips; groups for intervals."""

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.corpora import sets
from mmer_jax.evaluation import aggregation
from mmer_jax.results.predictions import Predictions

B, A = "01-01-05-02-01-02-07", "01-01-03-02-01-01-02"


def examples(clip=(B, A, B, A, B), view=(0, 0, 1, 2, 2), label=(1, 0, 1, 0, 1)):
    first = [0.9, 0.2, 0.3, 0.5, 0.0][: len(clip)]
    return Predictions(clip, view, label, [[p, 1 - p] for p in first])


def test_the_prediction_of_a_clip_is_the_mean_of_its_examples():
    clips = aggregation.by_clip(examples())
    assert clips.clip.tolist() == [B, A]  # In order of appearance, not sorted.
    assert clips.label.tolist() == [1, 0] and clips.view.tolist() == [0, 0]
    np.testing.assert_allclose(clips.probabilities, [[0.4, 0.6], [0.35, 0.65]], rtol=1e-6)
    again = aggregation.by_clip(clips)
    np.testing.assert_array_equal(again.probabilities, clips.probabilities)


def test_the_mean_can_differ_from_the_majority_vote():
    one_clip = Predictions([B] * 3, range(3), [0] * 3, [[0.45, 0.55], [0.45, 0.55], [0.9, 0.1]])
    assert aggregation.by_clip(one_clip).probabilities.argmax(axis=1).tolist() == [0]


def test_by_example_averages_only_repeated_examples():
    original = examples()
    averaged = aggregation.by_example(original)
    for field in ("clip", "view", "label", "probabilities"):
        np.testing.assert_array_equal(getattr(averaged, field), getattr(original, field))
    twice = aggregation.by_example(aggregation.concatenate([original, original]))
    assert twice.view.tolist() == original.view.tolist()
    np.testing.assert_array_equal(twice.probabilities, original.probabilities)


def test_random_examples_against_a_loop():
    rng = np.random.default_rng(0)
    names = np.array([f"clip{i}" for i in range(20)])[rng.integers(0, 20, 200)]
    probabilities = rng.dirichlet(np.ones(4), 200).astype(np.float32)
    clips = aggregation.by_clip(Predictions(names, np.arange(200), np.zeros(200), probabilities))
    assert clips.clip.tolist() == list(dict.fromkeys(names.tolist()))
    for clip, mean in zip(clips.clip, clips.probabilities, strict=True):
        np.testing.assert_allclose(mean, probabilities[names == clip].mean(axis=0), rtol=1e-5)


def test_empty_examples_are_allowed_and_two_labels_of_a_clip_are_an_error():
    empty = Predictions([], [], [], np.zeros((0, 3)))
    assert aggregation.by_clip(empty).probabilities.shape == (0, 3)
    with pytest.raises(ValueError, match=f"{B} has two labels"):
        aggregation.by_clip(examples(label=(1, 0, 1, 0, 0)))


def test_the_subject_is_read_from_the_clip_name():
    assert aggregation.subject_of("ravdess", B) == "actor_07"
    assert aggregation.subject_of("baum1_spontaneous", "S031_002") == "S031"
    assert aggregation.subject_of("ravdess to baum1_acted", "S001_001") == "S001"
    assert aggregation.subject_of("baum1_acted to ravdess", A) == "actor_02"
    with pytest.raises(errors.UserError, match="unknown dataset 'savee'; known: ravdess, baum1_a"):
        aggregation.subject_of("savee", "DC_a01")
    with pytest.raises(errors.UserError, match="S001_001"):
        aggregation.subject_of("ravdess", "S001_001")


@pytest.mark.parametrize("name", sets.SETS)
def test_every_dataset_has_a_subject_parser(name):
    clip = B if name == "ravdess" else "S003_010"
    assert aggregation.subject_of(name, clip) in ("actor_07", "S003")


def test_groups_are_subjects_or_the_clips_of_a_single_subject():
    two = aggregation.groups([examples(), examples()], "ravdess")
    assert (two.name, two.count) == ("subject", 2)
    assert two.labels[1].tolist() == ["actor_07", "actor_02"] * 2 + ["actor_07"]
    other = B.replace("-02-07", "-01-07")
    one = aggregation.groups([examples(clip=(B, other, B, other, B))], "ravdess")
    assert (one.name, one.count) == ("clip", 2) and one.labels[0][0] == B
    # Seeds may be tested on different subjects.
    both = [examples((B,), (0,), (1,)), examples((A,), (0,), (0,))]
    assert aggregation.groups(both, "ravdess").name == "subject"

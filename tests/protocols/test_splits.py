"""The split of a cell: equal training subsets, and validation in the place of test."""

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.config import resolve
from mmer_jax.config.cell import Cell, make_cells
from mmer_jax.datasets import pack
from mmer_jax.protocols import registry, splits


@pytest.fixture
def data(small_pack):
    return pack.open_pack(small_pack)


def resolved(config, **fields):
    fields = {name.replace("__", "."): value for name, value in fields.items()}
    return resolve.resolve_row(config, "mel", {"data.size": 16, **fields})


def folds(config, data):
    """Every protocol that applies to the data -> its folds."""
    applicable = _applicable(config, data)
    protocols = {name: registry.get(name) for name in registry.LADDER if name in applicable}
    return splits.folds(config, data, protocols)


def _applicable(config, data):
    indices = splits.participating(config, data)
    return registry.applicable({name: column[indices] for name, column in data.table.items()})


def test_training_subsets_are_equal_under_every_protocol(strong_config, data):
    # 12 actors, of whom actor_kfold trains on 9 or more; of 9 x 5 clips, clip_random leaves 36 to
    # train on; triplet_random tests a fifth of their 108 examples, 22.
    found = folds(resolved(strong_config), data)
    assert {"triplet_random", "clip_random", "actor_kfold"} <= set(found)
    equal = resolved(strong_config, split__equal_training=tuple(found))
    for name, numbers in found.items():
        for fold in numbers:
            train = splits.split_cell(Cell("mel", name, fold, 1), equal, data)["train"]
            subjects = data.table["subject"][train.indices["mel"]]
            assert (len(train), len(np.unique(subjects))) == (86, 9), (name, fold)
            assert len(set(train.clip)) == 36 or name == "triplet_random"
            np.testing.assert_allclose(np.bincount(train.label), 86 / 5, atol=4)


def test_one_rung_differs_from_clip_random_in_the_audio_that_is_tested(strong_config, data):
    config = resolved(strong_config)
    plain, altered = (
        splits.split_cell(Cell("mel", name, 0, 3), config, data)
        for name in ("clip_random", "clip_random_altered_sound")
    )
    np.testing.assert_array_equal(plain["train"].indices["mel"], altered["train"].indices["mel"])
    assert set(plain["test"].clip) == set(altered["test"].clip)
    variants = data.table["audio_variant"][altered["test"].indices["mel"]]
    assert set(variants) == {"original", "noise", "pitch_shift"}
    assert set(data.table["audio_variant"][plain["test"].indices["mel"]]) == {"original"}


def test_validation_stands_in_for_test_and_test_examples_are_in_no_subset(strong_config, data):
    fields = {"split__validation_fraction": 0.25}
    cell = Cell("mel", "clip_random", 0, 0)
    usual = splits.split_cell(cell, resolved(strong_config, **fields), data)
    choosing = resolved(strong_config, **fields, split__tested="validation")
    found = splits.split_cell(cell, choosing, data)
    np.testing.assert_array_equal(found["train"].indices["mel"], usual["train"].indices["mel"])
    np.testing.assert_array_equal(found["test"].indices["mel"], usual["validation"].indices["mel"])
    assert "validation" not in found
    seen = np.concatenate([subset.clip for subset in found.values()])
    assert not set(seen) & set(usual["test"].clip)


def test_what_cannot_be_chosen_on_is_refused(strong_config):
    with pytest.raises(errors.UserError, match="there is no validation subset"):
        resolved(strong_config, split__tested="validation")
    with pytest.raises(errors.UserError, match="unknown subset to be tested 'tset'"):
        resolved(strong_config, split__tested="tset")


def test_a_protocol_may_have_its_own_seeds():
    cells = make_cells(["mel"], {"a": (0,), "b": (0, 1)}, {"a": (0, 1), "b": (7,)})
    assert [(c.protocol, c.fold, c.seed) for c in cells] == [
        ("a", 0, 0),
        ("a", 0, 1),
        ("b", 0, 7),
        ("b", 1, 7),
    ]

"""Files of predictions: content, determinism, atomic replacement, errors."""

import zipfile

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.results import predictions

EMOTIONS = ("anger", "fear", "sadness")


def draw(seed: int, n: int = 12) -> predictions.Predictions:
    rng = np.random.default_rng(0)  # The seed changes the predictions, not the examples.
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(3), n)
    return predictions.Predictions(
        clip=np.array([f"01-01-05-01-01-01-{i // 3 + 1:02d}" for i in range(n)]),
        view=np.arange(n) % 3,
        label=rng.integers(0, 3, n),
        probabilities=probabilities,
    )


def test_saved_predictions_are_loaded(tmp_path):
    path = tmp_path / "predictions" / "face-clip_random-fold0-seed0.npz"
    predictions.save(path, 10, {"test": draw(1), "validation": draw(2, n=6)}, EMOTIONS)
    predictions.save(path, 20, {"test": draw(3), "validation": draw(4, n=6)}, EMOTIONS)
    loaded = predictions.load(path)
    assert loaded.emotions == EMOTIONS and loaded.epochs == (10, 20)
    assert set(loaded.examples) == {(e, s) for e in (10, 20) for s in ("test", "validation")}
    for key, expected in (((10, "test"), draw(1)), ((20, "validation"), draw(4, n=6))):
        examples = loaded.examples[key]
        for field in ("clip", "view", "label", "probabilities"):
            np.testing.assert_array_equal(getattr(examples, field), getattr(expected, field))
        assert examples.probabilities.dtype == np.float32
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # No temporary file is left.


def test_equal_arrays_give_equal_bytes_in_any_order_of_saving(tmp_path):
    """A resumed run may save epochs twice or in another order than an uninterrupted one."""
    uninterrupted, resumed = tmp_path / "a.npz", tmp_path / "b.npz"
    for epoch in (10, 20, 100):
        predictions.save(uninterrupted, epoch, {"test": draw(epoch)}, EMOTIONS)
    for epoch in (100, 10, 20, 10):
        examples = draw(epoch)
        column_major = np.asfortranarray(examples.probabilities.astype(np.float64))
        same = predictions.Predictions(
            examples.clip.astype(object), list(examples.view), examples.label, column_major
        )
        predictions.save(resumed, epoch, {"test": same}, list(EMOTIONS))
    assert uninterrupted.read_bytes() == resumed.read_bytes()
    with zipfile.ZipFile(uninterrupted) as file:
        assert {info.date_time[:3] for info in file.infolist()} == {(1980, 1, 1)}


def test_an_epoch_saved_twice_is_replaced(tmp_path):
    path = tmp_path / "a.npz"
    predictions.save(path, 10, {"test": draw(1)}, EMOTIONS)
    predictions.save(path, 10, {"test": draw(2)}, EMOTIONS)
    probabilities = predictions.load(path).examples[10, "test"].probabilities
    np.testing.assert_array_equal(probabilities, draw(2).probabilities)


def test_the_temporary_file_of_a_killed_process_is_removed(tmp_path):
    path = tmp_path / "a.npz"
    predictions.save(path, 10, {"test": draw(1)}, EMOTIONS)
    (tmp_path / ".a.npz.123.tmp").write_bytes(b"PK half a file")
    predictions.save(path, 20, {"test": draw(2)}, EMOTIONS)
    assert predictions.load(path).epochs == (10, 20)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_an_empty_validation_subset(tmp_path):
    path = tmp_path / "a.npz"
    empty = predictions.Predictions([], [], [], np.zeros((0, 3)))
    predictions.save(path, 10, {"test": draw(1), "validation": empty}, EMOTIONS)
    predictions.save(path, 20, {"test": draw(1), "validation": empty}, EMOTIONS)
    assert predictions.load(path).examples[20, "validation"].probabilities.shape == (0, 3)


def test_predictions_of_other_examples_or_emotions_are_rejected(tmp_path):
    path = tmp_path / "a.npz"
    predictions.save(path, 10, {"test": draw(1)}, EMOTIONS)
    with pytest.raises(ValueError, match="other test examples"):
        predictions.save(path, 20, {"test": draw(1, n=9)}, EMOTIONS)
    with pytest.raises(ValueError, match="not of"):
        predictions.save(path, 20, {"test": draw(1)}, EMOTIONS[::-1])
    with pytest.raises(ValueError, match="columns"):
        predictions.save(tmp_path / "b.npz", 20, {"test": draw(1)}, EMOTIONS[:2])
    with pytest.raises(ValueError, match="unknown subset"):
        predictions.save(path, 20, {"train": draw(1)}, EMOTIONS)
    with pytest.raises(ValueError, match="length"):
        predictions.Predictions(["a"], [0], [0, 1], np.zeros((1, 3)))


def test_a_missing_or_broken_file_raises_a_user_error(tmp_path):
    with pytest.raises(errors.UserError, match="run the cell"):
        predictions.load(tmp_path / "none.npz")
    path = tmp_path / "a.npz"
    predictions.save(path, 10, {"test": draw(1)}, EMOTIONS)
    complete = path.read_bytes()
    for content in (b"", b"no zip", complete[:200], complete[:-30]):
        path.write_bytes(content)
        with pytest.raises(errors.UserError, match="remove it"):
            predictions.load(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(errors.UserError, match="remove it"):
        predictions.load(path)

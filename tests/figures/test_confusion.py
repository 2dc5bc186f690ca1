"""Figure 11 of a workdir with random predictions."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from mmer_jax import errors
from mmer_jax.cli import figure as command
from mmer_jax.config.cell import cell_name
from mmer_jax.evaluation import metrics
from mmer_jax.figures import confusion
from mmer_jax.results import predictions, records

EMOTIONS = ["anger", "fear", "sadness"]


@pytest.fixture
def write_cells(tmp_path):
    """A function that writes the cells of a row into a workdir.

    It returns the workdir, and (protocol, epoch) -> (labels, predicted labels) of all cells.
    """

    def write(row="mel", protocols=("clip_random",), cells=((0, 0),), epochs=(10, 20), name="w"):
        pairs = {}
        for protocol in protocols:
            for fold, seed in cells:
                rng = np.random.default_rng([fold, seed])
                label = rng.integers(3, size=40)
                for epoch in epochs:
                    probabilities = rng.dirichlet(np.ones(3), 40).astype(np.float32)
                    pair = (label, probabilities.argmax(1))
                    pairs.setdefault((protocol, epoch), []).append(pair)
                    _write(tmp_path / name, row, protocol, fold, seed, epoch, label, probabilities)
        return tmp_path / name, {k: np.concatenate(v, axis=1) for k, v in pairs.items()}

    return write


def _write(workdir, row, protocol, fold, seed, epoch, label, probabilities, clips=None):
    cell = cell_name(row, protocol, fold, seed)
    n = len(label)
    clips = clips or [f"c{i}" for i in range(n)]
    examples = predictions.Predictions(clips, np.arange(n), label, probabilities)
    path = workdir / "predictions" / f"{cell}.npz"
    predictions.save(path, epoch, {"test": examples, "validation": examples}, EMOTIONS)
    record = dict.fromkeys(records.REQUIRED) | {
        "table": "t",
        "row": row,
        "protocol": protocol,
        "fold": fold,
        "seed": seed,
        "epochs": epoch,
        "n_test": n,
        "emotions": EMOTIONS,
        "config": {},
        "dataset": {"name": "ravdess", "intensities": ["strong"], "origin": "rendered"},
        **metrics.measure(label, probabilities),
    }
    records.append(workdir / records.FILE_NAME, record)


def test_counts_equal_scikit_learn_over_all_seeds_and_folds(write_cells):
    workdir, pairs = write_cells(cells=((0, 0), (1, 0), (0, 1), (1, 1)))
    for epochs, expected in ((10, 10), (None, 20)):
        counted = confusion.count(workdir, "mel", "clip_random", epochs)
        np.testing.assert_array_equal(
            counted.counts, confusion_matrix(*pairs["clip_random", expected])
        )
        assert (counted.epochs, counted.seeds, counted.folds) == (expected, 2, "2")


def test_the_examples_of_a_clip_count_once(tmp_path):
    """One clip is right by its mean probabilities, though two of its three examples are not."""
    probabilities = np.array([[0.9, 0.1, 0], [0.4, 0.6, 0], [0.4, 0.6, 0], [0, 1, 0]])
    label = np.array([0, 0, 0, 1])
    _write(tmp_path, "mel", "clip_random", 0, 0, 10, label, probabilities, ["a", "a", "a", "b"])
    counted = confusion.count(tmp_path, "mel", "clip_random")
    np.testing.assert_array_equal(counted.counts, np.diag([1, 1, 0]))


def test_counts_shares_and_titles_of_the_figure(write_cells):
    one, _ = write_cells(row="start", cells=((0, 0), (0, 1)))
    other, _ = write_cells(row="change3", name="v")
    counted = [
        confusion.count(one, "start", "clip_random"),
        confusion.count(other, "change3", "clip_random"),
    ]
    figure = confusion.draw(counted)
    panels = [axes for axes in figure.axes if axes.texts]
    assert len(panels) == 2 and len(figure.axes) == 3
    for axes, panel in zip(panels, counted, strict=True):
        numbers = np.array([int(text.get_text()) for text in axes.texts]).reshape(3, 3)
        np.testing.assert_array_equal(numbers, panel.counts)
        share = np.asarray(axes.get_images()[0].get_array())
        np.testing.assert_allclose(share.sum(axis=1), 100)
        assert [label.get_text() for label in axes.get_xticklabels()] == EMOTIONS
    row, data, training = panels[0].get_title().split("\n")
    accuracy = 100 * np.trace(counted[0].counts) / 80
    assert row == f"start: {accuracy:.1f}% of clips correct"
    assert data == "ravdess, strong, rendered clips"
    assert training == "clip_random, 20 epochs, 2 seeds"


def test_only_epochs_measured_in_all_cells_are_counted(write_cells):
    workdir, _ = write_cells(cells=((0, 0),))
    write_cells(cells=((0, 1),), epochs=(10,))
    assert confusion.count(workdir, "mel", "clip_random").epochs == 10
    with pytest.raises(errors.UserError, match=r"after 20 epochs; common to all cells: \[10\]"):
        confusion.count(workdir, "mel", "clip_random", 20)


def test_what_is_missing_is_reported(write_cells, tmp_path):
    workdir, _ = write_cells()
    with pytest.raises(errors.UserError, match="expected WORKDIR:ROW"):
        confusion.parse_row("runs/demo")
    with pytest.raises(errors.UserError, match=r"unknown row of .* 'face'; known: mel"):
        confusion.count(workdir, "face", "clip_random")
    with pytest.raises(errors.UserError, match="'actor_kfold'; known: clip_random"):
        confusion.count(workdir, "mel", "actor_kfold")
    with pytest.raises(errors.UserError, match="holds no record"):
        confusion.list_protocols(tmp_path / "nothing", "mel")
    (workdir / "predictions" / "mel-clip_random-fold0-seed0.npz").unlink()
    with pytest.raises(errors.UserError, match="no predictions at"):
        confusion.count(workdir, "mel", "clip_random")


def test_a_figure_is_drawn_for_each_common_protocol(write_cells, capsys):
    both, _ = write_cells(protocols=("clip_random", "triplet_random"))
    one, _ = write_cells(name="v", protocols=("triplet_random",))
    assert command.main(["confusion", f"{both}:mel", f"{both}:mel", f"--workdir={both}"]) == 0
    names = sorted(path.name for path in (both / "figures").iterdir())
    assert names == [
        "figure11_confusion_clip_random.png",
        "figure11_confusion_triplet_random.png",
    ]
    assert command.main(["confusion", f"{both}:mel", f"{one}:mel", f"--workdir={one}"]) == 0
    assert len(list((one / "figures").iterdir())) == 1
    third, _ = write_cells(name="u", protocols=("actor_kfold",))
    assert command.main(["confusion", f"{both}:mel", f"{third}:mel", f"--out={third}"]) == 2
    assert "no protocol in common" in capsys.readouterr().err

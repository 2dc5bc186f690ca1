"""Figure 11, from a work folder with planted predictions."""

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
    """Writes cells of one row into a work folder; returns it, and all (true, guessed) by epoch."""

    def write(row="mel", protocols=("clip_random",), cells=((0, 0),), epochs=(10, 20), name="w"):
        truth = {}
        for protocol in protocols:
            for fold, seed in cells:
                rng = np.random.default_rng([fold, seed])
                label = rng.integers(3, size=40)
                for epoch in epochs:
                    said = rng.dirichlet(np.ones(3), 40).astype(np.float32)
                    truth.setdefault((protocol, epoch), []).append((label, said.argmax(1)))
                    _write(tmp_path / name, row, protocol, fold, seed, epoch, label, said)
        return tmp_path / name, {k: np.concatenate(v, axis=1) for k, v in truth.items()}

    return write


def _write(workdir, row, protocol, fold, seed, epoch, label, said):
    cell = cell_name(row, protocol, fold, seed)
    examples = predictions.Examples([f"c{i}" for i in range(40)], np.zeros(40), label, said)
    path = workdir / "predictions" / f"{cell}.npz"
    predictions.save(path, epoch, {"test": examples, "validation": examples}, EMOTIONS)
    record = dict.fromkeys(records.REQUIRED) | {
        "table": "t",
        "row": row,
        "protocol": protocol,
        "fold": fold,
        "seed": seed,
        "epochs": epoch,
        "n_test": 40,
        "emotions": EMOTIONS,
        "dataset": {"name": "ravdess", "intensities": ["strong"], "origin": "rendered"},
        **metrics.measure(label, said),
    }
    records.append(workdir / records.FILE_NAME, record)


def test_counts_are_scikit_learns_over_all_seeds_and_folds(write_cells):
    workdir, truth = write_cells(cells=((0, 0), (1, 0), (0, 1), (1, 1)))
    for epochs, expected in ((10, 10), (None, 20)):
        found = confusion.count(workdir, "mel", "clip_random", epochs)
        np.testing.assert_array_equal(
            found.counts, confusion_matrix(*truth["clip_random", expected])
        )
        assert (found.epochs, found.seeds, found.folds) == (expected, 2, 2)


def test_the_figure_says_what_it_shows(write_cells):
    one, _ = write_cells(row="start", cells=((0, 0), (0, 1)))
    other, _ = write_cells(row="change3", name="v")
    counted = [
        confusion.count(one, "start", "clip_random"),
        confusion.count(other, "change3", "clip_random"),
    ]
    made = confusion.draw(counted)
    panels = [axes for axes in made.axes if axes.texts]
    assert len(panels) == 2 and len(made.axes) == 3
    for axes, panel in zip(panels, counted, strict=True):
        written = np.array([int(text.get_text()) for text in axes.texts]).reshape(3, 3)
        np.testing.assert_array_equal(written, panel.counts)
        share = np.asarray(axes.get_images()[0].get_array())
        np.testing.assert_allclose(share.sum(axis=1), 100)
        assert [label.get_text() for label in axes.get_xticklabels()] == EMOTIONS
    row, data, way = panels[0].get_title().split("\n")
    right = 100 * np.trace(counted[0].counts) / 80
    assert row == f"start: {right:.1f}% right"
    assert data == "ravdess, strong, rendered clips"
    assert way == "clip_random, 20 epochs, 2 seeds"


def test_a_cell_that_is_not_done_does_not_lend_its_epochs(write_cells):
    workdir, _ = write_cells(cells=((0, 0),))
    write_cells(cells=((0, 1),), epochs=(10,))
    assert confusion.count(workdir, "mel", "clip_random").epochs == 10
    with pytest.raises(errors.UserError, match=r"after 20 epochs; common to them: \[10\]"):
        confusion.count(workdir, "mel", "clip_random", 20)


def test_what_is_not_there_is_named(write_cells, tmp_path):
    workdir, _ = write_cells()
    with pytest.raises(errors.UserError, match="expected WORKDIR:ROW"):
        confusion.parse("runs/demo")
    with pytest.raises(errors.UserError, match=r"unknown row of .* 'face'; known: mel"):
        confusion.count(workdir, "face", "clip_random")
    with pytest.raises(errors.UserError, match="'actor_kfold'; known: clip_random"):
        confusion.count(workdir, "mel", "actor_kfold")
    with pytest.raises(errors.UserError, match="holds no record"):
        confusion.protocols(tmp_path / "nothing", "mel")
    (workdir / "predictions" / "mel-clip_random-fold0-seed0.npz").unlink()
    with pytest.raises(errors.UserError, match="no predictions at"):
        confusion.count(workdir, "mel", "clip_random")


def test_a_figure_for_each_protocol_that_the_rows_share(write_cells, capsys):
    both, _ = write_cells(protocols=("clip_random", "triplet_random"))
    one, _ = write_cells(name="v", protocols=("triplet_random",))
    assert command.main(["confusion", f"{both}:mel", f"{both}:mel", f"--workdir={both}"]) == 0
    drawn = sorted(path.name for path in (both / "figures").iterdir())
    assert drawn == [
        "figure11_confusion_clip_random.png",
        "figure11_confusion_triplet_random.png",
    ]
    assert command.main(["confusion", f"{both}:mel", f"{one}:mel", f"--workdir={one}"]) == 0
    assert len(list((one / "figures").iterdir())) == 1
    third, _ = write_cells(name="u", protocols=("actor_kfold",))
    assert command.main(["confusion", f"{both}:mel", f"{third}:mel", f"--out={third}"]) == 2
    assert "no protocol in common" in capsys.readouterr().err

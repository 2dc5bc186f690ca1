"""A ladder's rungs against counting; what is drawn of them."""

from xml.etree import ElementTree

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.evaluation import ladder, metrics, predictions, records
from mmer_jax.figures import __main__ as figures

EMOTIONS = ("anger", "fear")


@pytest.fixture
def write(make_record, tmp_path):
    """Writes a row's cell under a protocol with so many of 20 clips right, five of each actor."""

    def write(protocol, right, seed=0, n_train=540, workdir="run", row="mel"):
        clip = np.array(
            [f"03-01-{3 + i:02d}-02-01-01-{a:02d}" for a in range(1, 5) for i in range(5)]
        )
        label = np.arange(20) % 2
        sure = np.eye(2)[np.where(np.arange(20) < right, label, 1 - label)] * 0.8 + 0.1
        test = predictions.Examples(clip, 0 * label, label, sure)
        cell = records.cell_name(row, protocol, 0, seed)
        folder = tmp_path / workdir
        predictions.save(folder / "predictions" / f"{cell}.npz", 24, {"test": test}, EMOTIONS)
        record = make_record(
            **metrics.measure(label, sure),
            dataset={"name": "ravdess", "origin": "recorded", "version": "1"},
            row=row,
            protocol=protocol,
            seed=seed,
            epochs=24,
            n_train=n_train,
            n_test=20,
            emotions=list(EMOTIONS),
        )
        records.append(folder / records.FILE_NAME, record)
        return folder

    return write


def test_rungs_stand_in_their_order_with_counted_accuracy(write):
    write("actor_kfold", 12)
    write("clip_random", 16)
    write("triplet_random", 20)
    folder = write("triplet_random", 18, seed=1)
    found = ladder.rungs([folder], "mel")
    assert [r.protocol for r in found] == ["triplet_random", "clip_random", "actor_kfold"]
    assert [r.accuracy.mean for r in found] == pytest.approx([0.95, 0.8, 0.6])
    assert found[0].accuracy.spread == pytest.approx(np.std([1, 0.9], ddof=1))
    assert [(r.seeds, r.networks) for r in found] == [(2, 2), (1, 1), (1, 1)]
    assert all(r.accuracy.low <= r.accuracy.mean <= r.accuracy.high for r in found)
    assert all(r.chance == 0.5 and r.trained_on == (540, 540) for r in found)
    told = ladder.lines(found)
    assert told[1][:4] == ("triplet_random", "95.0 ±7.1", told[1][2], "540")
    assert told[3][-1] == "No subject is on both sides."


def test_a_ladder_may_be_spread_but_not_twice(write):
    first = write("clip_random", 16)
    second = write("actor_kfold", 12, workdir="other")
    assert len(ladder.rungs([first, second], "mel")) == 2
    write("clip_random", 10, workdir="other")
    with pytest.raises(errors.UserError, match=r"under clip_random in .*run and in .*other"):
        ladder.rungs([first, second], "mel")


def test_the_report_has_a_ladder_of_three_rungs_or_more(write):
    write("triplet_random", 20)
    folder = write("clip_random", 16)
    assert ladder.sections(folder) == []
    write("actor_kfold", 12, n_train=600)
    (section,) = ladder.sections(folder)
    assert "different numbers of examples" in section.text[0]
    svg = ElementTree.fromstring(section.drawings[0])
    words = [text.text for text in svg.iter("text")]
    assert {"triplet_random", "clip_random", "actor_kfold"} <= set(words)
    dots = [float(c.get("cx")) for c in svg.iter("circle") if "test" in c.get("class")]
    assert dots == sorted(dots, reverse=True)
    # 95, 80 and 60 points of a scale whose ends are the outer grid lines.
    scale = [float(line.get("x1")) for line in svg.iter("line") if line.get("class") == "grid"]
    shares = (np.array(dots) - scale[0]) / (scale[-1] - scale[0])
    np.testing.assert_allclose(shares, [1.0, 0.8, 0.6], atol=0.005)
    assert len(list(svg.iter("circle"))) == 3 + len(ladder.PUBLISHED)


def test_equal_training_parts_are_said_to_be_so(write):
    for protocol in ("triplet_random", "clip_random", "actor_kfold"):
        folder = write(protocol, 15)
    (section,) = ladder.sections(folder)
    assert "trained on 540 examples" in section.text[0]


def test_the_command_draws_it(write, tmp_path, capsys):
    write("triplet_random", 20)
    folder = write("clip_random", 16)
    assert figures.main(["ladder", str(folder), "--out", str(tmp_path / "x.svg")]) == 0
    assert "clip_random" in (tmp_path / "x.svg").read_text()
    assert "| triplet_random | 100.0 |" in capsys.readouterr().out
    assert figures.main(["ladder", str(folder), "--row", "voice", "--out", str(tmp_path)]) == 2
    assert "unknown row 'voice'" in capsys.readouterr().err

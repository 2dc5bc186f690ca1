"""Rungs of a ladder against counts; their table and drawing."""

import json
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.cli import figure as figures
from mmer_jax.evaluation import ladder
from mmer_jax.reports import ladder as report_ladder
from mmer_jax.results import predictions, records


def test_rungs_are_in_order_with_the_expected_accuracy(write_cell):
    write_cell("actor_kfold", 12)
    write_cell("clip_random", 16)
    write_cell("triplet_random", 20)
    folder = write_cell("triplet_random", 18, seed=1)
    rungs = ladder.rungs([folder], "mel")
    assert [r.protocol for r in rungs] == ["triplet_random", "clip_random", "actor_kfold"]
    assert [r.accuracy.mean for r in rungs] == pytest.approx([0.95, 0.8, 0.6])
    assert rungs[0].accuracy.spread == pytest.approx(np.std([1, 0.9], ddof=1))
    assert [(r.seeds, r.networks) for r in rungs] == [(2, 2), (1, 1), (1, 1)]
    assert all(r.accuracy.low <= r.accuracy.mean <= r.accuracy.high for r in rungs)
    assert all(r.chance == 0.5 and r.train_sizes == (540, 540) for r in rungs)
    lines = report_ladder.make_table(rungs)
    assert lines[1][:4] == ("triplet_random", "95.0 ±7.1", lines[1][2], "540")
    assert lines[1][4:7] == ("130", "13", "1.0")
    assert lines[3][-1] == "No subject is on both sides."


def test_a_ladder_may_span_workdirs_but_has_each_protocol_once(write_cell):
    first = write_cell("clip_random", 16)
    second = write_cell("actor_kfold", 12, workdir="other")
    assert len(ladder.rungs([first, second], "mel")) == 2
    write_cell("clip_random", 10, workdir="other")
    with pytest.raises(errors.UserError, match=r"under clip_random in .*run and in .*other"):
        ladder.rungs([first, second], "mel")


def test_the_report_has_a_ladder_from_three_rungs_on(write_cell):
    write_cell("triplet_random", 20)
    folder = write_cell("clip_random", 16)
    assert report_ladder.make_sections(folder) == []
    write_cell("actor_kfold", 12, n_train=600)
    (section,) = report_ladder.make_sections(folder)
    assert "trained on 540-600 examples of 130 recordings by 13 speakers" in section.text[0]
    assert "explain part of the differences" in section.text[0]
    assert section.text[1].startswith("The test examples of triplet_random have the original")
    svg = ElementTree.fromstring(section.drawings[0])
    texts = [text.text for text in svg.iter("text")]
    assert {"triplet_random", "clip_random", "actor_kfold"} <= set(texts)
    assert "jackknife over 4 subjects" in section.text[2]
    column = section.table[0].index("95% interval")
    assert section.table[1][column] == "no interval" and "-" in section.table[2][column]
    lines = [line.get("class") for line in svg.iter("line")]
    assert lines.count("whisker test") == 2
    dots = [float(c.get("cx")) for c in svg.iter("circle") if "test" in c.get("class")]
    assert dots == sorted(dots, reverse=True)
    # 100, 80 and 60% of a scale whose ends are the outer grid lines.
    scale = [float(line.get("x1")) for line in svg.iter("line") if line.get("class") == "grid"]
    accuracies = (np.array(dots) - scale[0]) / (scale[-1] - scale[0])
    np.testing.assert_allclose(accuracies, [1.0, 0.8, 0.6], atol=0.005)
    assert len(list(svg.iter("circle"))) == 3 + len(ladder.PUBLISHED)


def test_the_text_states_equal_training_sizes(write_cell):
    for protocol in ("triplet_random", "clip_random", "actor_kfold"):
        folder = write_cell(protocol, 15)
    (section,) = report_ladder.make_sections(folder)
    assert "All networks were trained on 540 examples of 130 recordings by 13" in section.text[0]


def test_a_ladder_of_earlier_records_is_not_called_equal(write_cell):
    for protocol in ("triplet_random", "clip_random", "actor_kfold"):
        folder = write_cell(protocol, 15)
    path = folder / records.FILE_NAME
    fields = json.loads(path.read_text().splitlines()[-1])
    del fields["n_train_clips"]  # as written before the field was added
    records.append_line(path, fields | {"seed": 1})
    (cell,) = (folder / "predictions").glob("*actor_kfold*")
    shutil.copy(cell, str(cell).replace("seed0", "seed1"))
    (section,) = report_ladder.make_sections(folder)
    assert "was not recorded" in section.text[0] and "All networks" not in section.text[0]
    assert [line[4] for line in section.table[1:]] == ["130", "130", "-"]


def test_views_of_a_clip_are_not_averaged(write_cell):
    """Two wrong views and a confident right one: a clip is right on average, a view in three."""
    right, wrong = [0.99, 0.01], [0.4, 0.6]
    examples = predictions.Predictions(
        np.repeat(["03-01-05-02-01-01-01", "03-01-05-02-01-01-02"], 3),
        np.tile(np.arange(3), 2),
        np.zeros(6, int),
        np.array([right, wrong, wrong] * 2),
    )
    folder = write_cell("clip_random", 12, examples=examples, n_test=6, n_test_clips=2)
    (rung,) = ladder.rungs([folder], "mel")
    assert rung.accuracy.mean == pytest.approx(1 / 3)
    assert rung.test_views == 3


def test_the_command_draws_a_ladder(write_cell, tmp_path, capsys):
    write_cell("triplet_random", 20)
    folder = write_cell("clip_random", 16)
    assert figures.main(["ladder", str(folder), "--out", str(tmp_path / "x.svg")]) == 0
    assert "clip_random" in (tmp_path / "x.svg").read_text()
    out = capsys.readouterr().out
    assert "| triplet_random | 100.0 |" in out and "Accuracy per example" in out
    assert figures.main(["ladder", str(folder), "--row", "voice", "--out", str(tmp_path)]) == 2
    assert "unknown row 'voice'" in capsys.readouterr().err


def test_long_titles_are_wrapped_at_spaces():
    titles = [published.title for published in ladder.PUBLISHED]
    assert report_ladder._wrap(titles[0]) == ["Churaev and Savchenko 2021,", "conventional split"]
    assert report_ladder._wrap(titles[1]) == [
        "the same, split by actor: 20 to",
        "30 points lower",
    ]
    name = "a_protocol_whose_name_is_longer_than_a_line"
    assert report_ladder._wrap(name) == [name]

"""Clip-level results on pages: metrics, worst errors, downloads, and comparison of workdirs."""

import base64
import html
import json
import re

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.cli import report as command
from mmer_jax.reports import cards, clip_level, comparison, report
from mmer_jax.results import records


def values(text: str, label: str) -> list[list[str]]:
    """Returns the sort values of a sortable table, table row by table row."""
    (table,) = re.findall(rf'aria-label="{label}">(.*?)</table>', text, re.S)
    return [re.findall(r'data-value="(.*?)"', line) for line in table.split("<tr>")[2:]]


def test_metrics_are_computed_per_clip(write_cell):
    write_cell("actor_kfold", 20)
    workdir = write_cell("actor_kfold", 10, seed=1)
    text = report.write_report(workdir).read_text()
    (line,) = values(text, "Metrics per clip, actor_kfold")
    assert line[0] == "mel"
    assert [float(v) for v in line[1:4]] == pytest.approx([0.75, 0.75, 0.75])
    assert line[-3:] == ["20", "4", "2"]
    assert "No subject is on both sides" in text


def test_rows_of_a_protocol_are_compared_in_pairs(write_cell):
    write_cell("clip_random", 20)
    workdir = write_cell("clip_random", 12, row="other")
    text = report.write_report(workdir).read_text()
    (line,) = values(text, "Pairs, clip_random")
    assert "jackknife over 4 subjects" in text and "Only 4 subjects were tested" in text
    assert "for whole subjects" in text
    assert "With 4 subjects no permutation p can be below 0.12" in text
    assert line[:2] == ["mel", "other"]
    assert float(line[2]) == pytest.approx(40.0)
    assert float(line[3]) == pytest.approx(
        2 * 0.5**8
    )  # Eight clips, all in favor of the first row.


def test_worst_errors_are_the_most_confident_ones_with_images_and_audio(write_cell):
    workdir = write_cell("clip_random", 12)
    requests = []

    def look_up(row, clips):
        requests.append((row, list(clips)))
        image = np.full((4, 4, 1), 7, np.uint8)
        return {clips[0]: {"images": {"mel": image}, "audio": (np.zeros(8, np.int16), 16000)}}

    text = report.write_report(workdir, look_up=look_up).read_text()
    misclassified = [f"03-01-{3 + i % 5:02d}-02-01-01-{1 + i // 5:02d}" for i in range(19, 11, -1)]
    assert requests == [("mel", misclassified[: cards.WORST_COUNT])]
    assert text.count("<audio") == text.count("<img") == 1
    positions = [text.index(clip) for clip in misclassified[: cards.WORST_COUNT]]
    assert positions == sorted(positions)
    assert "90.0%" in text


def test_records_and_configs_can_be_saved_from_the_page(write_cell):
    workdir = write_cell("clip_random", 12)
    text = report.write_report(workdir).read_text()
    saved = {
        name: base64.b64decode(data).decode()
        for data, name in re.findall(
            r'href="data:application/json;base64,(.*?)" download="(.*?)"', text
        )
    }
    assert saved.pop(records.FILE_NAME) == (workdir / records.FILE_NAME).read_text()
    (config,) = saved.values()
    assert json.loads(config) == records.read(workdir / records.FILE_NAME)[0]["config"]


def test_temperature_scaling_is_shown_if_there_is_a_validation_split(write_cell):
    workdir = write_cell("clip_random", 12)
    assert "No temperature was fitted" in report.write_report(workdir).read_text()
    workdir = write_cell("clip_random", 12, workdir="validated", validation=True)
    assert (
        "after temperature scaling, fitted on the validation split"
        in report.write_report(workdir).read_text()
    )


def test_speaker_independent_results_come_first_and_the_paper_number_once(write_cell):
    write_cell("triplet_random", 18, paper_accuracy=0.9)
    workdir = write_cell("actor_kfold", 12)
    text = report.write_report(workdir).read_text()
    speaker_independent, random = (
        text.index(f"<code>{p}</code>") for p in ("actor_kfold", "triplet_random")
    )
    assert speaker_independent < random < text.index("paper 90.0")
    assert text.count("paper 90.0") == 1


def test_missing_predictions_are_reported(write_cell):
    workdir = write_cell("clip_random", 12)
    for path in (workdir / "predictions").iterdir():
        path.unlink()
    text = report.write_report(workdir).read_text()
    assert "no predictions at" in text
    assert "<small>per example</small>" in text and "95% interval is" not in text


def test_validation_results_are_labeled(write_cell):
    config = {"split": {"tested": "validation"}}
    workdir = write_cell("clip_random", 12, config=config)
    assert "These are validation results" in report.write_report(workdir).read_text()


def test_several_workdirs_are_compared(write_cell, tmp_path, capsys):
    first = write_cell("actor_kfold", 20, config={"model": {"pooling": "average"}, "epochs": 3})
    second = write_cell(
        "actor_kfold", 12, workdir="other", config={"model": {"pooling": "flatten"}, "epochs": 3}
    )
    page = tmp_path / "page.html"
    assert command.main([str(first), str(second), "--output", str(page)]) == 0
    text = page.read_text()
    lines = values(text, "Metrics per clip, actor_kfold")
    assert [float(line[1]) for line in lines] == pytest.approx([1.0, 0.6])
    assert len({line[0] for line in lines}) == 2  # Names include the workdir.
    assert len(values(text, "Pairs, actor_kfold")) == 1
    (differences,) = re.findall(r"<table class=.plain.>(.*?)</table>", text, re.S)
    assert "model.pooling" in differences
    assert "epochs" not in differences
    assert command.main([str(first)]) == 0
    assert capsys.readouterr().out.split()[-1].endswith("index.html")


def test_other_versions_of_the_data_are_rejected(write_cell, tmp_path, capsys):
    first = write_cell("actor_kfold", 20)
    other = {"name": "ravdess", "origin": "recorded", "version": "2"}
    second = write_cell("actor_kfold", 12, workdir="other", dataset=other)
    with pytest.raises(errors.UserError, match=r"ravdess, version 1 in .*run.*; 2 in .*other"):
        comparison.write_comparison([first, second], tmp_path / "page.html")
    write_cell("actor_kfold", 12, row="late", dataset=other)
    with pytest.raises(errors.UserError, match=r"ravdess, version 1 in row mel.*; 2 in row late"):
        report.write_report(first)
    assert command.main([str(first), str(tmp_path / "nowhere")]) == 2
    assert "holds no record" in capsys.readouterr().err


def test_names_are_escaped_on_comparison_pages(write_cell, tmp_path):
    bad = "<script>alert(1)</script>"
    first = write_cell("actor_kfold", 20, row=bad.replace("/", ""), config={bad: bad})
    second = write_cell("actor_kfold", 12, workdir="other", config={bad: "x"})
    text = comparison.write_comparison([first, second], tmp_path / "page.html").read_text()
    assert text.count("<script>") == 1
    assert html.escape("<script>") in text


def test_a_row_that_cannot_be_read_does_not_hide_the_others(write_cell):
    workdir = write_cell("clip_random", 12)
    write_cell("clip_random", 14, row="other")
    (workdir / "predictions" / "other-clip_random-fold0-seed0.npz").write_bytes(b"")
    results = clip_level.read_rows([workdir], "clip_random")
    assert results.names == ("mel",)
    assert len(results.left_out) == 1
    assert results.left_out[0].startswith("other: ")

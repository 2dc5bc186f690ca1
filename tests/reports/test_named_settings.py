"""Transductive and validation results carry their caveats in every table, page and figure."""

import dataclasses
import re

import pytest

from mmer_jax.cli import figure as figures
from mmer_jax.cli.tune import format_trials
from mmer_jax.evaluation import comparable, measured_rows, settings
from mmer_jax.figures import confusion
from mmer_jax.reports import compare, comparison, ladder, literature, report, run_info, table
from mmer_jax.results import records

TRANSDUCTIVE = {"input": {"normalization": "per_speaker"}}
VALIDATION = {"split": {"tested": "validation"}}
CAVEAT = "Transductive: to classify a clip, other recordings of its speaker are read as well"
EIGHT = ["neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"]


@pytest.fixture
def both(write_cell):
    """A workdir with a transductive row, which is the first and the better one, and another."""
    write_cell("actor_kfold", 16, row="adapted", config=TRANSDUCTIVE)
    return write_cell("actor_kfold", 12)


@pytest.fixture
def validated(write_cell):
    return write_cell("actor_kfold", 12, workdir="validated", config=VALIDATION)


def flat(text):
    return " ".join(text.split())


def page_of(path):
    """The text of a page without markup and style."""
    text = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", path.read_text(), flags=re.S)
    return flat(re.sub(r"<title>(.*?)</title>", r"\1", re.sub(r"<wbr>", "", text)))


def in_order(text, *parts):
    """Whether the parts are in the text in this order."""
    positions = [text.find(part) for part in parts]
    return -1 not in positions and positions == sorted(positions)


def test_the_terminal_table(both):
    text = table.format_tables(records.read(both / records.FILE_NAME), workdir=both)
    assert in_order(
        text, "test accuracy per clip", "\nmel ", "\nadapted (transductive) ", CAVEAT[:40]
    )
    assert flat(text).count(CAVEAT) == 1 and settings.VALIDATION_NOTE not in flat(text)


def test_the_terminal_table_of_validation_results(validated):
    text = table.format_tables(records.read(validated / records.FILE_NAME), workdir=validated)
    assert text.startswith("table8, actor_kfold: validation accuracy per clip")
    assert "\nmel (validation) " in text and settings.VALIDATION_NOTE in flat(text)
    assert "test accuracy" not in text.lower() and CAVEAT not in flat(text)


def test_an_inductive_test_result_has_no_label(write_cell):
    workdir = write_cell("actor_kfold", 12)
    text = table.format_tables(records.read(workdir / records.FILE_NAME), workdir=workdir)
    text += compare.format_comparison(comparable.read([workdir]))
    assert "transductive" not in text.lower()
    assert "validation" not in text.lower().replace("cross-validation", "")


def test_the_report(both):
    text = page_of(report.write_report(both))
    assert text.count("<h4>adapted (transductive)</h4>") == 1
    assert text.count('<th scope="row">adapted (transductive)</th>') == 1
    assert "Reliability diagram of adapted (transductive)" in text
    assert "<dt>Transductive rows: adapted</dt>" in text
    assert text.count(CAVEAT) == 2  # below the metrics, and among the caveats
    assert in_order(text, '<td data-value="mel">', '<td data-value="adapted (transductive)">')
    assert ">adapted<" not in text[: text.index("Provenance</h2>")]


def test_the_report_of_validation_results(validated):
    text = page_of(report.write_report(validated))
    assert "Validation accuracy per clip in %" in text and "Validation clips" in text
    assert "<h4>mel (validation)</h4>" in text and "per clip: validation accuracy 60.0%" in text
    assert "Confusion matrix of the validation examples" in text
    assert '<i class="k-validation"></i>validation' in text
    assert 'class="k-point"></i>test' not in text
    charts = text[: text.index("Reliability")]
    assert 'class="dot validation"' in charts and 'class="line validation"' in charts
    assert 'class="dot test"' not in charts and 'class="line test"' not in charts
    assert settings.VALIDATION_NOTE in text


def test_sizes_of_the_subsets_are_under_their_names(validated, write_cell):
    def sizes(workdir):
        collected = run_info.collect(records.read(workdir / records.FILE_NAME))
        return list(collected["split_sizes"]["actor_kfold", "mel"].values())

    assert sizes(validated) == [540, 20, "", ""]
    assert sizes(write_cell("actor_kfold", 12, workdir="tested")) == [540, 0, 20, 20]


def test_mmer_compare(both, write_cell):
    text = compare.format_comparison(comparable.read([both]))
    assert in_order(text, "\nmel ", "\nadapted (transductive) ", "Test metrics", CAVEAT[:40])
    pairs = text[text.index("McNemar p") :]
    assert "mel    adapted (transductive)" in pairs
    other = write_cell("actor_kfold", 14, workdir="other", config=VALIDATION)
    text = compare.format_comparison(comparable.read([other]))
    assert "Validation metrics per clip" in text and "mel (validation)" in text
    text = compare.format_comparison(comparable.read([both, other]))
    assert text.rindex("mel (validation) ", 0, text.index("UAR:")) < text.index("adapted (trans")
    text = flat(compare.format_comparison(comparable.read([both, other], rows=["mel"])))
    assert "Test and validation metrics per clip" in text
    assert "Not compared (one has test results, the other validation results)" in text


def test_the_page_of_several_workdirs(both, write_cell, tmp_path):
    other = write_cell("actor_kfold", 14, workdir="other", row="tuned", config=VALIDATION)
    text = page_of(comparison.write_comparison([both, other], tmp_path / "page.html"))
    rows = re.findall(r'<td data-value="([a-z][^"]*)">', text)
    assert rows[:3] == ["mel", "tuned (validation)", "adapted (transductive)"]
    assert CAVEAT in text and settings.VALIDATION_NOTE in text


def test_late_fusion_inherits_the_label(both, write_cell):
    fusion = {"fusion": {"method": "mean", "rows": ["mel", "adapted"]}}
    workdir = write_cell("actor_kfold", 18, row="fused", config=fusion)
    text = table.format_tables(records.read(workdir / records.FILE_NAME), workdir=workdir)
    assert "\nfused (transductive) " in text
    assert "fused (transductive)" in compare.format_comparison(comparable.read([workdir]))


def test_the_ladder(write_cell, tmp_path, capsys):
    for protocol in ("triplet_random", "clip_random", "actor_kfold"):
        workdir = write_cell(protocol, 15, config=TRANSDUCTIVE)
    (section,) = ladder.make_sections(workdir)
    assert [row[0] for row in section.table[1:]] == [
        *("triplet_random (transductive)", "clip_random (transductive)"),
        "actor_kfold (transductive)",
    ]
    assert sum(paragraph.startswith(CAVEAT) for paragraph in section.text) == 1
    assert ">actor_kfold (transductive)</text>" in section.drawings[0]
    path = tmp_path / "ladder.svg"
    assert figures.main(["ladder", str(workdir), "--out", str(path)]) == 0
    assert CAVEAT in capsys.readouterr().out
    assert "actor_kfold (transductive)" in path.read_text()


def test_the_figure_of_confusion_matrices(both, validated, write_cell):
    panel = confusion.count(both, "adapted", "actor_kfold")
    assert confusion.draw([panel]).axes[0].get_title().startswith("adapted (transductive): ")
    tuned = write_cell("actor_kfold", 14, workdir="other", row="tuned", config=VALIDATION)
    axes = confusion.draw([confusion.count(tuned, "tuned", "actor_kfold")]).axes[0]
    assert axes.get_title().startswith("tuned (validation): ")
    assert axes.get_xlabel() == "predicted emotion (numbers: validation clips)"


def trial(number, **values):
    return {
        "trial": number,
        "values": values,
        "accuracy": 0.5,
        "spread": None,
        "interval": [0.4, 0.6],
        "negative_log_likelihood": 1.0,
        "difference": None,
    }


def test_mmer_tune():
    text = flat(format_trials([trial(0, rate=1.0), trial(1, rate=2.0)], "per_speaker"))
    assert "0 (transductive) 50.0" in text and "1 (transductive) 50.0" in text and CAVEAT in text
    field = "input.normalization"
    searched = [trial(0, **{field: "global"}), trial(1, **{field: "per_speaker"})]
    text = flat(format_trials(searched, "unit"))
    assert " 0 50.0" in text and "1 (transductive) 50.0" in text and CAVEAT in text
    assert CAVEAT not in flat(format_trials([trial(0, rate=1.0)], "global"))


@pytest.fixture
def five_folds(make_record, tmp_path):
    """Writes rows that are measured as Luna-Jiménez et al. are, but for their configs."""

    def write(**configs):
        dataset = {
            **{"name": "ravdess", "origin": "recorded", "intensities": [], "clips": 1440},
            "subjects": [f"actor_{i:02d}" for i in range(24)],
        }
        for row, config in configs.items():
            for fold in range(5):
                record = make_record(
                    **{"row": row, "config": config, "dataset": dataset, "fold": fold},
                    **{"emotions": EIGHT, "protocol": "actor_kfold"},
                    accuracy_target=0.9 if config.get("input") else 0.5,
                )
                records.append(tmp_path / records.FILE_NAME, record)
        return measured_rows.read_rows([tmp_path])

    return write


def last_cells(text):
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    return {row[0]: row[-1] for row in rows if len(row) > 9}


def test_mmer_literature_counts_no_transductive_row_as_alike(five_folds):
    rows = five_folds(adapted=TRANSDUCTIVE, mel={})
    text = literature.format_tables(rows)
    assert last_cells(text) == {
        "row": "comparable with",
        "mel": "Luna-Jiménez et al. (2021)",
        "adapted (transductive)": "none of these: transductive",
    }
    assert in_order(text, "\nmel ", "\nadapted (transductive) ")
    assert CAVEAT in flat(text) and "here 60 per speaker" in flat(text)
    other = dataclasses.replace(rows[1], workdir=rows[1].workdir / "other")
    assert last_cells(literature.format_tables([other, rows[0]])) == last_cells(text)
    assert in_order(literature.format_tables([other, rows[0]]), "\nmel ", "\nadapted ")
    best = last_cells(literature.format_tables(rows, best=True))
    assert set(best) == {"row", "mel", "adapted (transductive)"}  # the better one hides no other


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"split": {"equal_training": ["actor_kfold"]}}, "thinned training subset"),
        ({"split": {"leave_out_fold": 0}}, "without the speakers of one fold"),
        ({"data": {"picked": "picks.csv"}}, "on a list of frames only"),
    ],
)
def test_mmer_literature_counts_no_row_with_fewer_examples_as_alike(five_folds, config, reason):
    rows = five_folds(
        fewer=config, full={"split": {"equal_training": []}, "data": {"picked": None}}
    )
    cells = last_cells(literature.format_tables(rows))
    assert cells["fewer"].startswith("none of these: ") and reason in cells["fewer"]
    assert cells["full"] == "Luna-Jiménez et al. (2021)"


def test_mmer_literature_wants_all_folds_of_every_seed(five_folds, make_record, tmp_path):
    five_folds(mel={})
    path = tmp_path / records.FILE_NAME
    fields = records.read(path)[0]
    records.append(path, {**fields, "seed": 1})  # fold 0 alone
    (row,) = measured_rows.read_rows([tmp_path])
    assert row.fold_count == 1
    assert last_cells(literature.format_tables([row]))["mel"] == "none of these"

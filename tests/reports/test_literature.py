"""The paper's tables 9 and 10, and the measured rows that are comparable with them."""

import re

import pytest

from mmer_jax.cli import literature as command
from mmer_jax.corpora import sets
from mmer_jax.evaluation import measured_rows, summary
from mmer_jax.protocols import registry
from mmer_jax.reports import literature
from mmer_jax.results import records

EIGHT = ["neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"]
# As printed.
BAUM1 = {
    "Zhalehpour et al. (2017)": "51.29",
    "Zhang et al. (2019)": "54.57",
    "Cornejo and Pedrini (2019)": "56.01",
    "Ma et al. (2020)": "67.59",
    "Guanghui and Xiaoping (2021)": "71.26",
    "Kansizoglou et al. (2022)": "56.01",
    "Hina et al. (2022)": "61.68",
    "this paper (2023)": "95.00",
}
RAVDESS = {
    "Ghaleb et al. (2019)": "79.00",
    "Su et al. (2020a)": "74.86",
    "Luna-Jiménez et al. (2021)": "80.08",
    "Radoi et al. (2021)": "78.70",
    "Mocanu and Tapu (2022)": "87.89",
    "Middya et al. (2022)": "86.00",
    "this paper (2023)": "95.95",
}


def dataset(name="ravdess", intensities=("strong",), count=24, origin="recorded"):
    subjects = [f"actor_{i:02d}" for i in range(count)]
    return {
        "name": name,
        "origin": origin,
        "intensities": list(intensities),
        "clips": 480,
        "subjects": subjects,
    }


@pytest.fixture
def write(make_record, tmp_path):
    """Writes records into a workdir and returns its rows."""

    def write(*changes, workdir="run"):
        for change in changes:
            path = tmp_path / workdir / records.FILE_NAME
            records.append(path, make_record(**{"dataset": dataset(), **change}))
        return measured_rows.read_rows([tmp_path / workdir])

    return write


def line_of(text: str, start: str) -> list[str]:
    """Returns the cells of the table row that starts with `start`."""
    line = next(line for line in text.splitlines() if line.startswith(f"{start} "))
    return re.split(r"\s{2,}", line.strip())


def test_the_printed_numbers_and_their_conditions():
    nine, ten = literature.TABLES
    assert {e.work: e.accuracy for e in nine.entries} == BAUM1
    assert {e.work: e.accuracy for e in ten.entries} == RAVDESS
    text = literature.format_tables([])
    luna = line_of(text, "Luna-Jiménez et al. (2021)")
    assert luna[1:6] == ["2021", "80.08", "8", "not given", "speaker-independent, 5 folds"]
    assert line_of(text, "Ma et al. (2020)")[3:] == ["not given"] * 3
    assert "55.85" in text and "not given: the paper does not say." in text
    assert "Measured here on RAVDESS: nothing." in text
    conditions = [e.conditions for t in literature.TABLES for e in t.entries if e.conditions]
    assert {c.protocol for c in conditions} <= set(registry.PROTOCOLS)
    assert {c.dataset for c in conditions} <= set(sets.SETS)


def test_a_row_states_its_data_and_comparable_entries(write):
    rows = write(
        {"seed": 0, "accuracy_target": 0.8},
        {"seed": 1, "accuracy_target": 0.9},
        {"seed": 0, "epochs": 40},
    )
    text = literature.format_tables(rows)
    cells = line_of(text, "face_mel")
    accuracy = summary.percent(rows[0].row.last.scores.accuracy)
    assert rows[0].row.last.seeds == (0,)  # Only one seed was measured after the most epochs.
    assert cells == [
        *("face_mel", "table8", "-", accuracy, "5", "ravdess, strong: 480 clips of 24 subjects"),
        *("triplet_random", "40", "1", "1", "20.0", "this paper (2023)"),
    ]
    assert "triplet_random: Nothing is kept apart" in text.replace("\n", " ")
    assert text.index("Table 10") < text.index("face_mel  table8")


@pytest.mark.parametrize(
    ("change", "works"),
    [
        ({}, "this paper (2023)"),
        ({"protocol": "clip_random"}, "none of these"),
        ({"dataset": dataset(intensities=("normal",))}, "none of these"),
        ({"emotions": EIGHT}, "none of these"),
        ({"emotions": ["anger", "disgust", "fear", "happiness", "calm"]}, "none of these"),
        ({"dataset": dataset(count=18)}, "this paper (2023), but 18 of 24 subjects"),
        ({"dataset": dataset("baum1_acted", ())}, "this paper (2023)"),
        ({"dataset": dataset("baum1_spontaneous", ())}, "none of these"),
        ({"emotions": EIGHT, "protocol": "actor_kfold"}, "none of these"),  # One fold of five.
        ({"dataset": dataset("baum1_acted to ravdess"), "protocol": "cross_dataset"}, "none of"),
    ],
)
def test_only_rows_that_meet_the_conditions_are_comparable(write, change, works):
    (row,) = write(change)
    assert line_of(literature.format_tables([row]), "face_mel")[-1].startswith(works)


def test_five_speaker_independent_folds_on_eight_emotions_compare_with_luna_jimenez(write):
    fields = {"emotions": EIGHT, "protocol": "actor_kfold", "dataset": dataset(intensities=())}
    (row,) = write(*({**fields, "fold": fold} for fold in range(5)))
    cells = line_of(literature.format_tables([row]), "face_mel")
    assert cells[-1] == "Luna-Jiménez et al. (2021)"
    assert cells[-3] == "5"  # Number of folds.
    (row,) = write(*({**fields, "fold": fold, "n_folds": 5} for fold in (0, 3)), workdir="other")
    text = literature.format_tables([row])
    assert line_of(text, "face_mel")[-3:] == ["2 of 5", "13.0", "none of these"]
    assert "incomplete. face_mel under actor_kfold: 2 of 5 folds (0, 3)." in " ".join(text.split())


def test_rows_are_in_the_table_of_the_dataset_they_were_tested_on(write):
    rows = write({"row": "over", "dataset": dataset("ravdess to baum1_acted")})
    text = literature.format_tables(rows)
    assert "trained on ravdess, tested on baum1_acted" in text
    assert text.index("over  ") < text.index("Table 10")
    assert "Measured here on RAVDESS: nothing." in text


def test_rows_that_say_nothing_about_test_accuracy_are_left_out_and_named(write):
    rows = write(
        {"row": "drawn", "dataset": dataset(origin="rendered")},
        {"row": "mixed", "config": {"split": {"shuffle_labels": True}}},
        {"row": "tuned", "config": {"split": {"tested": "validation"}}},
    )
    text = literature.format_tables(rows)
    assert "Measured here on RAVDESS: nothing." in text
    last = text.replace("\n", " ")
    assert "run: drawn (rendered clips)" in last and "mixed (trained on shuffled labels)" in last
    assert "tuned (measured on validation data)" in last
    assert "say nothing about emotion recognition" in last


def test_best_keeps_one_row_per_setting(write):
    rows = write(
        {"row": "low", "accuracy_target": 0.5},
        {"row": "high", "accuracy_target": 0.9},
        {"row": "other", "accuracy_target": 0.3, "protocol": "clip_random"},
    )
    text = literature.format_tables(rows, best=True)
    assert "high  " in text and "other  " in text and "low  " not in text
    assert "optimistically biased" in " ".join(text.split())


def test_markdown_tables_have_equal_numbers_of_columns(write):
    text = literature.format_tables(write({}), markdown=True)
    bars = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(bars) == {8, 13}
    assert "### Table 10" in text


def test_the_command(write, tmp_path, capsys):
    write({})
    assert command.main(["--workdir", str(tmp_path / "run")]) == 0
    assert "this paper (2023)" in capsys.readouterr().out
    assert command.main(["--workdir", str(tmp_path / "nothing")]) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith("error: ")
    assert "holds no record" in output.err

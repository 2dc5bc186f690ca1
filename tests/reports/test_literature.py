"""The paper's tables 9 and 10, and what is set beside them."""

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


def dataset(name="ravdess", intensities=("strong",), people=24, origin="recorded"):
    subjects = [f"actor_{i:02d}" for i in range(people)]
    return {
        "name": name,
        "origin": origin,
        "intensities": list(intensities),
        "clips": 480,
        "subjects": subjects,
    }


@pytest.fixture
def write(make_record, tmp_path):
    """Writes records into a work folder of that name; returns its rows as literature reads them."""

    def write(*changes, workdir="run"):
        for change in changes:
            path = tmp_path / workdir / records.FILE_NAME
            records.append(path, make_record(**{"dataset": dataset(), **change}))
        return measured_rows.read_rows([tmp_path / workdir])

    return write


def line_of(text: str, start: str) -> list[str]:
    """The cells of the line that starts so."""
    line = next(line for line in text.splitlines() if line.startswith(f"{start} "))
    return re.split(r"\s{2,}", line.strip())


def test_the_printed_numbers_and_what_is_known_of_them():
    nine, ten = literature.TABLES
    assert {e.work: e.accuracy for e in nine.entries} == BAUM1
    assert {e.work: e.accuracy for e in ten.entries} == RAVDESS
    text = literature.compare([])
    luna = line_of(text, "Luna-Jiménez et al. (2021)")
    assert luna[1:6] == ["2021", "80.08", "8", "not given", "five folds of whole subjects"]
    assert line_of(text, "Ma et al. (2020)")[3:] == ["not given"] * 3
    assert "55.85" in text and "not given: the paper does not say." in text
    assert "Measured here on RAVDESS: nothing." in text
    known = [e.like for t in literature.TABLES for e in t.entries if e.like]
    assert {like.protocol for like in known} <= set(registry.PROTOCOLS)
    assert {like.data for like in known} <= set(sets.SETS)


def test_a_row_names_what_it_was_measured_on_and_its_like(write):
    found = write({"seed": 0, "right": 0.8}, {"seed": 1, "right": 0.9}, {"seed": 0, "epochs": 40})
    text = literature.compare(found)
    cells = line_of(text, "face_mel")
    measured = summary.percent(found[0].row.last.accuracy)
    assert found[0].row.last.seeds == (0,)  # at the last epoch there is one seed
    assert cells == [
        *("face_mel", "table8", measured, "5", "ravdess, strong: 480 clips of 24 people"),
        *("triplet_random", "40", "1", "1", "20.0", "this paper (2023)"),
    ]
    assert "triplet_random: Nothing is kept apart" in text.replace("\n", " ")
    assert text.index("Table 10") < text.index("face_mel  table8")


@pytest.mark.parametrize(
    ("change", "like"),
    [
        ({}, "this paper (2023)"),
        ({"protocol": "clip_random"}, "none of these"),
        ({"dataset": dataset(intensities=("normal",))}, "none of these"),
        ({"emotions": EIGHT}, "none of these"),
        ({"emotions": ["anger", "disgust", "fear", "happiness", "calm"]}, "none of these"),
        ({"dataset": dataset(people=18)}, "this paper (2023), but 18 of 24 people"),
        ({"dataset": dataset("baum1_acted", ())}, "this paper (2023)"),
        ({"dataset": dataset("baum1_spontaneous", ())}, "none of these"),
        ({"emotions": EIGHT, "protocol": "actor_kfold"}, "none of these"),  # one fold of five
        ({"dataset": dataset("baum1_acted to ravdess"), "protocol": "cross_dataset"}, "none of"),
    ],
)
def test_only_like_is_called_like(write, change, like):
    (one,) = write(change)
    assert line_of(literature.compare([one]), "face_mel")[-1].startswith(like)


def test_all_five_folds_of_subjects_on_eight_emotions_are_like_luna_jimenez(write):
    kind = {"emotions": EIGHT, "protocol": "actor_kfold", "dataset": dataset(intensities=())}
    (one,) = write(*({**kind, "fold": fold} for fold in range(5)))
    cells = line_of(literature.compare([one]), "face_mel")
    assert cells[-1] == "Luna-Jiménez et al. (2021)"
    assert cells[-3] == "5"  # folds


def test_rows_go_to_the_table_of_the_set_they_were_tested_on(write):
    found = write({"row": "over", "dataset": dataset("ravdess to baum1_acted")})
    text = literature.compare(found)
    assert "trained on ravdess, tested on baum1_acted" in text
    assert text.index("over  ") < text.index("Table 10")
    assert "Measured here on RAVDESS: nothing." in text


def test_rendered_clips_and_shuffled_labels_are_left_out_by_name(write):
    found = write(
        {"row": "drawn", "dataset": dataset(origin="rendered")},
        {"row": "mixed", "config": {"split": {"shuffle_labels": True}}},
    )
    text = literature.compare(found)
    assert "Measured here on RAVDESS: nothing." in text
    last = text.replace("\n", " ")
    assert "run: drawn (rendered clips)" in last and "mixed (trained on shuffled labels)" in last
    assert "say nothing about emotion recognition" in last


def test_best_keeps_one_of_those_measured_alike(write):
    found = write(
        {"row": "low", "right": 0.5},
        {"row": "high", "right": 0.9},
        {"row": "other", "right": 0.3, "protocol": "clip_random"},
    )
    text = literature.compare(found, best=True)
    assert "high  " in text and "other  " in text and "low  " not in text
    assert "flatters" in text


def test_markdown_has_straight_tables(write):
    text = literature.compare(write({}), in_markdown=True)
    rows = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(rows) == {8, 12}
    assert "### Table 10" in text


def test_the_command(write, tmp_path, capsys):
    write({})
    assert command.main(["--workdir", str(tmp_path / "run")]) == 0
    assert "this paper (2023)" in capsys.readouterr().out
    assert command.main(["--workdir", str(tmp_path / "nothing")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and "holds no record" in said.err

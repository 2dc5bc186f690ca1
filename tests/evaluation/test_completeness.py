"""Folds that a pooled result lacks, and where results say so."""

import pytest

from mmer_jax.evaluation import completeness, summary
from mmer_jax.reports import ladder as report_ladder
from mmer_jax.reports import report, table
from mmer_jax.results import records

SUBJECTS = [f"actor_{number:02d}" for number in range(1, 19)]


def cells(make_record, *fold_seed, **changes):
    fields = {"protocol": "actor_kfold", "n_folds": 5, **changes}
    return [make_record(fold=fold, seed=seed, **fields) for fold, seed in fold_seed]


def test_folds_are_counted_against_those_of_the_protocol(make_record):
    every = cells(make_record, *((fold, 0) for fold in range(5)))
    assert completeness.describe_folds(every) == "5"
    assert completeness.describe_missing(every) == ""
    assert completeness.describe_folds([every[0], every[3]]) == "2 of 5"
    assert completeness.describe_missing([every[0], every[3]]) == "2 of 5 folds (0, 3)"


def test_a_seed_without_the_folds_of_others_is_named(make_record):
    found = cells(make_record, (0, 0), (0, 1), (1, 0), n_folds=2)
    assert completeness.describe_missing(found) == "seed 1 lacks fold 1"
    found = cells(make_record, (0, 0), (1, 0), (2, 1))
    assert completeness.describe_missing(found) == (
        "3 of 5 folds (0, 1, 2); seed 0 lacks fold 2; seed 1 lacks fold 0, 1"
    )


@pytest.mark.parametrize(
    ("protocol", "subjects", "expected"),
    [
        ("actor_kfold", SUBJECTS, 5),
        ("actor_kfold", SUBJECTS[:3], 3),  # 1; 2; 3
        ("leave_one_actor_out", SUBJECTS, 18),
        ("clip_random", None, 1),
        ("statement_disjoint", SUBJECTS, None),  # sentences are not recorded
        ("leave_one_actor_out", 18, None),  # nor, once, were names
        ("unknown", SUBJECTS, None),
    ],
)
def test_records_of_earlier_versions_count_by_protocol_and_subjects(
    make_record, protocol, subjects, expected
):
    record = make_record(protocol=protocol, dataset={"name": "ravdess", "subjects": subjects})
    assert completeness.count_expected([record]) == expected
    if expected and expected > 1:
        assert completeness.describe_folds([record]) == f"1 of {expected}"


def test_the_table_shows_how_many_folds_of_how_many(make_record):
    partial = cells(make_record, (0, 0), (1, 0), (0, 1))
    every = cells(make_record, *((fold, 0) for fold in range(5)), row="mel", modalities=["mel"])
    lines = table.format_tables([*partial, *every]).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("row "))
    heads, mel, face_mel = (line.split() for line in lines[start : start + 3])
    assert heads[-3:] == ["folds", "chance", "examples"]
    assert mel[-3:] == ["5", "20.0", "500"]
    assert face_mel[-5:-2] == ["2", "of", "5"]
    text = " ".join(lines)
    assert "incomplete. face_mel: 2 of 5 folds (0, 1); seed 1 lacks fold 1." in text
    lines = table.format_tables(every).splitlines()
    assert "folds" not in lines[start] and "incomplete" not in " ".join(lines)


def test_epochs_that_lack_other_folds_are_told_apart(make_record):
    early = cells(make_record, *((fold, 0) for fold in range(5)), epochs=10)
    late = cells(make_record, (0, 0), (1, 0), epochs=20)
    (block,) = summary.blocks([*early, *late])
    assert block.rows[0].incomplete == "after 20: 2 of 5 folds (0, 1)"


def test_the_report_marks_the_number_and_explains(make_record, tmp_path):
    for record in cells(make_record, (0, 0), (1, 0)):
        records.append(tmp_path / records.FILE_NAME, record)
    page = report.write_report(tmp_path).read_text()
    assert "<small>2 of 5 folds (0, 1)</small>" in page and "Folds are missing" in page


def test_the_report_of_all_folds_mentions_none(make_record, tmp_path):
    for record in cells(make_record, *((fold, 0) for fold in range(5))):
        records.append(tmp_path / records.FILE_NAME, record)
    assert "Folds are missing" not in report.write_report(tmp_path).read_text()


def test_the_table_per_clip_shows_folds_too(write_cell):
    folder = write_cell("actor_kfold", 12, n_folds=5)
    text = table.format_tables(records.read(folder / records.FILE_NAME), workdir=folder)
    assert "accuracy per clip" in text and " 1 of 5 " in text


def test_a_ladder_marks_the_rung(write_cell):
    write_cell("triplet_random", 20)
    write_cell("clip_random", 16)
    folder = write_cell("actor_kfold", 12, n_folds=5)
    (section,) = report_ladder.make_sections(folder)
    assert "Results are incomplete. actor_kfold: 1 of 5 folds (0)." in section.text
    assert [line[0] for line in section.table[2:]] == ["clip_random", "actor_kfold (1 of 5 folds)"]
    assert "actor_kfold (1 of 5 folds)" in section.drawings[0]

"""Result tables for the terminal."""

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.evaluation import metrics, summary
from mmer_jax.reports import table
from mmer_jax.results import predictions

PROMISES = {"triplet_random": "Nothing is kept apart.", "clip_random": "A clip stays together."}


def lines_of(records, **options) -> list[str]:
    return table.format_tables(records, PROMISES, **options).splitlines()


def test_measured_accuracies_are_shown_with_the_papers(make_record):
    records = [
        make_record(epochs=epochs, row=row, modalities=[row], paper_accuracy=paper)
        for row, papers in (("face", (0.933, 0.9285)), ("mel", (None, None)))
        for epochs, paper in zip((10, 20), papers, strict=True)
    ]
    lines = lines_of(records)
    assert lines[0] == "table8, triplet_random"
    assert lines[2].split() == [
        *("row", "10", "epochs", "20", "epochs", "95%", "interval", "chance", "tests", "clips")
    ]
    accuracy = [summary.percent(record["accuracy"]) for record in records]
    interval = "-".join(map(summary.percent, records[1]["accuracy_interval"]))
    face = ["face", accuracy[0], "(93.3)", accuracy[1], "(92.9)", interval, "20.0", "100", "90"]
    assert lines[3].split() == face
    assert lines[4].split()[:5] == ["mel", accuracy[2], "(-)", accuracy[3], "(-)"]
    assert "paper" in "\n".join(lines) and "Nothing is kept apart." in "\n".join(lines)
    assert len({len(line) for line in lines[2:5]}) == 1  # Columns are aligned.


def test_the_paper_is_not_mentioned_without_a_number_of_it(make_record):
    assert "paper" not in "\n".join(lines_of([make_record()]))


def test_several_seeds(make_record):
    records = [make_record(seed=seed) for seed in range(3)] + [make_record(row="mel")]
    text = "\n".join(lines_of(records))
    measured = summary.blocks(records)[0].rows[0].last
    assert f"{summary.percent(measured.accuracy)} ±{summary.percent(measured.spread)}" in text
    assert "seeds" in text
    mel = next(line for line in text.splitlines() if line.startswith("mel"))
    assert "±" not in mel and mel.split()[3] == "1"
    face_mel = next(line for line in text.splitlines() if line.startswith("face_mel"))
    assert face_mel.split()[3:5] == ["-", "3"]  # Wilson intervals are for one seed only.


def test_rows_may_lack_some_numbers_of_epochs(make_record):
    records = [
        make_record(row="face", modalities=["face"], epochs=10),
        make_record(row="mel", modalities=["mel"], epochs=20),
    ]
    lines = lines_of(records)
    assert lines[3].split()[2] == "-" and lines[4].split()[1] == "-"


def test_each_protocol_has_its_table_and_its_guarantee(make_record):
    records = [make_record(), make_record(protocol="clip_random")]
    text = "\n".join(lines_of(records))
    assert "Protocol triplet_random: Nothing is kept apart." in text
    assert "Protocol clip_random: A clip stays together." in text


def test_a_note_names_rendered_clips(make_record):
    def unwrapped_text(records):
        return " ".join("\n".join(lines_of(records)).split())

    assert summary.RENDERED_NOTE not in unwrapped_text([make_record()])
    rendered = make_record(dataset={"name": "ravdess", "origin": "rendered"})
    assert summary.RENDERED_NOTE in unwrapped_text([rendered])


def test_notes_are_wrapped(make_record):
    long = {"triplet_random": "word " * 100}
    text = table.format_tables([make_record()], long)
    assert max(map(len, text.splitlines())) <= table.NOTE_WIDTH


def test_intervals_come_from_a_bootstrap_over_subjects_if_there_are_predictions(
    make_record, tmp_path
):
    """One of two actors is always classified correctly, so resamples range from 0 to 100%."""
    clip = [f"01-01-05-02-0{s}-0{r}-0{a}" for a in (1, 2) for s in (1, 2) for r in (1, 2)]
    label = np.arange(8) % 2
    probabilities = np.eye(2)[np.where(np.arange(8) < 4, label, 1 - label)]
    test = predictions.Predictions(np.array(clip), np.zeros(8), label, probabilities)
    path = tmp_path / "predictions" / "face_mel-triplet_random-fold0-seed0.npz"
    predictions.save(path, 10, {"test": test}, ("anger", "fear"))
    record = make_record(
        emotions=["anger", "fear"], **metrics.measure(label, probabilities), n_test=8
    )
    text = " ".join("\n".join(lines_of([record], workdir=tmp_path)).split())
    assert " 50.0 0.0-100.0 50.0 8 " in text
    assert "bootstrap over subjects" in text
    assert "Wilson" in "\n".join(lines_of([record]))


def test_data_of_two_versions_are_rejected(make_record):
    records = [make_record(), make_record(row="mel")]
    records[1]["dataset"] = {**records[1]["dataset"], "version": "2.0.0"}
    with pytest.raises(
        errors.UserError, match=r"ravdess, version 1\.0\.0 in row face_mel.*2\.0\.0"
    ):
        lines_of(records)


def test_speaker_independent_protocols_come_first(make_record):
    names = ("triplet_random", "clip_random", "actor_kfold")
    text = "\n".join(lines_of([make_record(protocol=name) for name in names]))
    assert [text.index(f"table8, {name}") for name in names] == sorted(
        (text.index(f"table8, {name}") for name in names), reverse=True
    )


def test_no_records_is_an_error_that_says_what_to_run():
    with pytest.raises(errors.UserError, match=r"run\.py"):
        table.format_tables([], PROMISES)

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


def test_accuracies_per_example_are_shown_with_the_papers(make_record):
    records = [
        make_record(epochs=epochs, row=row, modalities=[row], paper_accuracy=paper)
        for row, papers in (("face", (0.933, 0.9285)), ("mel", (None, None)))
        for epochs, paper in zip((10, 20), papers, strict=True)
    ]
    lines = lines_of(records)
    assert lines[0] == (
        "table8, triplet_random: test accuracy per example in %, the paper's number in brackets"
    )
    assert lines[2].split() == ["row", "10", "epochs", "20", "epochs", "chance", "examples"]
    accuracy = [summary.percent(record["accuracy"]) for record in records]
    face = ["face", accuracy[0], "(93.3)", accuracy[1], "(92.9)", "20.0", "100"]
    assert lines[3].split() == face
    assert lines[4].split()[:5] == ["mel", accuracy[2], "(-)", accuracy[3], "(-)"]
    assert "Nothing is kept apart." in "\n".join(lines)
    assert len({len(line) for line in lines[2:5]}) == 1  # Columns are aligned.


def test_the_paper_is_not_mentioned_without_a_number_of_it(make_record):
    assert "paper" not in "\n".join(lines_of([make_record()]))


def test_several_seeds(make_record):
    records = [make_record(seed=seed) for seed in range(3)] + [make_record(row="mel")]
    text = "\n".join(lines_of(records))
    scores = summary.blocks(records)[0].rows[0].last.scores
    assert f"{summary.percent(scores.accuracy)} ±{summary.percent(scores.spread)}" in text
    assert "seeds" in text
    mel = next(line for line in text.splitlines() if line.startswith("mel"))
    assert "±" not in mel and mel.split()[2] == "1"
    face_mel = next(line for line in text.splitlines() if line.startswith("face_mel"))
    assert face_mel.split()[3] == "3"


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


@pytest.fixture
def write(make_record, tmp_path):
    """Writes a cell with three examples per clip, and returns its record.

    Of each clip of the first actor one example is right with confidence, so that the clip is; of
    the other actors all examples of every second clip are right.
    """

    def write(actors, **changes):
        clips = [(actor, repetition) for actor in actors for repetition in (1, 2)]
        names = np.repeat([f"01-01-05-02-01-{r:02d}-{a:02d}" for a, r in clips], 3)
        right = np.repeat([0.9 if r == 1 else 0.2 for _, r in clips], 3)
        right[: 3 * 2] = [0.95, 0.4, 0.4] * 2
        probabilities, label = np.stack([right, 1 - right], axis=1), np.zeros(len(names), int)
        test = predictions.Predictions(names, np.tile(range(3), len(clips)), label, probabilities)
        path = tmp_path / "predictions" / "face_mel-triplet_random-fold0-seed0.npz"
        predictions.save(path, 10, {"test": test}, ("anger", "fear"))
        sizes = {"n_test": len(names), "n_test_clips": len(clips)}
        measured = metrics.measure(label, probabilities)
        return make_record(emotions=["anger", "fear"], **measured, **sizes, **changes)

    return write


def test_accuracies_per_clip_come_first_with_intervals(write, tmp_path):
    """Four of six clips, of three actors with accuracies 1, 1/2 and 1/2; 8 of 18 examples."""
    text = "\n".join(lines_of([write([1, 2, 3])], workdir=tmp_path))
    assert text.startswith("table8, triplet_random: test accuracy per clip in %\n")
    line = next(line for line in text.splitlines() if line.startswith("face_mel"))
    low, high = (float(end) for end in line.split()[2].split("-"))
    assert line.split()[1] == "66.7" and 5 < low < 20 and 95 < high < 100
    assert line.split()[3:] == ["100.0", "6"]
    assert "per example" not in text and "44.4" not in text
    text = " ".join(text.split())
    assert "jackknife over 3 subjects" in text and "Only 3 subjects were tested." in text
    text = "\n".join(lines_of([write([1, 2, 3], paper_accuracy=0.9)], workdir=tmp_path))
    per_clip, per_example = (line for line in text.splitlines() if line.startswith("face_mel"))
    assert per_clip.split()[1] == "66.7" and per_example.split()[1:] == [
        "44.4",
        "(90.0)",
        "100.0",
        "18",
    ]


def test_notes_follow_from_the_subjects_that_were_tested(write, tmp_path):
    text = " ".join("\n".join(lines_of([write(range(1, 13))], workdir=tmp_path)).split())
    assert "jackknife over 12 subjects" in text and "Only" not in text and "One subject" not in text
    (tmp_path / "predictions" / "face_mel-triplet_random-fold0-seed0.npz").unlink()
    text = " ".join("\n".join(lines_of([write([7])], workdir=tmp_path)).split())
    assert "One subject in face_mel: the 95% interval is a jackknife over 2 clips" in text
    assert "over 1 subject" not in text and "other subjects" not in text


def test_rows_without_predictions_are_shown_per_example_with_the_reason(write, tmp_path):
    records = [write([1, 2, 3]), write([1, 2, 3], row="mel", modalities=["mel"])]
    lines = lines_of(records, workdir=tmp_path)
    mel = [line.split() for line in lines if line.startswith("mel ")]
    assert mel == [["mel", "-", "-", "-", "6"], ["mel", "44.4", "100.0", "18"]]
    text = " ".join("\n".join(lines).split())
    assert "mel: no predictions at" in text and "paper" not in text


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

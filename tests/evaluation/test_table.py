import pytest

from mmer_jax import errors
from mmer_jax.evaluation import summary, table

PROMISES = {"triplet_random": "Nothing is kept apart.", "clip_random": "A clip stays together."}


def lines_of(records, **options) -> list[str]:
    return table.terminal_table(records, PROMISES, **options).splitlines()


def test_measured_beside_printed(make_record):
    found = [
        make_record(epochs=epochs, row=row, modalities=[row], paper_accuracy=paper)
        for row, papers in (("face", (0.933, 0.9285)), ("mel", (None, None)))
        for epochs, paper in zip((10, 20), papers, strict=True)
    ]
    lines = lines_of(found)
    assert lines[0] == "table8, triplet_random"
    assert lines[2].split() == [
        *("row", "10", "epochs", "20", "epochs", "95%", "interval", "chance", "tests", "clips")
    ]
    accuracy = [summary.percent(record["accuracy"]) for record in found]
    interval = "-".join(map(summary.percent, found[1]["accuracy_interval"]))
    face = ["face", accuracy[0], "(93.3)", accuracy[1], "(92.9)", interval, "20.0", "100", "90"]
    assert lines[3].split() == face
    assert lines[4].split()[:5] == ["mel", accuracy[2], "(-)", accuracy[3], "(-)"]
    assert "paper" in "\n".join(lines) and "Nothing is kept apart." in "\n".join(lines)
    assert len({len(line) for line in lines[2:5]}) == 1  # columns are straight


def test_without_a_number_of_the_paper_it_is_not_mentioned(make_record):
    assert "paper" not in "\n".join(lines_of([make_record()]))


def test_several_seeds(make_record):
    found = [make_record(seed=seed) for seed in range(3)] + [make_record(row="mel")]
    text = "\n".join(lines_of(found))
    measured = summary.blocks(found)[0].rows[0].last
    assert f"{summary.percent(measured.accuracy)} ±{summary.percent(measured.spread)}" in text
    assert "seeds" in text and "interval" not in text
    mel = next(line for line in text.splitlines() if line.startswith("mel"))
    assert "±" not in mel and mel.split()[2] == "1"


def test_rows_that_are_not_measured_at_all_budgets(make_record):
    found = [
        make_record(row="face", modalities=["face"], epochs=10),
        make_record(row="mel", modalities=["mel"], epochs=20),
    ]
    lines = lines_of(found)
    assert lines[3].split()[2] == "-" and lines[4].split()[1] == "-"


def test_each_protocol_has_its_table_and_its_promise(make_record):
    found = [make_record(), make_record(protocol="clip_random")]
    text = "\n".join(lines_of(found))
    assert "Protocol triplet_random: Nothing is kept apart." in text
    assert "Protocol clip_random: A clip stays together." in text


def test_rendered_clips_are_told(make_record):
    def squeezed(records):
        return " ".join("\n".join(lines_of(records)).split())

    assert summary.RENDERED_NOTE not in squeezed([make_record()])
    rendered = make_record(dataset={"name": "ravdess", "origin": "rendered"})
    assert summary.RENDERED_NOTE in squeezed([rendered])


def test_notes_are_wrapped(make_record):
    long = {"triplet_random": "word " * 100}
    text = table.terminal_table([make_record()], long)
    assert max(map(len, text.splitlines())) <= table.WIDTH


def test_nothing_measured_says_what_to_run():
    with pytest.raises(errors.UserError, match=r"run\.py"):
        table.terminal_table([], PROMISES)

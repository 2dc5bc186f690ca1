"""Records: round trips, validation, incomplete lines, killed and concurrent processes."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.config.cell import cell_name
from mmer_jax.results import records


def test_appended_records_are_read_back_exactly(tmp_path, make_record):
    path = tmp_path / "sub" / "records.jsonl"
    first, second = make_record(epochs=10), make_record(epochs=20, loss=0.1 + 0.2)
    records.append(path, first)
    records.append(path, second)
    stored = records.read(path)
    assert [{k: v for k, v in r.items() if k != "written_at"} for r in stored] == [first, second]
    assert all(r["written_at"].endswith("+00:00") for r in stored)
    assert path.read_bytes().count(b"\n") == 2


def test_the_record_type_has_all_fields(make_record):
    record = make_record()
    assert set(records.REQUIRED) <= set(record) <= set(records.Record.__annotations__)
    assert set(records.CLOCK) <= set(records.Record.__annotations__)


def test_records_are_found_by_their_key(tmp_path, make_record):
    path = tmp_path / "records.jsonl"
    assert records.read(path) == []
    record = make_record(seed=3, epochs=30)
    records.append(path, record)
    stored = records.read(path)
    key = records.Key("table8", "face_mel", "triplet_random", 0, 3, 30)
    assert records.make_key(record) == key
    assert records.has_key(stored, key)
    for field, other in (("table", "t7"), ("row", "mel"), ("fold", 1), ("seed", 0), ("epochs", 40)):
        assert not records.has_key(stored, key._replace(**{field: other}))


def test_records_are_sorted_by_the_rows_of_their_table(tmp_path, make_record):
    path = tmp_path / "records.jsonl"
    config = {"table_rows": ["face", "mel"]}
    for row, epochs in (("mel", 1), ("aside", 1), ("face", 1), ("mel", 2), ("face", 2)):
        records.append(path, make_record(row=row, epochs=epochs, config=config))
    order = [(r["row"], r["epochs"]) for r in records.read(path)]
    assert order == [("face", 1), ("face", 2), ("mel", 1), ("mel", 2), ("aside", 1)]


def test_numpy_values_are_stored_as_plain_numbers(tmp_path, make_record):
    path = tmp_path / "records.jsonl"
    record = make_record(
        loss=np.float32(0.5), parameters=np.int64(7), train_loss=np.asarray(0.25, np.float32)
    )
    record["confusion"] = np.asarray(record["confusion"])
    records.append(path, record)
    (stored,) = records.read(path)
    assert (stored["loss"], stored["parameters"], stored["train_loss"]) == (0.5, 7, 0.25)
    assert stored["confusion"] == record["confusion"].tolist()


@pytest.mark.parametrize("missing", ["row", "confusion", "git_commit"])
def test_a_record_without_a_required_field_is_not_written(tmp_path, make_record, missing):
    record = make_record()
    del record[missing]
    with pytest.raises(ValueError, match=missing):
        records.append(tmp_path / "records.jsonl", record)
    assert not (tmp_path / "records.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accuracy": 0.123}, "accuracy"),
        ({"n_test": 99}, "n_test"),
        ({"confusion": [[1, 2], [3, 4]]}, "confusion"),
        ({"loss": float("nan")}, "face_mel"),
        ({"config": object()}, "object"),
    ],
)
def test_an_inconsistent_record_is_not_written(tmp_path, make_record, changes, message):
    with pytest.raises(ValueError, match=message):
        records.append(tmp_path / "records.jsonl", make_record(**changes))
    assert not (tmp_path / "records.jsonl").exists()


def test_an_incomplete_last_line_is_ignored_and_truncated_before_the_next(tmp_path, make_record):
    path = tmp_path / "records.jsonl"
    records.append(path, make_record(epochs=10))
    first = path.read_bytes()
    records.append(path, make_record(epochs=20))
    complete = path.read_bytes()
    for size in [len(first), len(first) + 1, len(first) + 700, len(complete) - 1]:
        path.write_bytes(complete[:size])
        assert [r["epochs"] for r in records.read(path)] == [10]
        records.append(path, make_record(epochs=30))
        assert path.read_bytes().startswith(first)
        assert [r["epochs"] for r in records.read(path)] == [10, 30]


def test_an_incomplete_first_line_and_a_long_incomplete_tail(tmp_path, make_record):
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"table": "' + b"x" * 200_000)
    assert records.read(path) == []
    records.append(path, make_record())
    assert len(records.read(path)) == 1
    before = path.read_bytes()
    path.write_bytes(before + b"\0" * 200_000)  # A loss of power can leave this.
    records.append(path, make_record(epochs=20))
    assert len(records.read(path)) == 2 and path.read_bytes().startswith(before)


@pytest.mark.parametrize(
    "broken", [b'{"table": "t', b"[1, 2]", b"", b'{"table": "t8"}', b"\xff\xfe"]
)
def test_a_broken_line_in_the_middle_is_reported_by_its_number(tmp_path, make_record, broken):
    path = tmp_path / "records.jsonl"
    records.append(path, make_record())
    line = path.read_bytes()
    path.write_bytes(line + broken + b"\n" + line)
    with pytest.raises(errors.UserError, match="line 2"):
        records.read(path)


def test_different_cells_have_different_names():
    cells = [
        (row, protocol, fold, seed)
        for row in ("face", "face_mel")
        for protocol in ("clip_random", "triplet_random")
        for fold in (0, 1, 11)
        for seed in (0, 1, 10)
    ]
    assert len({cell_name(*cell) for cell in cells}) == len(cells)
    assert cell_name(*cells[0]) == "face-clip_random-fold0-seed0"


def test_a_killed_process_leaves_all_records_that_it_reported(tmp_path, make_record):
    """Kills a process that appends continuously; every reported record must be readable."""
    path, example = tmp_path / "records.jsonl", tmp_path / "record.json"
    example.write_text(json.dumps(make_record()))
    program = (
        "import json, sys; from mmer_jax.results import records\n"
        "record = json.load(open(sys.argv[2])); n = int(sys.argv[3])\n"
        "while True:\n"
        "  n += 1; records.append(sys.argv[1], {**record, 'epochs': n}); print(n, flush=True)\n"
    )
    reported = 0
    for _ in range(3):
        arguments = [sys.executable, "-c", program, str(path), str(example), str(reported)]
        process = subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
        output = process.communicate()[0].splitlines()
        epochs = [r["epochs"] for r in records.read(path)]
        assert epochs == list(range(1, len(epochs) + 1))
        assert not output or len(epochs) >= int(output[-1])
        reported = len(epochs)
    assert reported >= 3


def test_records_of_other_processes_are_merged_once(tmp_path, make_record):
    assert records.process_file_name(0) == records.FILE_NAME
    by_seed = [make_record(seed=seed) for seed in range(4)]
    # Seed 0 is in two files, as after an interrupted merge.
    for process, seed in ((0, 0), (1, 1), (2, 2), (1, 3), (2, 0)):
        records.append(tmp_path / records.process_file_name(process), by_seed[seed])
    records.merge(tmp_path)
    merged = records.read(tmp_path / records.FILE_NAME)
    assert sorted(r["seed"] for r in merged) == [0, 1, 2, 3]
    assert [p.name for p in tmp_path.iterdir()] == [records.FILE_NAME]
    records.merge(tmp_path)
    assert records.read(tmp_path / records.FILE_NAME) == merged

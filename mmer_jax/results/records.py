"""Records: one measured number's home each, one JSON object a line in WORKDIR/records.jsonl.

A line counts from the moment its newline is on the disk. A process that is killed in the middle of
a write leaves a tail without one; reading drops that tail, and the next append cuts it off first,
so that the new line isn't glued to it. Nothing else is ever rewritten.
"""

import datetime
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmer_jax import errors

FILE_NAME = "records.jsonl"

REQUIRED = (
    "table",
    "row",
    "modalities",
    "protocol",
    "fold",
    "seed",
    "epochs",
    "n_train",
    "n_validation",
    "n_test",
    "n_test_clips",
    "accuracy",
    "accuracy_interval",
    "unweighted_average_recall",
    "loss",
    "confusion",
    "emotions",
    "train_loss",
    "validation_accuracy",
    "paper_accuracy",
    "seconds_per_epoch",
    "parameters",
    "dataset",
    "config_digest",
    "config",
    "device",
    "versions",
    "git_commit",
)

# What two runs of one command on one machine may differ in: the clock's fields and no other.
CLOCK = ("seconds_per_epoch", "written_at")


class Key(NamedTuple):
    """What a record is the measurement of. No two records of a file share one."""

    table: str
    row: str
    protocol: str
    fold: int
    seed: int
    epochs: int


def key(record: Mapping[str, Any]) -> Key:
    """The key of a record."""
    return Key(*(record[field] for field in Key._fields))


def of_process(number: int | str) -> str:
    """The file that one of several processes writes; `merge` adds the others' to the first's."""
    return FILE_NAME if number == 0 else f"records.process{number}.jsonl"


def merge(folder: str | os.PathLike) -> None:
    """Moves what other processes wrote into FILE_NAME; each record is in it once at any time."""
    folder = Path(folder)
    for part in sorted(folder.glob(of_process("*"))):
        there = {key(record) for record in read(folder / FILE_NAME)}
        for record in read(part):
            if key(record) not in there:
                _append_line(folder / FILE_NAME, record)
        part.unlink()


def has(records: Iterable[Mapping[str, Any]], wanted: Key) -> bool:
    """Whether a record with this key is among them."""
    return any(key(record) == wanted for record in records)


def append(path: str | os.PathLike, record: Mapping[str, Any]) -> None:
    """Adds one record to the file, in one write that is flushed and synced before this returns.

    Args:
      path: the file, made if it isn't there.
      record: the fields of REQUIRED, and others if wanted. Numpy numbers and arrays are written as
        plain ones. `written_at` (UTC) is added.

    Raises:
      ValueError: for a record that lacks a field or contradicts itself; nothing is written then.
    """
    _check(record)
    try:
        append_line(path, record)
    except ValueError as error:
        raise ValueError(f"record of {key(record)}: {error}") from error


def append_line(path: str | os.PathLike, fields: Mapping[str, Any]) -> None:
    """Adds one line of any fields as `append` does; ValueError if JSON cannot hold them."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    _append_line(path, {**fields, "written_at": now})


def _append_line(path: str | os.PathLike, fields: Mapping[str, Any]) -> None:
    try:
        line = json.dumps(fields, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: a line cannot be written: {error}") from error
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with open(path, "a+b", buffering=0) as file:
        _cut_torn_tail(file)
        data = line.encode() + b"\n"
        if file.write(data) != len(data):  # a full disk may take a part without an error
            raise OSError(f"{path}: only a part of the record could be written")
        os.fsync(file.fileno())
    if is_new:
        sync_folder(path.parent)


def read(path: str | os.PathLike) -> list[dict[str, Any]]:
    """All whole records of a file; none if there is no file.

    Returns:
      them in the order of their config's table of rows, and of writing within a row: which of
      several cells in training is done first is chance.

    Raises:
      UserError: a line that isn't a record, other than a torn tail.
    """
    return sorted(read_lines(path, REQUIRED), key=_place_in_table)


def _place_in_table(record: Mapping[str, Any]) -> int:
    rows = list((record["config"] or {}).get("table_rows", ()))
    return rows.index(record["row"]) if record["row"] in rows else len(rows)


def read_lines(path: str | os.PathLike, required: Iterable[str]) -> list[dict[str, Any]]:
    """Reads as `read` does lines that have some required fields."""
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    records = []
    for number, line in enumerate(lines[:-1], start=1):  # after the last newline: nothing, or torn
        try:
            record = json.loads(line)
        except ValueError as error:
            raise errors.UserError(
                f"{path}, line {number}: not a record ({error}). Records are appended and never "
                "edited: remove that line, and the same command measures again what it held."
            ) from error
        missing = [f for f in required if not isinstance(record, dict) or f not in record]
        if missing:
            raise errors.UserError(
                f"{path}, line {number}: a record without {', '.join(missing)}. Remove that line, "
                "and the same command measures again what it held."
            )
        records.append(record)
    return records


def sync_folder(folder: Path) -> None:
    """Makes a new or renamed file's entry in its folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cut_torn_tail(file) -> None:
    """Truncates to the end of the last whole line."""
    end = position = file.seek(0, os.SEEK_END)
    while position:
        start = max(0, position - 65536)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position < end:
        file.truncate(position)


def _plain(value: Any) -> Any:
    """Numpy numbers and arrays as Python's; anything else isn't data."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON value: {value!r}")


def _check(record: Mapping[str, Any]) -> None:
    missing = [field for field in REQUIRED if field not in record]
    if missing:
        raise ValueError(f"record without {', '.join(missing)}")
    counts, classes = record["confusion"], len(record["emotions"])
    if len(counts) != classes or any(len(row) != classes for row in counts):
        raise ValueError(f"confusion is not {classes} x {classes}, one row and column an emotion")
    total = sum(sum(row) for row in counts)
    if total != record["n_test"] or not total:
        raise ValueError(f"confusion counts {total} examples, n_test is {record['n_test']}")
    right = sum(counts[i][i] for i in range(classes))
    if not math.isclose(record["accuracy"], right / total, abs_tol=1e-6):
        raise ValueError(f"accuracy {record['accuracy']}, but the confusion has {right} of {total}")

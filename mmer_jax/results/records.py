"""Records of measurements, one JSON object per line in WORKDIR/records.jsonl.

The file is append-only, and a line counts once its newline is on the disk. A process that is killed
while it writes leaves an incomplete last line: `read` ignores that line, and the next append
truncates the file to the last complete line before it writes.
"""

import datetime
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NotRequired, TypedDict, cast

from mmer_jax import errors
from mmer_jax.utils import files

FILE_NAME = "records.jsonl"


class Record(TypedDict):
    """Results of one cell after one number of epochs, with their provenance.

    Metrics are computed on the cell's test examples, unless the config's `split.tested` is
    "validation".
    """

    # The experiment.
    table: str  # Name of the table of results, such as "table8".
    row: str  # Name of the row of that table.
    modalities: list[str]  # Names of the inputs, in joining order.
    protocol: str  # Name of the evaluation protocol.
    fold: int  # Cross-validation fold; 0 where the protocol has one fold.
    n_folds: NotRequired[int]  # Number of folds of the protocol on these data; not in old records.
    seed: int  # Random seed of the training run, and of the split where the protocol draws it.
    epochs: int  # Number of epochs trained.

    # The split.
    n_train: int  # Number of training examples.
    n_train_clips: NotRequired[int]  # Number of distinct clips among them; not in old records.
    n_train_subjects: NotRequired[int]  # Number of distinct subjects; not in old records.
    n_validation: int  # Number of validation examples; 0 if there are none.
    n_test: int  # Number of test examples, at least 1.
    n_test_clips: int  # Number of distinct clips among the test examples: n_test views in all.

    # Test metrics per example. Those per clip are computed from the predictions.
    accuracy: float  # In 0..1.
    unweighted_average_recall: float  # Mean recall over the classes that occur, in 0..1.
    macro_f1: NotRequired[float]  # Mean F1 over the classes, in 0..1.
    loss: float  # Cross-entropy in nats.
    confusion: list[list[int]]  # Counts [classes, classes]: rows are true, columns predicted.
    emotions: list[str]  # Class names, in the order of the rows and columns of `confusion`.

    # Training.
    train_loss: float | None  # Cross-entropy of the epoch, in nats; None for late fusion.
    validation_accuracy: float | None  # In 0..1; None without validation examples.
    paper_accuracy: float | None  # The paper's number in 0..1; None where none is comparable.
    seconds_per_epoch: float | None  # Median wall time of an epoch.
    parameters: int  # Number of trainable parameters; for late fusion of all networks together.
    best_epoch: NotRequired[int]  # With early stopping: the epoch whose parameters were measured.
    stopped_epoch: NotRequired[int]  # With early stopping: the last epoch trained.
    chosen_learning_rate: NotRequired[float]  # With a learning-rate search: the rate chosen.
    # With a learning-rate search: for each candidate its `learning_rate`, `validation_accuracy` and
    # `validation_loss`; the latter two are None where training diverged.
    rates: NotRequired[list[dict[str, float | None]]]

    # Provenance.
    # `name`, `origin` ("recorded" or "rendered"), `version`, `builder_config`, `options`, `size`,
    # `skipped`, `intensities`, `clips`, `subjects`, `pack_digest`.
    dataset: dict[str, Any]
    config_digest: str  # Identity of the config.
    config: dict[str, Any]  # The resolved config of the row, as nested dictionaries.
    device: str  # Number, platform and kind of the devices.
    versions: dict[str, str]  # Package name -> version.
    git_commit: str | None  # Commit of the source; None outside a git checkout.
    written_at: NotRequired[str]  # UTC time in ISO 8601; added by `append`.


# Fields that every record must have.
REQUIRED = tuple(field for field in Record.__annotations__ if field in Record.__required_keys__)

# Fields that depend on the clock: all others agree between two runs of one command on one machine.
CLOCK = ("seconds_per_epoch", "written_at")


class Key(NamedTuple):
    """Identity of a measurement. No two records of a file have the same key."""

    table: str
    row: str
    protocol: str
    fold: int
    seed: int
    epochs: int


def make_key(record: Record) -> Key:
    """Returns the key of a record."""
    return Key(
        record["table"],
        record["row"],
        record["protocol"],
        record["fold"],
        record["seed"],
        record["epochs"],
    )


def process_file_name(process: int | str) -> str:
    """Returns the name of the records file that one of several processes writes.

    `merge` moves the records of all other processes into the file of process 0.

    Args:
      process: Index of the process; "*" for a glob pattern that matches the files of all processes
        but the first.
    """
    return FILE_NAME if process == 0 else f"records.process{process}.jsonl"


def merge(workdir: str | os.PathLike) -> None:
    """Moves the records that processes other than the first have written into FILE_NAME.

    If the call is interrupted, a second call completes the move: records that are already in
    FILE_NAME are not added again.

    Args:
      workdir: Workdir of the run, which holds FILE_NAME and the files of the other processes.
    """
    workdir = Path(workdir)
    for process_file in sorted(workdir.glob(process_file_name("*"))):
        merged_keys = {make_key(record) for record in read(workdir / FILE_NAME)}
        for record in read(process_file):
            if make_key(record) not in merged_keys:
                _append_line(workdir / FILE_NAME, record)
        process_file.unlink()


def has_key(records: Iterable[Record], target: Key) -> bool:
    """Returns whether any of the records has the key `target`."""
    return any(make_key(record) == target for record in records)


def append(path: str | os.PathLike, record: Record) -> None:
    """Appends a record to a file in one write, and syncs the file to the disk.

    Args:
      path: Path of the file, which is created with its folder if it does not exist.
      record: All fields of REQUIRED and any others. NumPy scalars and arrays are converted to plain
        numbers and lists. The field `written_at` is added.

    Raises:
      ValueError: A field is missing, fields contradict each other, or a value cannot be stored as
        JSON. The file is unchanged.
    """
    _check(record)
    try:
        append_line(path, record)
    except ValueError as error:
        raise ValueError(f"record of {make_key(record)}: {error}") from error


def append_line(path: str | os.PathLike, fields: Mapping[str, Any]) -> None:
    """Appends a JSON object with arbitrary fields to a file, in one write, and syncs the file.

    Args:
      path: Path of the file, which is created with its folder if it does not exist.
      fields: The fields; no field is required. The field `written_at` is added.

    Raises:
      ValueError: A value cannot be stored as JSON.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    _append_line(path, {**fields, "written_at": now})


def _append_line(path: str | os.PathLike, fields: Mapping[str, Any]) -> None:
    """Appends a JSON object as `append_line` does, but adds no field `written_at`."""
    try:
        line = json.dumps(fields, allow_nan=False, default=_to_plain)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: the line cannot be stored as JSON: {error}") from error
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with open(path, "a+b", buffering=0) as file:
        _truncate_to_complete_lines(file)
        data = line.encode() + b"\n"
        if file.write(data) != len(data):  # A full disk can take part of the data without an error.
            raise OSError(f"{path}: the record could not be written completely")
        os.fsync(file.fileno())
    if is_new:
        files.sync_folder(path.parent)


def read(path: str | os.PathLike) -> list[Record]:
    """Reads all complete records of a file.

    Args:
      path: Path of the file.

    Returns:
      The records, sorted by the position of their row in `config.table_rows` and, within a row, in
      the order in which they were written. (Of several cells that train concurrently, any may
      finish first.) An empty list if the file does not exist.

    Raises:
      UserError: A complete line of the file is not a record.
    """
    stored = cast(list[Record], read_lines(path, REQUIRED))
    return sorted(stored, key=_index_in_table)


def _index_in_table(record: Record) -> int:
    """Returns the position of a record's row among the config's rows; unknown rows are last."""
    table_rows = list((record["config"] or {}).get("table_rows", ()))
    return table_rows.index(record["row"]) if record["row"] in table_rows else len(table_rows)


def read_lines(path: str | os.PathLike, required: Iterable[str]) -> list[dict[str, Any]]:
    """Reads all JSON objects of a file that `append_line` has written.

    Args:
      path: Path of the file.
      required: Names of the fields that each object must have.

    Returns:
      The objects in the order of the file, without an incomplete last line; an empty list if the
      file does not exist.

    Raises:
      UserError: A complete line of the file is not a JSON object with the required fields.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    records = []
    for number, line in enumerate(lines[:-1], start=1):  # The last element is empty or incomplete.
        try:
            record = json.loads(line)
        except ValueError as error:
            raise errors.UserError(
                f"{path}, line {number} is not a record ({error}). {_REPAIR}"
            ) from error
        missing = [f for f in required if not isinstance(record, dict) or f not in record]
        if missing:
            raise errors.UserError(
                f"{path}, line {number}: the record lacks {', '.join(missing)}. {_REPAIR}"
            )
        records.append(record)
    return records


_REPAIR = (
    "Records are appended and never edited. Remove that line and run the same command again, "
    "which measures only the missing results."
)


def _truncate_to_complete_lines(file: BinaryIO) -> None:
    """Truncates a file, open for reading and appending, after its last newline."""
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


def _to_plain(value: Any) -> Any:
    """Converts NumPy scalars and arrays to Python numbers and lists, for json.dumps."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__} cannot be stored as JSON: {value!r}")


def _check(record: Record) -> None:
    """Raises a ValueError if a record lacks a required field, or if its fields contradict."""
    missing = [field for field in REQUIRED if field not in record]
    if missing:
        raise ValueError(f"the record lacks {', '.join(missing)}")
    counts, classes = record["confusion"], len(record["emotions"])
    if len(counts) != classes or any(len(row) != classes for row in counts):
        raise ValueError(
            f"expected a confusion matrix of {classes} x {classes}, one row and one column per "
            "emotion"
        )
    total = sum(sum(row) for row in counts)
    if total != record["n_test"] or not total:
        raise ValueError(
            f"the confusion matrix counts {total} examples, but n_test is {record['n_test']}"
        )
    correct = sum(counts[i][i] for i in range(classes))
    if not math.isclose(record["accuracy"], correct / total, abs_tol=1e-6):
        raise ValueError(
            f"accuracy is {record['accuracy']}, but the confusion matrix has {correct} of {total} "
            "examples on its diagonal"
        )

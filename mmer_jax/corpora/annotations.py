"""BAUM-1's lists of labels, Annotations_BAUM1a and Annotations_BAUM1s, as .xlsx or .csv.

A row is a clip. Its code decides, not its word, whose spelling varies; and its name is made of
subject and number, since the name that the list gives is off by one for some clips. Wherever a list
does not agree with itself, that is noted by kind and clip.
"""

import csv
import dataclasses
import difflib
import functools
import io
import os
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from mmer_jax import errors
from mmer_jax.corpora import baum1

# The columns that are read; "Number" is not. Beside them the sheet has a table of code counts, with
# headings of its own: of two columns with one heading the left one is meant.
COLUMNS = ("Subject Label", "Clip", "Clip Name", "Emotion", "Emotion Code", "Gender")
ENDINGS = (".xlsx", ".csv", ".xls")

MISSPELT = "word misspelt"
OTHER_WORD = "word differs from code"
OTHER_NAME = "clip name differs"
REPEATED = "label repeated"

# What reading a file raises that is no workbook, or a damaged one.
_UNREADABLE = (
    *(InvalidFileException, zipfile.BadZipFile, csv.Error),
    *(KeyError, ValueError, OSError, SyntaxError),
)

_WORDS = sorted({word for subset in baum1.SUBSETS.values() for word in subset.codes.values()})
_GENDERS = {"m": "male", "male": "male", "f": "female", "female": "female"}


@dataclasses.dataclass(frozen=True)
class Label:
    """What the list says of a clip.

    Attributes:
      clip: e.g. "S001_001", from the columns Subject Label and Clip.
      emotion: canonical name, from the code.
      gender: "male" or "female".
      row: in the sheet, as a spreadsheet numbers it.
    """

    clip: str
    emotion: str
    gender: str
    row: int


@dataclasses.dataclass(frozen=True)
class Annotations:
    """A list of labels.

    Attributes:
      path: the file.
      labels: clip -> label.
      mismatches: kind (MISSPELT, OTHER_WORD, OTHER_NAME, REPEATED) -> clip -> detail.
    """

    path: Path
    labels: dict[str, Label]
    mismatches: dict[str, dict[str, str]]


def find(folder: str | os.PathLike, subset: baum1.Subset) -> Path:
    """The set's list of labels in a folder, at any depth, or else right above the folder.

    A file is taken for one if its name has "annotation" in it.

    Raises:
      UserError: none, several, or only the other set's.
    """
    folder = Path(folder).expanduser().resolve()
    walk = os.walk(folder, followlinks=True)
    below = [Path(parent) / name for parent, _, names in walk for name in names]
    found = [path for path in below if _is_list(path)]
    found = found or [path for path in folder.parent.iterdir() if _is_list(path)]
    # Its name tells whose it is, or else the folders that it lies in.
    named = {path: baum1.subset_of(path.relative_to(folder.parent)) for path in found}
    own = [path for path, name in named.items() if name == subset.name]
    own = own or [path for path, name in named.items() if name is None]
    if len(own) > 1:
        raise errors.UserError(
            f"found {len(own)} lists of labels, {' and '.join(sorted(map(str, own)))}: leave one"
        )
    if own:
        return own[0]
    if found:
        raise errors.UserError(
            f"{found[0]} is by its name the list of labels of the {named[found[0]]} set, and there "
            f"is none of the {subset.name} one, Annotations_{subset.short}.xlsx or .csv, in "
            f"{folder} or right above it"
        )
    raise errors.UserError(
        f"looked for the list of labels Annotations_{subset.short}.xlsx or .csv in {folder} and "
        f"right above it, and found none. {subset.how_to_get}"
    )


def read(path: str | os.PathLike, subset: baum1.Subset) -> Annotations:
    """Reads a list of labels.

    Raises:
      UserError: the file cannot be read, is empty, lacks a column, is the other set's, has two
        labels for one clip, or a cell that says nothing; the message names file, row and column.
    """
    path = Path(path)
    rows = list(_rows(path))
    if not rows:
        raise errors.UserError(f"{path} is empty")
    head, columns = _find_head(path, rows)
    entries = [
        _Entry(path, number, {name: _cell(cells, at) for name, at in columns.items()})
        for number, cells in rows
        if number > head
    ]
    # Rows below the table, such as sums, name no clip.
    entries = [e for e in entries if e.text("Subject Label") or e.text("Clip")]
    if not entries:
        raise errors.UserError(f"{path} has no row below its headings in row {head}")
    _check_subset(path, entries, subset)
    labels: dict[str, Label] = {}
    mismatches: dict[str, dict[str, str]] = defaultdict(dict)
    for entry in entries:
        label = entry.label(subset)
        first = labels.setdefault(label.clip, label)
        if first.emotion != label.emotion:
            raise errors.UserError(
                f"{path}: {label.clip} is {first.emotion} in row {first.row} and {label.emotion} "
                f"in row {label.row}: strike out one of them"
            )
        if first is not label:
            mismatches[REPEATED][label.clip] = f"in the rows {first.row} and {label.row}"
        for kind, detail in entry.disagreements(label):
            mismatches[kind].setdefault(label.clip, detail)
    return Annotations(path, labels, dict(mismatches))


def _is_list(path: Path) -> bool:
    hidden = path.name.startswith((".", "~$"))  # of macOS, and of a workbook that is open
    return not hidden and "annotation" in path.name.lower() and path.suffix.lower() in ENDINGS


def _rows(path: Path) -> Iterator[tuple[int, Sequence]]:
    """Yields (row number, cells) of the rows that are not empty."""
    try:
        sheets = [_csv(path)] if path.suffix.lower() == ".csv" else _workbook(path)
    except _UNREADABLE as e:
        raise errors.UserError(
            f"{path} cannot be read as a list of labels ({e}): save it as .xlsx or .csv"
        ) from e
    # A workbook may have further sheets: the one with the headings counts.
    best = max(sheets, key=lambda rows: max((len(_heads(r)) for r in rows), default=0), default=[])
    for number, cells in enumerate(best, 1):
        if any(_text(cell) for cell in cells):
            yield number, cells


def _workbook(path: Path) -> list[list[Sequence]]:
    workbook = openpyxl.load_workbook(path, data_only=True)
    return [list(sheet.iter_rows(values_only=True)) for sheet in workbook.worksheets]


def _csv(path: Path) -> list[Sequence]:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1254")  # what a Turkish spreadsheet program writes
    separator = max(",;\t", key=text[:2000].count)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def _heads(cells: Sequence) -> dict[str, int]:
    """Column of COLUMNS -> its place in a row of headings."""
    folded = [_fold(cell) for cell in cells]
    return {name: folded.index(_fold(name)) for name in COLUMNS if _fold(name) in folded}


def _find_head(path: Path, rows: list[tuple[int, Sequence]]) -> tuple[int, dict[str, int]]:
    number, cells = max(rows, key=lambda row: len(_heads(row[1])))  # of equals the first
    heads = _heads(cells)
    if missing := [name for name in COLUMNS if name not in heads]:
        found = ", ".join(_text(cell) for cell in cells if _text(cell))
        raise errors.UserError(
            f"{path} has no column {', '.join(missing)}: its row {number} has {found}; expected "
            f"{', '.join(COLUMNS)}"
        )
    return number, heads


def _check_subset(path: Path, entries: Sequence["_Entry"], subset: baum1.Subset) -> None:
    """Refuses the other set's list: more of its words are what that set's codes mean."""
    agree: Counter[str] = Counter()
    example: dict[str, str] = {}
    for entry in entries:
        code, emotion = entry.whole("Emotion Code"), entry.emotion_of_word()
        for other in baum1.SUBSETS.values():
            if emotion and other.codes.get(code) == emotion:
                agree[other.name] += 1
                if subset.codes.get(code) != emotion:
                    example.setdefault(other.name, f"row {entry.row}, {entry.said()}")
    for name, count in agree.items():
        if count > agree[subset.name]:
            raise errors.UserError(
                f"{path} is the list of labels of the {name} set, not of the {subset.name} one: "
                f"{count} of {len(entries)} words are what their codes mean there, "
                f"{agree[subset.name]} here; the first that differs: {example[name]}"
            )


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A row: where it is, and its cells by the names of COLUMNS."""

    path: Path
    row: int
    cells: dict[str, object]

    def text(self, column: str) -> str:
        return _text(self.cells[column])

    def whole(self, column: str) -> int | None:
        """A cell's number, which may be typed as text or as 3.0; None if it is not a whole one."""
        number = re.fullmatch(r"(\d{1,9})(?:[.,]0*)?", self.text(column))
        return int(number[1]) if number else None

    def error(self, column: str, expected: str) -> errors.UserError:
        found = repr(self.text(column)) if self.text(column) else "nothing"
        return errors.UserError(
            f"{self.path}, row {self.row}, column {column}: found {found}, expected {expected}"
        )

    def said(self) -> str:
        return f"{self.text('Emotion')} with code {self.text('Emotion Code')}"

    def label(self, subset: baum1.Subset) -> Label:
        subject = re.fullmatch(r"[sS]?(\d{1,3})(?:[.,]0*)?", self.text("Subject Label"))
        if not subject or int(subject[1]) not in baum1.SUBJECTS:
            raise self.error("Subject Label", "a subject of BAUM-1, S001 to S031 without S005")
        if self.whole("Clip") is None:
            raise self.error("Clip", "the number of a clip")
        code = self.whole("Emotion Code")
        if code not in subset.codes:
            codes = ", ".join(f"{code} {emotion}" for code, emotion in subset.codes.items())
            raise self.error("Emotion Code", f"a code of the {subset.name} set: {codes}")
        gender = _GENDERS.get(self.text("Gender").lower())
        if gender is None:
            raise self.error("Gender", "male or female")
        clip = baum1.clip_name(int(subject[1]), self.whole("Clip"))
        return Label(clip, subset.codes[code], gender, self.row)

    def emotion_of_word(self) -> str | None:
        return _closest(_fold(self.cells["Emotion"]))

    def disagreements(self, label: Label) -> Iterator[tuple[str, str]]:
        """Yields (kind of mismatch, detail)."""
        if _fold(self.cells["Emotion"]) != label.emotion:
            kind = MISSPELT if self.emotion_of_word() == label.emotion else OTHER_WORD
            yield kind, f"row {self.row} has {self.said()}, {label.emotion}"
        name = self.text("Clip Name")
        if name.lower().removesuffix(".mp4").strip() != label.clip.lower():
            yield OTHER_NAME, f"row {self.row} calls it {name or 'nothing'}"


@functools.cache
def _closest(word: str) -> str | None:
    close = difflib.get_close_matches(word, _WORDS, 1, cutoff=0.5)
    return close[0] if close else None


def _cell(cells: Sequence, at: int) -> object:
    return cells[at] if at < len(cells) else None


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()


def _fold(cell: object) -> str:
    """Without case, spaces and signs: "Emotion Code" and "emotion_code " are the same heading."""
    return "".join(c for c in _text(cell).lower() if c.isalnum())

"""BAUM-1's lists of labels, Annotations_BAUM1a and Annotations_BAUM1s, as .xlsx or .csv.

Each row of the sheet describes a clip. The emotion is taken from the emotion code, since the
spelling of the emotion word varies. The name of the clip is built from subject and number, since
the name in the list is off by one for some clips. Inconsistencies within a list are recorded by
kind and clip.
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

# Headings of the columns that are read; "Number" is not read. To the right of these columns the
# sheet has a table of code counts. Of two columns with the same heading, the left one is read.
COLUMNS = ("Subject Label", "Clip", "Clip Name", "Emotion", "Emotion Code", "Gender")
ENDINGS = (".xlsx", ".csv", ".xls")

MISSPELLED = "word misspelt"
OTHER_WORD = "word differs from code"
OTHER_NAME = "clip name differs"
REPEATED = "label repeated"

# Exceptions raised when a file is not a workbook or is damaged.
_UNREADABLE = (
    *(InvalidFileException, zipfile.BadZipFile, csv.Error),
    *(KeyError, ValueError, OSError, SyntaxError),
)

_WORDS = sorted({word for subset in baum1.SUBSETS.values() for word in subset.codes.values()})
_GENDERS = {"m": "male", "male": "male", "f": "female", "female": "female"}


@dataclasses.dataclass(frozen=True)
class Label:
    """The label of a clip.

    Attributes:
      clip: Name of the clip such as "S001_001", from the columns Subject Label and Clip.
      emotion: Canonical name of the emotion, from the column Emotion Code.
      gender: "male" or "female".
      row: Row number in the sheet, from 1.
    """

    clip: str
    emotion: str
    gender: str
    row: int


@dataclasses.dataclass(frozen=True)
class Annotations:
    """A list of labels.

    Attributes:
      path: Path of the file.
      labels: Clip name -> label.
      mismatches: Inconsistencies in the list: kind (MISSPELLED, OTHER_WORD, OTHER_NAME, REPEATED)
        -> clip name -> detail for users.
    """

    path: Path
    labels: dict[str, Label]
    mismatches: dict[str, dict[str, str]]


def find(folder: str | os.PathLike, subset: baum1.Subset) -> Path:
    """Finds the list of labels of a set.

    The list is a file with "annotation" in its name, in the folder at any depth, or else in the
    parent folder.

    Args:
      folder: Folder with the recordings.
      subset: The set of BAUM-1.

    Returns:
      Path of the list.

    Raises:
      UserError: If no list is found, more than one, or only a list of the other set.
    """
    folder = Path(folder).expanduser().resolve()
    walk = os.walk(folder, followlinks=True)
    files = [Path(parent) / name for parent, _, names in walk for name in names]
    lists = [path for path in files if _is_list(path)]
    lists = lists or [path for path in folder.parent.iterdir() if _is_list(path)]
    # The set is taken from the name of the file, or else from the folders that contain it.
    subsets = {path: baum1.subset_from_path(path.relative_to(folder.parent)) for path in lists}
    candidates = [path for path, name in subsets.items() if name == subset.name]
    candidates = candidates or [path for path, name in subsets.items() if name is None]
    if len(candidates) > 1:
        paths = " and ".join(sorted(map(str, candidates)))
        raise errors.UserError(
            f"found {len(candidates)} lists of labels, {paths}: keep one and remove the others"
        )
    if candidates:
        return candidates[0]
    if lists:
        raise errors.UserError(
            f"{lists[0]} is, by its name, the list of labels of the {subsets[lists[0]]} set. Found "
            f"no list of the {subset.name} set, Annotations_{subset.short}.xlsx or .csv, in "
            f"{folder} or its parent folder"
        )
    raise errors.UserError(
        f"looked for the list of labels Annotations_{subset.short}.xlsx or .csv in {folder} and "
        f"its parent folder, and found none. {subset.how_to_get}"
    )


def read(path: str | os.PathLike, subset: baum1.Subset) -> Annotations:
    """Reads a list of labels.

    Args:
      path: Path of the .xlsx or .csv file.
      subset: The set of BAUM-1 that the list must belong to.

    Raises:
      UserError: If the file cannot be read, is empty, lacks a column, belongs to the other set, has
        two different labels for one clip, or has an invalid cell. The message names the file, row
        and column.
    """
    path = Path(path)
    rows = list(_rows(path))
    if not rows:
        raise errors.UserError(f"{path} is empty")
    header_row, columns = _find_header(path, rows)
    entries = [
        _Entry(path, number, {name: _cell(cells, i) for name, i in columns.items()})
        for number, cells in rows
        if number > header_row
    ]
    # Rows without a clip, such as totals, are not part of the list.
    entries = [e for e in entries if e.text("Subject Label") or e.text("Clip")]
    if not entries:
        raise errors.UserError(f"{path} has no row below its headings in row {header_row}")
    _check_subset(path, entries, subset)
    labels: dict[str, Label] = {}
    mismatches: dict[str, dict[str, str]] = defaultdict(dict)
    for entry in entries:
        label = entry.label(subset)
        first = labels.setdefault(label.clip, label)
        if first.emotion != label.emotion:
            raise errors.UserError(
                f"{path}: {label.clip} is {first.emotion} in row {first.row} and {label.emotion} "
                f"in row {label.row}: delete one of them"
            )
        if first is not label:
            mismatches[REPEATED][label.clip] = f"in rows {first.row} and {label.row}"
        for kind, detail in entry.find_mismatches(label):
            mismatches[kind].setdefault(label.clip, detail)
    return Annotations(path, labels, dict(mismatches))


def _is_list(path: Path) -> bool:
    # macOS metadata files, and lock files of open workbooks.
    hidden = path.name.startswith((".", "~$"))
    return not hidden and "annotation" in path.name.lower() and path.suffix.lower() in ENDINGS


def _rows(path: Path) -> Iterator[tuple[int, Sequence]]:
    """Yields (row number from 1, cells) for each row that is not empty.

    Raises:
      UserError: The file cannot be read as a list of labels.
    """
    try:
        sheets = [_read_csv(path)] if path.suffix.lower() == ".csv" else _read_workbook(path)
    except _UNREADABLE as e:
        raise errors.UserError(
            f"{path} cannot be read as a list of labels ({e}): save it as .xlsx or .csv"
        ) from e
    # A workbook may have other sheets: the one with the most headings is read.
    sheet = max(
        sheets, key=lambda rows: max((len(_headings(r)) for r in rows), default=0), default=[]
    )
    for number, cells in enumerate(sheet, 1):
        if any(_text(cell) for cell in cells):
            yield number, cells


def _read_workbook(path: Path) -> list[list[Sequence]]:
    workbook = openpyxl.load_workbook(path, data_only=True)
    return [list(sheet.iter_rows(values_only=True)) for sheet in workbook.worksheets]


def _read_csv(path: Path) -> list[Sequence]:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1254")  # the encoding of spreadsheet programs in Turkish
    separator = max(",;\t", key=text[:2000].count)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def _headings(cells: Sequence) -> dict[str, int]:
    """Finds headings in a row of cells: returns the name of a column (of COLUMNS) -> its index."""
    normalized = [_normalize(cell) for cell in cells]
    return {
        name: normalized.index(_normalize(name))
        for name in COLUMNS
        if _normalize(name) in normalized
    }


def _find_header(path: Path, rows: list[tuple[int, Sequence]]) -> tuple[int, dict[str, int]]:
    """Finds the row of headings, the row with the most names of COLUMNS.

    Args:
      path: Path of the file, for the error message.
      rows: (row number, cells) of each row.

    Returns:
      The row number, and a dict from the name of a column (of COLUMNS) to its index.

    Raises:
      UserError: A column is missing.
    """
    number, cells = max(rows, key=lambda row: len(_headings(row[1])))  # the first of equals
    headings = _headings(cells)
    if missing := [name for name in COLUMNS if name not in headings]:
        found = ", ".join(_text(cell) for cell in cells if _text(cell))
        raise errors.UserError(
            f"{path} has no column {', '.join(missing)}: its row {number} has {found}; expected "
            f"{', '.join(COLUMNS)}"
        )
    return number, headings


def _check_subset(path: Path, entries: Sequence["_Entry"], subset: baum1.Subset) -> None:
    """Checks that a list of labels belongs to a set.

    The two sets use different emotion codes. A list is taken for one of the other set if more of
    its emotion words agree with the codes of the other set than with the codes of `subset`.

    Raises:
      UserError: If the list belongs to the other set.
    """
    matches: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for entry in entries:
        code, emotion = entry.integer("Emotion Code"), entry.emotion_from_word()
        for other in baum1.SUBSETS.values():
            if emotion and other.codes.get(code) == emotion:
                matches[other.name] += 1
                if subset.codes.get(code) != emotion:
                    examples.setdefault(other.name, f"row {entry.row}, {entry.word_and_code()}")
    for name, count in matches.items():
        if count > matches[subset.name]:
            raise errors.UserError(
                f"{path} is the list of labels of the {name} set, not of the {subset.name} one: "
                f"{count} of {len(entries)} words agree with the codes of the {name} set, "
                f"{matches[subset.name]} with those of the {subset.name} set; the first difference "
                f"is in {examples[name]}"
            )


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A row of the sheet.

    Attributes:
      path: Path of the file, for error messages.
      row: Row number, from 1.
      cells: Name of a column (one of COLUMNS) -> its cell.
    """

    path: Path
    row: int
    cells: dict[str, object]

    def text(self, column: str) -> str:
        return _text(self.cells[column])

    def integer(self, column: str) -> int | None:
        """Returns the integer in a cell, even if typed as text or as 3.0; None if there is none."""
        number = re.fullmatch(r"(\d{1,9})(?:[.,]0*)?", self.text(column))
        return int(number[1]) if number else None

    def error(self, column: str, expected: str) -> errors.UserError:
        found = repr(self.text(column)) if self.text(column) else "nothing"
        return errors.UserError(
            f"{self.path}, row {self.row}, column {column}: found {found}, expected {expected}"
        )

    def word_and_code(self) -> str:
        return f"{self.text('Emotion')} with code {self.text('Emotion Code')}"

    def label(self, subset: baum1.Subset) -> Label:
        subject = re.fullmatch(r"[sS]?(\d{1,3})(?:[.,]0*)?", self.text("Subject Label"))
        if not subject or int(subject[1]) not in baum1.SUBJECTS:
            raise self.error("Subject Label", "a subject of BAUM-1, S001 to S031 without S005")
        if self.integer("Clip") is None:
            raise self.error("Clip", "the number of a clip")
        code = self.integer("Emotion Code")
        if code not in subset.codes:
            codes = ", ".join(f"{code} {emotion}" for code, emotion in subset.codes.items())
            raise self.error("Emotion Code", f"a code of the {subset.name} set: {codes}")
        gender = _GENDERS.get(self.text("Gender").lower())
        if gender is None:
            raise self.error("Gender", "male or female")
        clip = baum1.clip_name(int(subject[1]), self.integer("Clip"))
        return Label(clip, subset.codes[code], gender, self.row)

    def emotion_from_word(self) -> str | None:
        return _closest_emotion(_normalize(self.cells["Emotion"]))

    def find_mismatches(self, label: Label) -> Iterator[tuple[str, str]]:
        """Yields (kind, detail) of each inconsistency between this row and its label."""
        if _normalize(self.cells["Emotion"]) != label.emotion:
            kind = MISSPELLED if self.emotion_from_word() == label.emotion else OTHER_WORD
            yield kind, f"row {self.row} has {self.word_and_code()}, which means {label.emotion}"
        name = self.text("Clip Name")
        if name.lower().removesuffix(".mp4").strip() != label.clip.lower():
            yield OTHER_NAME, f"row {self.row} has the name {name or '(empty)'}"


@functools.cache
def _closest_emotion(word: str) -> str | None:
    matches = difflib.get_close_matches(word, _WORDS, 1, cutoff=0.5)
    return matches[0] if matches else None


def _cell(cells: Sequence, index: int) -> object:
    return cells[index] if index < len(cells) else None


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()


def _normalize(cell: object) -> str:
    """Returns the letters and digits of a cell in lower case: "emotion_code " as "emotioncode"."""
    return "".join(c for c in _text(cell).lower() if c.isalnum())

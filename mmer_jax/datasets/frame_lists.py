"""CSV files that list frames of clips: lists of selected frames, and lists of frame scores.

Row 1 has the headings of the columns, in any order; other columns are ignored:

    clip          name of the clip
    frame_index   number of the frame in decoding order, as in a built dataset; the first frame is
                  0. Frame 0 has no optical flow, is never an example and must not be listed
    score         only in lists of scores: a finite number; frames with high scores are selected

Cells are separated by commas; the encoding is UTF-8. Empty rows are skipped. Row numbers in
messages are those of a spreadsheet: the headings are row 1.
"""

import csv
import dataclasses
import difflib
import functools
import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mmer_jax import errors
from mmer_jax.utils import files

PICKS = ("clip", "frame_index")
SCORES = (*PICKS, "score")


@dataclasses.dataclass(frozen=True)
class FrameList:
    """Content of a CSV file that lists frames. Its length is the number of listed frames.

    Attributes:
      path: Path of the file.
      rows: Clip name -> frame index -> number of the row that lists the frame.
      scores: Clip name -> frame index -> score; empty for a list of selected frames.
    """

    path: Path
    rows: Mapping[str, Mapping[int, int]]
    scores: Mapping[str, Mapping[int, float]]

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))


def read_picks(path: str | os.PathLike) -> FrameList:
    """Reads a list of selected frames.

    Args:
      path: Path of a CSV file with the columns `clip` and `frame_index` (see the module docstring).
        A frame that is listed twice counts once.

    Returns:
      The list, with empty `scores`.

    Raises:
      UserError: The file cannot be read, lacks a column, lists nothing, or has an invalid cell;
        the message names file, row and column.
    """
    path = Path(path).expanduser()
    rows: dict[str, dict[int, int]] = {}
    for number, clip, frame, _ in _read_rows(path, PICKS):
        rows.setdefault(clip, {}).setdefault(frame, number)
    return _check_not_empty(FrameList(path, rows, {}))


def read_scores(path: str | os.PathLike) -> FrameList:
    """Reads a list of frame scores.

    Args:
      path: Path of a CSV file with the columns `clip`, `frame_index` and `score` (see the module
        docstring).

    Returns:
      The list, with a score for each listed frame.

    Raises:
      UserError: The file cannot be read, lacks a column, lists nothing, has an invalid cell or a
        score that is not a finite number, or lists a frame twice; the message names file, row and
        column.
    """
    path = Path(path).expanduser()
    rows: dict[str, dict[int, int]] = {}
    scores: dict[str, dict[int, float]] = {}
    for number, clip, frame, cells in _read_rows(path, SCORES):
        first = rows.setdefault(clip, {}).setdefault(frame, number)
        if first != number:
            raise errors.UserError(
                f"{path}, rows {first} and {number}: both score frame {frame} of {clip}"
            )
        try:
            score = float(cells["score"])
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise _bad_cell(path, number, "score", cells["score"], "a finite number")
        scores.setdefault(clip, {})[frame] = score
    return _check_not_empty(FrameList(path, rows, scores))


def load_scores(path: str | os.PathLike) -> FrameList:
    """Returns `read_scores(path)`, cached in each process until the file changes.

    Raises:
      UserError: See `read_scores`.
    """
    path = Path(path).expanduser()
    return _load_scores(path, path.stat().st_mtime_ns if path.exists() else 0)


@functools.lru_cache(maxsize=1)
def _load_scores(path: Path, modified: int) -> FrameList:
    return read_scores(path)


def write(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Sequence]) -> Path:
    """Writes a list of frames atomically.

    Args:
      path: Path of the CSV file; its folder is made if it does not exist.
      columns: Headings: PICKS or SCORES, and any other columns.
      rows: One sequence of cells per row, in the order of `columns`.

    Returns:
      `path` as a Path, with "~" expanded.

    Raises:
      UserError: The file cannot be written.
    """
    path = Path(path).expanduser()
    try:
        with files.atomic_write(path) as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])
    except OSError as error:
        raise errors.UserError(f"cannot write {path}: {error.strerror}") from error
    return path


def check_clips(frames: FrameList, clips: Collection[str]) -> None:
    """Checks that all clips of a list exist.

    Args:
      frames: The list.
      clips: Names of the existing clips.

    Raises:
      UserError: `frames` lists a clip that is not in `clips`; the message names the row and a
        similar clip.
    """
    for clip, rows in frames.rows.items():
        if clip not in clips:
            close = difflib.get_close_matches(clip, clips, 1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise errors.UserError(
                f"{frames.path}, row {min(rows.values())}: there is no clip {clip!r}{meant} "
                f"(the data have {len(clips)} clips, from {min(clips)} to {max(clips)})"
            )


def check_frames(frames: FrameList, clip: str, count: int) -> None:
    """Checks that all listed frames of one clip exist.

    Args:
      frames: The list.
      clip: Name of the clip.
      count: Number of frames of the clip.

    Raises:
      UserError: A listed frame does not exist; the message names the row.
    """
    for frame, number in frames.rows.get(clip, {}).items():
        if frame >= count:
            raise errors.UserError(
                f"{frames.path}, row {number}: {clip} has no frame {frame}; its frames are 0 to "
                f"{count - 1}"
            )


def restrict(table: Mapping[str, np.ndarray], indices: np.ndarray, picks: FrameList) -> np.ndarray:
    """Restricts examples to those whose frames are listed as selected.

    Args:
      table: Table of a pack, with the columns `clip`, `frame_index` and `emotion`, each an array.
      indices: Indices of examples in `table`, int [n].
      picks: List of selected frames. It may list frames of examples that are not in `indices`.

    Returns:
      int [m], the elements of `indices` whose frames are listed, in the same order.

    Raises:
      UserError: The pack lacks a listed clip or frame (the message names the row of the list), or
        an emotion of the examples at `indices` has no selected frame.
    """
    clips, frames = table["clip"].tolist(), table["frame_index"].tolist()
    frames_by_clip: dict[str, set[int]] = {}
    for clip, frame in zip(clips, frames, strict=True):
        frames_by_clip.setdefault(clip, set()).add(frame)
    check_clips(picks, frames_by_clip)
    for clip, rows in picks.rows.items():
        for frame, number in rows.items():
            if frame not in frames_by_clip[clip]:
                raise errors.UserError(
                    f"{picks.path}, row {number}: the data have no frame {frame} of {clip}, only "
                    f"{_format_ranges(frames_by_clip[clip])}"
                )
    picked = np.array(
        [i for i in indices.tolist() if frames[i] in picks.rows.get(clips[i], ())], int
    )
    missing = set(table["emotion"][indices].tolist()) - set(table["emotion"][picked].tolist())
    if missing:
        raise errors.UserError(
            f"{picks.path} picks no frame of any clip with the emotion {', '.join(sorted(missing))}"
        )
    return picked


def _read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, str, int, dict]]:
    """Yields (row number, clip name, frame index, heading -> cell) for each row with content.

    Args:
      path: Path of the CSV file.
      columns: Headings that the file must have.

    Raises:
      UserError: The file cannot be read, lacks a column, or has an invalid clip or frame index.
    """
    try:
        # Spreadsheets write a byte order mark, which would become part of the first heading.
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except FileNotFoundError as error:
        raise errors.UserError(f"the list of frames {path} does not exist") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise errors.UserError(f"{path} cannot be read as a list of frames: {error}") from error
    headings = [cell.strip() for cell in lines[0]] if lines else []
    if missing := [name for name in columns if name not in headings]:
        raise errors.UserError(
            f"{path} lacks the column {' and '.join(missing)} in row 1; expected "
            f"{', '.join(columns)}, separated by commas, found {', '.join(headings) or 'nothing'}"
        )
    for number, cells in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        values = map(str.strip, cells)
        row = dict.fromkeys(headings, "") | dict(zip(headings, values, strict=False))
        if not row["clip"]:
            raise _bad_cell(path, number, "clip", "", "the name of a clip")
        frame = row["frame_index"]
        if not (frame.isdecimal() and int(frame) > 0):
            raise _bad_cell(
                path, number, "frame_index", frame, "a whole number from 1 (frame 0 has no flow)"
            )
        yield number, row["clip"], int(frame), row


def _bad_cell(path: Path, number: int, column: str, cell: str, expected: str) -> errors.UserError:
    return errors.UserError(
        f"{path}, row {number}, column {column}: expected {expected}, found {cell!r}"
    )


def _check_not_empty(frames: FrameList) -> FrameList:
    if not frames.rows:
        raise errors.UserError(f"{frames.path} lists no frame: it has no row below its headings")
    return frames


def _format_ranges(numbers: Iterable[int]) -> str:
    """Formats integers as ranges, such as "1 to 30, 33"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join(" to ".join(map(str, run)) for run in runs)

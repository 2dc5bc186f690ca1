"""CSV files that list frames of clips: those picked by hand, and the scores of all.

Both have the columns `clip` and `frame_index` (as in a built set: frames are counted from 0 in the
order in which they decode, and frame 0 is never an example); scores have `score` too. Other columns
are passed over. Rows are numbered as a spreadsheet does, the headings being row 1.
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

PICKS = ("clip", "frame_index")
SCORES = (*PICKS, "score")


@dataclasses.dataclass(frozen=True)
class FrameList:
    """What such a file says.

    Attributes:
      path: the file.
      rows: clip -> frame -> the row that names it.
      scores: clip -> frame -> score; empty for picks.
    """

    path: Path
    rows: Mapping[str, Mapping[int, int]]
    scores: Mapping[str, Mapping[int, float]]

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))


def read_picks(path: str | os.PathLike) -> FrameList:
    """Reads picked frames; one that is named twice counts once.

    Raises:
      UserError: the file cannot be read, lacks a column, names nothing, or has a cell that says no
        frame; the message names file, row and column.
    """
    path = Path(path).expanduser()
    rows: dict[str, dict[int, int]] = {}
    for number, clip, frame, _ in _rows(path, PICKS):
        rows.setdefault(clip, {}).setdefault(frame, number)
    return _not_empty(FrameList(path, rows, {}))


def read_scores(path: str | os.PathLike) -> FrameList:
    """Reads scores of frames.

    Raises:
      UserError: as read_picks; also for a score that is not a finite number, and for a frame that
        is named twice.
    """
    path = Path(path).expanduser()
    rows: dict[str, dict[int, int]] = {}
    scores: dict[str, dict[int, float]] = {}
    for number, clip, frame, row in _rows(path, SCORES):
        first = rows.setdefault(clip, {}).setdefault(frame, number)
        if first != number:
            raise errors.UserError(
                f"{path}, rows {first} and {number}: both score frame {frame} of {clip}"
            )
        try:
            score = float(row["score"])
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise _bad_cell(path, number, "score", row["score"], "a finite number")
        scores.setdefault(clip, {})[frame] = score
    return _not_empty(FrameList(path, rows, scores))


def scores_at_hand(path: str | os.PathLike) -> FrameList:
    """`read_scores`, once in each process as long as the file is the same: it may be long."""
    path = Path(path).expanduser()
    return _scores_of(path, path.stat().st_mtime_ns if path.exists() else 0)


@functools.lru_cache(maxsize=1)
def _scores_of(path: Path, modified: int) -> FrameList:
    return read_scores(path)


def write(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Sequence]) -> Path:
    """Writes such a file, whole or not at all.

    Args:
      path: the file; its folder is made.
      columns: headings.
      rows: a cell for each of them.

    Raises:
      UserError: it cannot be written there.
    """
    path = Path(path).expanduser()
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([columns, *rows])
        os.replace(unfinished, path)
    except OSError as error:
        raise errors.UserError(f"cannot write {path}: {error.strerror}") from error
    return path


def check_clips(listed: FrameList, known: Collection[str]) -> None:
    """Refuses a list that names a clip which is not among the known ones.

    Raises:
      UserError: names the row, and what there is.
    """
    for clip, frames in listed.rows.items():
        if clip not in known:
            close = difflib.get_close_matches(clip, known, 1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise errors.UserError(
                f"{listed.path}, row {min(frames.values())}: there is no clip {clip!r}{meant} "
                f"({len(known)} are there, {min(known)} to {max(known)})"
            )


def check_frames(listed: FrameList, clip: str, count: int) -> None:
    """Refuses a list that names a frame of a clip of `count` frames that the clip does not have.

    Raises:
      UserError: names the row.
    """
    for frame, number in listed.rows.get(clip, {}).items():
        if frame >= count:
            raise errors.UserError(
                f"{listed.path}, row {number}: {clip} has no frame {frame}; its frames are 0 to "
                f"{count - 1}"
            )


def restrict(table: Mapping[str, np.ndarray], rows: np.ndarray, picks: FrameList) -> np.ndarray:
    """The rows that are picked.

    Args:
      table: a pack's table, columns `clip`, `frame_index`, `emotion`.
      rows: int [n], row numbers into it: the examples that take part otherwise.
      picks: may name frames of other rows too: those stay out.

    Returns:
      int [m], in the order of `rows`.

    Raises:
      UserError: the pack has no such clip or frame (the message names the row of the list), or of
        an emotion that is among `rows` nothing is picked.
    """
    clips, frames = table["clip"].tolist(), table["frame_index"].tolist()
    there: dict[str, set[int]] = {}
    for clip, frame in zip(clips, frames, strict=True):
        there.setdefault(clip, set()).add(frame)
    check_clips(picks, there)
    for clip, listed in picks.rows.items():
        for frame, number in listed.items():
            if frame not in there[clip]:
                raise errors.UserError(
                    f"{picks.path}, row {number}: of {clip} the data hold no frame {frame}, but "
                    f"{_ranges(there[clip])}"
                )
    kept = np.array([r for r in rows.tolist() if frames[r] in picks.rows.get(clips[r], ())], int)
    missing = set(table["emotion"][rows].tolist()) - set(table["emotion"][kept].tolist())
    if missing:
        raise errors.UserError(
            f"{picks.path} picks no frame of any clip that shows {', '.join(sorted(missing))}"
        )
    return kept


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, str, int, dict]]:
    """Yields (row number, clip, frame, cells by heading)."""
    try:
        # Spreadsheets mark UTF-8 with a byte order mark, which would be part of the first heading.
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except FileNotFoundError as error:
        raise errors.UserError(f"there is no list of frames {path}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise errors.UserError(f"{path} cannot be read as a list of frames: {error}") from error
    headings = [cell.strip() for cell in lines[0]] if lines else []
    if missing := [name for name in columns if name not in headings]:
        raise errors.UserError(
            f"{path} lacks the column {' and '.join(missing)} in row 1; it needs "
            f"{', '.join(columns)}, separated by commas, and has {', '.join(headings) or 'nothing'}"
        )
    for number, cells in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        row = dict.fromkeys(headings, "") | dict(zip(headings, map(str.strip, cells), strict=False))
        if not row["clip"]:
            raise _bad_cell(path, number, "clip", "", "the name of a clip")
        frame = row["frame_index"]
        if not (frame.isdecimal() and int(frame) > 0):
            raise _bad_cell(
                path, number, "frame_index", frame, "a whole number from 1 (frame 0 has no flow)"
            )
        yield number, row["clip"], int(frame), row


def _bad_cell(path: Path, number: int, column: str, found: str, expected: str) -> errors.UserError:
    return errors.UserError(
        f"{path}, row {number}, column {column}: expected {expected}, found {found!r}"
    )


def _not_empty(listed: FrameList) -> FrameList:
    if not listed.rows:
        raise errors.UserError(f"{listed.path} names no frame: it has no row below its headings")
    return listed


def _ranges(numbers: Iterable[int]) -> str:
    """E.g. "1 to 30, 33"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join(" to ".join(map(str, run)) for run in runs)

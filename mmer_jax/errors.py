"""Errors that are written for the person at the keyboard."""

import functools
import sys
from collections.abc import Callable

# Why one recording cannot be used. The build ends with these words and the names they hit.
CLIP_PROBLEMS = (
    "bad name",  # the file name does not parse
    "no label",  # the data set's list of labels does not have the clip
    "empty file",
    "not a video",  # not a media file at all, or one that cannot be opened
    "no image",  # a media file without a video stream
    "truncated",
    "too short",  # fewer than two frames: no flow can be computed
    "no audio",
    "silent audio",  # a track of zeros where audio is needed
    "no scores",  # frames shall be chosen by scores, and the list of scores lacks the clip
)


class UserError(Exception):
    """A mistake that a user can mend. run.py prints the message alone, without a traceback."""


class ClipError(UserError):
    """One recording cannot be used.

    Args:
      kind: one of CLIP_PROBLEMS.
      detail: what was found, in words.
    """

    def __init__(self, kind: str, detail: str):
        if kind not in CLIP_PROBLEMS:
            raise ValueError(f"unknown clip problem {kind!r}; known: {CLIP_PROBLEMS}")
        super().__init__(kind, detail)  # both arguments, so that the error survives pickling
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


def unknown(what: str, name: object, known) -> UserError:
    """The error for a name that a registry does not hold: it lists those it does."""
    return UserError(f"unknown {what} {name!r}; known: {', '.join(map(str, known))}")


def handle_user_errors(main: Callable[..., int]) -> Callable[..., int]:
    """Makes the main of a command tell a UserError in one line, and end with status 2."""

    @functools.wraps(main)
    def told(*arguments, **options) -> int:
        try:
            return main(*arguments, **options)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return told

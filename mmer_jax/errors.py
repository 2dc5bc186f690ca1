"""Errors that users see and can act on."""

import functools
import sys
from collections.abc import Callable, Iterable

# Why one recording cannot be used. A build reports, for each of these, the names of the recordings
# that it skipped, and stores them in the metadata of the built set.
CLIP_PROBLEMS = (
    "bad name",  # the file name cannot be parsed
    "no label",  # the dataset's list of labels does not have the clip
    "empty file",
    "not a video",  # not a media file, or one that cannot be opened
    "no video stream",  # a media file without one
    "truncated",
    "too short",  # fewer than two frames: no optical flow can be computed
    "no audio",  # no audio track, or one without samples
    "silent audio",  # a track of zeros where audio is required
    "no scores",  # frames are selected by score, and the list of scores does not have the clip
)


class UserError(Exception):
    """An error that the user can fix. Commands print its message without a traceback."""


class ClipError(UserError):
    """The error for one recording that cannot be used.

    Args:
      kind: One of CLIP_PROBLEMS.
      detail: What was found, in words.
    """

    def __init__(self, kind: str, detail: str):
        if kind not in CLIP_PROBLEMS:
            raise ValueError(f"unknown clip problem {kind!r}; known: {CLIP_PROBLEMS}")
        super().__init__(kind, detail)  # both arguments, so that the error survives pickling
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


def unknown(what: str, name: object, known: Iterable) -> UserError:
    """Returns the error for a name that is not registered; its message lists the known names.

    Args:
      what: Kind of thing that was looked up, such as "modality".
      name: The name that was not found.
      known: The registered names.
    """
    return UserError(f"unknown {what} {name!r}; known: {', '.join(map(str, known))}")


def handle_user_errors(main: Callable[..., int]) -> Callable[..., int]:
    """Decorates the main function of a command so that a UserError ends it with status 2.

    The message is printed to stderr, in one line, without a traceback.
    """

    @functools.wraps(main)
    def wrapper(*args, **kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return wrapper

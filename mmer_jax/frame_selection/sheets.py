"""Contact sheets: pages of a clip's frames, on which frames are picked with clicks.

A page needs nothing but itself and a browser: images, style and script are in the file. It saves
what was picked as a list of frames (see datasets.frame_lists).
"""

import base64
import dataclasses
import functools
import hashlib
import itertools
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import cv2
import jinja2
import numpy as np

from mmer_jax import errors
from mmer_jax.corpora.recordings import Recording
from mmer_jax.datasets import clips
from mmer_jax.frame_selection import recordings_of

SIZE = 112  # side of the shown faces in pixels
QUALITY = 80  # of the JPEG images: 3 to 4 kB each
ON_ONE_PAGE = 20  # clips; more of them get a page a subject
INDEX = "index.html"


@dataclasses.dataclass(frozen=True)
class Tile:
    """A frame to click on: its number, seconds, and a data: URI of the face."""

    frame: int
    time: float
    image: str


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A clip's tiles, and what is said above them."""

    clip: str
    subject: str
    label: str
    face_found: bool
    tiles: tuple[Tile, ...]


def write(
    recordings: Sequence[Recording],
    folder: str | os.PathLike,
    title: str,
    every: int = 3,
    options: clips.Options | None = None,
    workers: int | None = None,
) -> Path:
    """Writes index.html with all clips, or with links to a page a subject if they are many.

    Args:
      recordings: the clips.
      folder: made if absent.
      title: what the clips are. Pages of one title share what was picked while picking goes on, in
        browsers where pages of a folder share their storage.
      every: show each so-manieth frame, from frame 1 on.
      options: how faces are found.
      workers: processes; None for one a core.

    Returns:
      index.html's path.

    Raises:
      UserError: `every` below 1; no recording can be used; the folder cannot be written.
    """
    if every < 1:
        raise errors.UserError(f"every must be from 1, found {every}")
    options = options or clips.Options()
    options.check()
    folder = Path(folder).expanduser()
    work = functools.partial(draw, every=every, options=options)
    drawn = recordings_of.each(
        work, sorted(recordings, key=_subject), "drawing contact sheets", workers
    )
    about = {"title": title, "key": hashlib.sha256(title.encode()).hexdigest()[:12], "every": every}
    if len(recordings) <= ON_ONE_PAGE:
        return _save(folder / INDEX, "sheets.html.j2", **about, sheets=list(drawn), links=None)
    links = []
    for subject, sheets in itertools.groupby(drawn, key=lambda sheet: sheet.subject):
        page = {"name": f"{subject}.html", "subject": subject, "sheets": list(sheets)}
        page_about = about | {"title": f"{title}, {subject}", "sheets": page["sheets"]}
        _save(folder / page["name"], "sheets.html.j2", **page_about, links=None)
        links.append({"name": page["name"], "subject": subject, "clips": len(page["sheets"])})
    return _save(folder / INDEX, "sheets.html.j2", **about, sheets=[], links=links)


def draw(recording: Recording, every: int, options: clips.Options) -> Sheet:
    """A worker's task: the sheet of a clip.

    Raises:
      ClipError: the recording cannot be used, or has no label and so is in no built set.
    """
    facts = recording.facts()
    square, crops = clips.read_face_frames(recording.source(), options, SIZE)
    tiles = tuple(
        Tile(frame, time, _data_uri(face))
        for frame, time, face in crops
        if frame and (frame - 1) % every == 0
    )
    return Sheet(facts["clip"], facts["subject"], facts["label"], square.found, tiles)


def _data_uri(face: np.ndarray) -> str:
    bgr = cv2.cvtColor(face, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _subject(recording: Recording) -> tuple[str, str]:
    try:
        return recording.facts()["subject"], recording.name
    except errors.ClipError:  # it is left out, and named
        return "", recording.name


def _save(path: Path, template: str, **values) -> Path:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = resources.files(__package__).joinpath(template).read_text(encoding="utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(environment.from_string(text).render(values), encoding="utf-8")
    except OSError as error:
        raise errors.UserError(f"cannot write {path}: {error.strerror}") from error
    return path

"""Contact sheets: HTML pages that show the frames of clips, to pick frames by clicking on them.

A page is self-contained: images, style sheet and script are in the file. It saves the picked frames
as a list (see datasets.frame_lists).
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
from mmer_jax.frame_selection import processing
from mmer_jax.utils import files

SIZE = 112  # side of the faces in pixels
QUALITY = 80  # JPEG quality, 0 to 100; an image has 3 to 4 kB
MAX_CLIPS_PER_PAGE = 20  # with more clips, each subject has a page of its own
INDEX = "index.html"
TEMPLATE = "sheets.html.j2"


@dataclasses.dataclass(frozen=True)
class Tile:
    """A frame to click on.

    Attributes:
      frame: Frame index.
      time: Time of the frame in seconds.
      image: JPEG image of the face, as a data URI.
    """

    frame: int
    time: float
    image: str


@dataclasses.dataclass(frozen=True)
class Sheet:
    """The section of a page that shows one clip: its heading and its tiles.

    Attributes:
      clip: Name of the clip.
      subject: Name of the subject, by which clips are divided into pages.
      label: The emotion that the clip is labeled with.
      face_found: Whether a detector found the face.
      tiles: The frames that are shown.
    """

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
    """Writes index.html with all clips or, if there are many, with links to a page per subject.

    Args:
      recordings: Recordings of the clips.
      folder: Folder of the pages; created if it does not exist.
      title: Title of the pages. Pages with the same title share their picks in the browser's local
        storage, if the browser shares it between files.
      every: Step between the frames that are shown, starting at frame 1.
      options: Options of face detection and cropping; None for the defaults.
      workers: Number of processes; None for one per core.

    Returns:
      Path of index.html.

    Raises:
      UserError: `every` is below 1, no recording is usable, or a page cannot be written.
    """
    if every < 1:
        raise errors.UserError(f"every must be 1 or more, found {every}")
    options = options or clips.Options()
    options.check()
    folder = Path(folder).expanduser()
    work = functools.partial(draw, every=every, options=options)
    sheets = processing.map_recordings(
        work, sorted(recordings, key=_sort_key), "drawing contact sheets", workers
    )
    values = {
        "title": title,
        "key": hashlib.sha256(title.encode()).hexdigest()[:12],
        "every": every,
    }
    if len(recordings) <= MAX_CLIPS_PER_PAGE:
        return _render(folder / INDEX, **values, sheets=list(sheets), links=None)
    links = []
    for subject, group in itertools.groupby(sheets, key=lambda sheet: sheet.subject):
        name, of_subject = f"{subject}.html", list(group)
        page_values = values | {"title": f"{title}, {subject}", "sheets": of_subject}
        _render(folder / name, **page_values, links=None)
        links.append({"name": name, "subject": subject, "clips": len(of_subject)})
    return _render(folder / INDEX, **values, sheets=[], links=links)


def draw(recording: Recording, every: int, options: clips.Options) -> Sheet:
    """Makes the sheet of one clip, in a worker process.

    Args:
      recording: The recording.
      every: See `write`.
      options: See `write`.

    Raises:
      ClipError: The recording is not usable, or has no label, so that builds leave it out.
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


def _sort_key(recording: Recording) -> tuple[str, str]:
    """Returns (subject, name of the clip)."""
    try:
        return recording.facts()["subject"], recording.name
    except errors.ClipError:  # raised again in `draw`, where the recording is skipped
        return "", recording.name


def _render(path: Path, **values) -> Path:
    """Writes a page from the template and returns its path."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    try:
        with files.atomic_write(path) as file:
            file.write(environment.from_string(template).render(values))
    except OSError as error:
        raise errors.UserError(f"cannot write {path}: {error.strerror}") from error
    return path

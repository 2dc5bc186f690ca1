"""Search for recordings in a folder, as single files and as members of zip archives.

`scan` and the classes of this module are for all datasets. `select` is for RAVDESS, whose file
names contain all metadata; the counterpart of `select` for BAUM-1 is in baum1_recordings.py.
"""

import dataclasses
import hashlib
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from mmer_jax import errors
from mmer_jax.corpora import ravdess

VIDEO_ENDINGS = (".mp4",)
AUDIO_ENDINGS = (".wav", ".flac")
GENDERS = ravdess.GENDERS
# A folder with this file contains clips rendered by mmer_jax.synthetic, not recordings.
RENDERED_MARK = "rendered.json"

HOW_TO_GET = (
    "RAVDESS is at https://zenodo.org/records/1188976: put Video_Speech_Actor_01.zip to "
    "Video_Speech_Actor_24.zip (for the builder config `speech` Audio_Speech_Actors_01-24.zip), or "
    "the Actor_XX folders in these archives, into one folder"
)

# Exceptions raised when a member of an archive is damaged, encrypted or compressed with an
# unsupported method.
_DAMAGED = (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError)


@dataclasses.dataclass(frozen=True)
class Recording:
    """A video or audio file.

    Attributes:
      name: File name without its extension.
      ending: File extension in lower case, with the dot.
      path: Path of the file, or of the zip archive that contains it.
      member: Name of the file in the zip archive; None for a plain file.
      size: Uncompressed size in bytes.
      read_facts: Function of `name` that returns the metadata of the clip (see `facts`), which it
        takes from the name alone or from a list of labels.
    """

    name: str
    ending: str
    path: str
    member: str | None
    size: int
    read_facts: Callable[[str], dict] = ravdess.facts

    def __str__(self) -> str:
        return self.name

    def facts(self) -> dict:
        """Returns the metadata of the clip.

        Returns:
          A dict with the str values `label` (a canonical emotion), `clip`, `subject`, `gender`
          ("male" or "female"), `intensity` and `channel`, and the int values `statement` and
          `repetition`, which are 0 if the dataset does not number statements or repetitions.

        Raises:
          ClipError: "bad name" if the name of the recording cannot be parsed, "no label" if the
            list of labels does not have the clip.
        """
        return self.read_facts(self.name)

    def source(self) -> str | bytes:
        """Returns the source for the readers in mmer_jax.media.

        Returns:
          The path of a plain file, or the content of a member of a zip archive.

        Raises:
          ClipError: "truncated" if the member of the archive is damaged; "empty file" if the path
            is a link to a file that does not exist.
        """
        if self.member is None:
            if not Path(self.path).exists():
                raise errors.ClipError("empty file", "a link to a file that does not exist")
            return self.path
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self.member)
        except _DAMAGED as e:
            raise errors.ClipError("truncated", f"damaged in {Path(self.path).name}: {e}") from e


@dataclasses.dataclass(frozen=True)
class Selection:
    """The recordings that a build reads.

    Attributes:
      recordings: One recording per name, sorted by name. Names that cannot be parsed are included;
        the build reports and skips them.
      left_out: Kind of recording, such as "video_only speech" -> number of recordings of this kind,
        which are not part of the selection.
      origin: "recorded" or "rendered".
      labels: The list of labels, one str per clip; empty if the labels are in the file names.
      mismatches: Kind of mismatch -> clip name -> detail for users. A mismatch is a difference
        between the recordings and the list of labels, or an inconsistency within the list.
    """

    recordings: tuple[Recording, ...]
    left_out: dict[str, int]
    origin: str
    labels: tuple[str, ...] = ()
    mismatches: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    def digest(self) -> str:
        """Returns a digest of the names, sizes and labels of all recordings, 16 hex digits.

        It does not depend on the folders and archives that the recordings are in.
        """
        lines = "".join(f"{r.name}{r.ending} {r.size}\n" for r in self.recordings)
        lines += "".join(f"{line}\n" for line in self.labels)
        return hashlib.sha256(lines.encode()).hexdigest()[:16]


def scan(
    folder: str | os.PathLike, what: str = "RAVDESS recordings", how_to_get: str = HOW_TO_GET
) -> list[Recording]:
    """Finds all video and audio files below a folder, also inside zip archives.

    Folders may be nested in any way. Metadata files of macOS (.DS_Store, ._*, __MACOSX) are
    ignored.

    Args:
      folder: Folder to search.
      what: Kind of recordings, for the error message.
      how_to_get: How to obtain the recordings, for the error message.

    Returns:
      Recordings sorted by name; of recordings with one name, plain files come before members of
      archives.

    Raises:
      UserError: If the folder does not exist or contains a damaged archive.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise errors.UserError(
            f"looked for {what} in {folder}, which {problem}. {how_to_get}, and give its path"
        )
    files = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(d for d in folders if not _is_clutter(d))
        for name in sorted(names):
            path = Path(parent) / name
            if _is_clutter(name):
                continue
            if path.suffix.lower() == ".zip":
                files.extend(_scan_archive(path))
            elif _is_recording(path):
                # A broken link is reported when it is read.
                size = path.stat().st_size if path.exists() else 0
                files.append(Recording(path.stem, path.suffix.lower(), str(path), None, size))
    return sorted(
        files, key=lambda r: (r.name, r.member is not None, r.ending, r.path, r.member or "")
    )


def select(folder: str | os.PathLike, alternatives: Sequence[Sequence[str]]) -> Selection:
    """Finds RAVDESS's speech recordings of the given channels in a folder, one per name.

    If a name occurs more than once, a plain file is preferred over a member of a zip archive.

    Args:
      folder: Folder to search (see `scan`).
      alternatives: Sets of channels (values of ravdess.CHANNELS) in order of preference. The first
        set of which at least one channel has a recording is used. "audio_only" recordings are audio
        files, those of the other channels are video files.

    Returns:
      The recordings of all channels of this set.

    Raises:
      UserError: If no channel of any set has a recording, or for the reasons given in `scan`.
    """
    scanned = scan(folder)
    origin = find_origin(folder, scanned)
    for channels in alternatives:
        selected, left_out = _filter_channels(scanned, channels)
        if any(ravdess.is_name(recording.name) for recording in selected):
            return Selection(tuple(selected), dict(sorted(left_out.items())), origin)
    if selected:
        left_out["under other names"] = len(selected)
    found = ", ".join(f"{count} {what}" for what, count in sorted(left_out.items()))
    expected = " or ".join(
        f"{c} speech ({' '.join(_endings(c))})" for channels in alternatives for c in channels
    )
    raise errors.UserError(
        f"looked for {expected} recordings with RAVDESS names in {folder} and its .zip archives, "
        f"and found {found or 'none'}. {HOW_TO_GET}"
    )


def find_origin(folder: str | os.PathLike, recordings: Iterable[Recording]) -> str:
    """Determines whether the recordings in a folder are real or rendered.

    Args:
      folder: Folder that was searched.
      recordings: The recordings that were found in the folder.

    Returns:
      "rendered" if the file RENDERED_MARK is in the folder, in its parent folder, or in a subfolder
      that contains a recording at any depth; otherwise "recorded".
    """
    folder = Path(folder).expanduser().resolve()
    folders = {folder, folder.parent}
    for recording in recordings:
        inner = Path(recording.path).resolve().parent
        while inner not in folders and folder in inner.parents:
            folders.add(inner)
            inner = inner.parent
    return "rendered" if any((f / RENDERED_MARK).exists() for f in folders) else "recorded"


def _filter_channels(
    recordings: Iterable[Recording], channels: Sequence[str]
) -> tuple[list[Recording], Counter[str]]:
    """Selects the speech recordings of the given channels, the first of each name.

    Recordings whose names cannot be parsed are selected if the file extension fits.

    Returns:
      The selected recordings, and kind of recording -> number of recordings that are left out.
    """
    endings = {ending for channel in channels for ending in _endings(channel)}
    selected: list[Recording] = []
    left_out: Counter[str] = Counter()
    names = set()
    for recording in recordings:
        if recording.name in names:
            continue
        try:
            take = ravdess.parse_name(recording.name)
        except errors.ClipError:
            keep = recording.ending in endings
        else:
            if take.vocal_channel == "song" or take.channel not in channels:
                left_out[f"{take.channel} {take.vocal_channel}"] += 1
                names.add(recording.name)
                continue
            keep = recording.ending in _endings(take.channel)
        if keep:
            names.add(recording.name)
            selected.append(recording)
    return selected, left_out


def _endings(channel: str) -> tuple[str, ...]:
    """Returns the file extensions of the recordings of a channel, in lower case with the dot."""
    return AUDIO_ENDINGS if channel == "audio_only" else VIDEO_ENDINGS


def _is_clutter(name: str) -> bool:
    """Returns whether a file or folder is hidden or metadata of macOS."""
    return name == "__MACOSX" or name.startswith(".")


def _is_recording(path: Path | PurePosixPath) -> bool:
    return path.suffix.lower() in VIDEO_ENDINGS + AUDIO_ENDINGS


def _scan_archive(path: Path) -> Iterable[Recording]:
    """Yields the recordings in a zip archive.

    Raises:
      UserError: The archive cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError) as e:
        raise errors.UserError(
            f"the archive {path} cannot be read ({e}): download it again, or remove it from the "
            "folder"
        ) from e
    for member in members:
        inner = PurePosixPath(member.filename)
        if member.is_dir() or any(_is_clutter(part) for part in inner.parts):
            continue
        if _is_recording(inner):
            yield Recording(
                inner.stem, inner.suffix.lower(), str(path), member.filename, member.file_size
            )

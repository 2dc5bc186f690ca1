"""Finds recordings in a folder: files of their own and members of zip archives.

`scan` and what it gives serve every data set; `select` is RAVDESS's, whose names say everything.
BAUM-1's is in baum1_recordings.py.
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
# A folder that holds this file was rendered by this program, not recorded.
RENDERED_MARK = "rendered.json"

HOW_TO_GET = (
    "RAVDESS is at https://zenodo.org/records/1188976: put Video_Speech_Actor_01.zip to "
    "Video_Speech_Actor_24.zip (for the builder config `speech` Audio_Speech_Actors_01-24.zip), or "
    "the Actor_XX folders that they hold, into one folder"
)

# What reading a member of an archive raises where it is damaged, locked or packed in a rare way.
_DAMAGED = (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError)


@dataclasses.dataclass(frozen=True)
class Recording:
    """One file to read.

    Attributes:
      name: the file name without its ending.
      ending: its ending, lower case, with the dot.
      path: the file, or the zip archive that holds it.
      member: its name in the archive; None for a file of its own.
      size: bytes, unpacked.
      facts_of: name -> facts; from the name alone, or from a list of labels.
    """

    name: str
    ending: str
    path: str
    member: str | None
    size: int
    facts_of: Callable[[str], dict] = ravdess.facts

    def __str__(self) -> str:
        return self.name

    def facts(self) -> dict:
        """What the data set says of the clip.

        Returns:
          label (a canonical emotion), clip, subject, gender ("male" or "female"), intensity,
          channel: text; statement, repetition: int, 0 where the data set has no such thing.

        Raises:
          ClipError: "bad name" or "no label".
        """
        return self.facts_of(self.name)

    def source(self) -> str | bytes:
        """What media readers take: the path, or the unpacked content of an archive's member.

        Raises:
          ClipError: "truncated", if the archive's member is damaged; "empty file", if there is
            nothing behind a link.
        """
        if self.member is None:
            if not Path(self.path).exists():
                raise errors.ClipError("empty file", "a link to a file that is not there")
            return self.path
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self.member)
        except _DAMAGED as e:
            raise errors.ClipError("truncated", f"damaged in {Path(self.path).name}: {e}") from e


@dataclasses.dataclass(frozen=True)
class Selection:
    """The recordings that one build reads.

    Attributes:
      recordings: sorted by name, one per name. Names that do not parse are among them: the build
        names them when it ends.
      left_out: kind -> number of recordings of kinds not wanted, e.g. "video_only speech".
      origin: "recorded" or "rendered".
      labels: what the list of labels says, a line a clip; none where names say it.
      mismatches: kind -> clip -> detail, where recordings and list of labels do not agree.
    """

    recordings: tuple[Recording, ...]
    left_out: dict[str, int]
    origin: str
    labels: tuple[str, ...] = ()
    mismatches: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    def digest(self) -> str:
        """Digest of names, sizes and labels, wherever the files lie, packed or not."""
        lines = "".join(f"{r.name}{r.ending} {r.size}\n" for r in self.recordings)
        lines += "".join(f"{line}\n" for line in self.labels)
        return hashlib.sha256(lines.encode()).hexdigest()[:16]


def scan(
    folder: str | os.PathLike, what: str = "RAVDESS recordings", how_to_get: str = HOW_TO_GET
) -> list[Recording]:
    """All video and audio recordings below a folder, in files and zip archives; sorted.

    Files of macOS (.DS_Store, ._*, __MACOSX) are ignored, and folders may be nested in any way.

    Args:
      folder: where to look.
      what, how_to_get: for the words of the error.

    Raises:
      UserError: the folder does not exist, or an archive in it is damaged.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise errors.UserError(
            f"looked for {what} in {folder}, which {found}. {how_to_get}, and name it"
        )
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(d for d in folders if not _is_clutter(d))
        for name in sorted(names):
            path = Path(parent) / name
            if _is_clutter(name):
                continue
            if path.suffix.lower() == ".zip":
                found.extend(_scan_archive(path))
            elif _is_recording(path):
                # A link to nowhere is named when it is read.
                size = path.stat().st_size if path.exists() else 0
                found.append(Recording(path.stem, path.suffix.lower(), str(path), None, size))
    return sorted(
        found, key=lambda r: (r.name, r.member is not None, r.ending, r.path, r.member or "")
    )


def select(folder: str | os.PathLike, choices: Sequence[Sequence[str]]) -> Selection:
    """The speech recordings of the wanted channels below a folder, each name once.

    Where one is there more than once, a file of its own goes before an archive's member.

    Args:
      folder: see `scan`.
      choices: sets of channels (ravdess.CHANNELS' values); the first one that the folder holds
        something of is taken. "audio_only" is read from audio files, the others from video files.

    Raises:
      UserError: as `scan`, or nothing of what is wanted is there.
    """
    found = scan(folder)
    origin_found = origin(folder, found)
    for channels in choices:
        wanted, left_out = _sort_out(found, channels)
        if any(ravdess.is_name(recording.name) for recording in wanted):
            return Selection(tuple(wanted), dict(sorted(left_out.items())), origin_found)
    if wanted:
        left_out["under other names"] = len(wanted)
    held = ", ".join(f"{count} {what}" for what, count in sorted(left_out.items()))
    looked_for = " or ".join(
        f"{c} speech ({' '.join(_endings(c))})" for channels in choices for c in channels
    )
    raise errors.UserError(
        f"looked for {looked_for} recordings under RAVDESS names in {folder}, also inside .zip "
        f"archives, and found {held or 'none'}. {HOW_TO_GET}"
    )


def origin(folder: str | os.PathLike, found: Iterable[Recording]) -> str:
    """Says "rendered" if the mark is in or right above the folder, or above a recording in it."""
    folder = Path(folder).expanduser().resolve()
    places = {folder, folder.parent}
    for recording in found:
        inner = Path(recording.path).resolve().parent
        while inner not in places and folder in inner.parents:
            places.add(inner)
            inner = inner.parent
    return "rendered" if any((p / RENDERED_MARK).exists() for p in places) else "recorded"


def _sort_out(
    found: Iterable[Recording], channels: Sequence[str]
) -> tuple[list[Recording], Counter[str]]:
    endings = {ending for channel in channels for ending in _endings(channel)}
    wanted: list[Recording] = []
    left_out: Counter[str] = Counter()
    seen = set()
    for recording in found:
        if recording.name in seen:
            continue
        try:
            take = ravdess.parse_name(recording.name)
        except errors.ClipError:
            keep = recording.ending in endings
        else:
            if take.vocal_channel == "song" or take.channel not in channels:
                left_out[f"{take.channel} {take.vocal_channel}"] += 1
                seen.add(recording.name)
                continue
            keep = recording.ending in _endings(take.channel)
        if keep:
            seen.add(recording.name)
            wanted.append(recording)
    return wanted, left_out


def _endings(channel: str) -> tuple[str, ...]:
    return AUDIO_ENDINGS if channel == "audio_only" else VIDEO_ENDINGS


def _is_clutter(name: str) -> bool:
    return name == "__MACOSX" or name.startswith(".")


def _is_recording(path: Path | PurePosixPath) -> bool:
    return path.suffix.lower() in VIDEO_ENDINGS + AUDIO_ENDINGS


def _scan_archive(path: Path) -> Iterable[Recording]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError) as e:
        raise errors.UserError(
            f"the archive {path} cannot be read ({e}): get it again, or take it out of the folder"
        ) from e
    for member in members:
        inner = PurePosixPath(member.filename)
        if member.is_dir() or any(_is_clutter(part) for part in inner.parts):
            continue
        if _is_recording(inner):
            yield Recording(
                inner.stem, inner.suffix.lower(), str(path), member.filename, member.file_size
            )

"""Downloads RAVDESS's archives from Zenodo: checked, and resumed where it stopped."""

import dataclasses
import hashlib
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from mmer_jax import errors
from mmer_jax.utils.progress import Progress

ZENODO = "https://zenodo.org/records/1188976/files"
_BLOCK = 1 << 20
_TIMEOUT = 60.0  # seconds without a byte
_PAUSES = (1.0, 5.0, 15.0, 60.0)  # seconds before each try after one that brought nothing


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file of the Zenodo record: its name, its size in bytes and the MD5 of its content."""

    name: str
    bytes: int
    md5: str


def read_archives(file: str | os.PathLike) -> list[Archive]:
    """The archives that a JSON file lists as {name: {"bytes": ..., "md5": ...}}, in its order."""
    listed = json.loads(Path(file).read_text())
    return [Archive(name, facts["bytes"], facts["md5"]) for name, facts in listed.items()]


def fetch(
    archives: Sequence[Archive],
    folder: str | os.PathLike,
    base_url: str = ZENODO,
    pauses: Sequence[float] = _PAUSES,
) -> list[Path]:
    """Downloads what is not in the folder yet; a file bears its own name only when it is verified.

    A download in progress is NAME.part; the next call goes on from its end. Lost connections are
    taken up again by themselves.

    Args:
      archives: what to get.
      folder: where to.
      base_url: archives are at BASE_URL/NAME?download=1.
      pauses: seconds to wait before each further try after one that brought no byte.

    Returns:
      the files, in the order of `archives`.

    Raises:
      UserError: not reachable, refused, wrong size or MD5, or not enough disk space.
    """
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    missing = [a for a in archives if not _is_complete(folder / a.name, a)]
    parts = {a.name: _size(_part(folder, a)) for a in missing}
    total, done = sum(a.bytes for a in missing), sum(parts.values())
    free = shutil.disk_usage(folder).free
    if total - done > free:
        raise errors.UserError(
            f"the download needs {_gb(total - done)} in {folder}, where {_gb(free)} are free"
        )
    if missing:
        with Progress(round(total / 1e6), "downloading", "MB", done=round(done / 1e6)) as progress:
            meter = _Megabytes(progress)
            for archive in missing:
                _fetch_one(archive, folder, base_url, pauses, meter)
    return [folder / a.name for a in archives]


def _fetch_one(
    archive: Archive,
    folder: Path,
    base_url: str,
    pauses: Sequence[float],
    meter: Callable[[int], None],
) -> None:
    part = _part(folder, archive)
    url = f"{base_url.rstrip('/')}/{archive.name}?download=1"
    waits = list(pauses)
    while (size := _size(part)) < archive.bytes:
        try:
            problem = _transfer(url, part, archive, meter)
        except urllib.error.HTTPError as e:
            if e.code < 500 and e.code != 429:
                raise errors.UserError(f"{url} answered {e.code} {e.reason}") from e
            problem = e
        except (OSError, http.client.HTTPException) as e:
            problem = e
        if problem is None:
            continue
        if _size(part) > size:
            waits = list(pauses)
        elif not waits:
            raise errors.UserError(
                f"could not get {url}: {problem}. What has come is kept in {part}; the same "
                "command goes on from there"
            ) from problem
        else:
            time.sleep(waits.pop(0))
    if size > archive.bytes:
        part.unlink()
        raise errors.UserError(
            f"{url} gave {size} bytes where {archive.bytes} were expected; they are deleted"
        )
    found = _md5(part)
    if found != archive.md5:
        part.unlink()
        raise errors.UserError(
            f"{archive.name} came with MD5 {found} where {archive.md5} was expected; it is deleted "
            "and the same command gets it anew"
        )
    os.replace(part, folder / archive.name)


def _transfer(
    url: str, part: Path, archive: Archive, meter: Callable[[int], None]
) -> Exception | None:
    """Appends to `part` until the connection ends; returns what ended it early, if anything did."""
    start = _size(part)
    headers = {"User-Agent": "mmer-jax", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        resumed = response.status == 206 and _range_start(response) == start
        if not resumed:  # a server without ranges sends everything again
            meter(-start)
            start = 0
        with open(part, "ab" if resumed else "wb") as f:
            written = start
            while written <= archive.bytes:  # a longer answer is wrong: no need to take all of it
                try:
                    block = response.read(_BLOCK)
                except (OSError, http.client.HTTPException) as e:
                    return e
                if not block:
                    break
                f.write(block)
                written += len(block)
                meter(len(block))
    if written < archive.bytes:
        return ConnectionError(f"the connection closed after {written} of {archive.bytes} bytes")
    return None


def _range_start(response: http.client.HTTPResponse) -> int | None:
    """The first position that a 206 answer brings ("Content-Range: bytes 100-199/200")."""
    value = response.headers.get("Content-Range", "")
    start = value.removeprefix("bytes ").split("-")[0]
    return int(start) if start.isdigit() else None


class _Megabytes:
    """Turns counts of bytes into whole megabytes for a progress line."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self._rest = 0

    def __call__(self, count: int) -> None:
        whole, self._rest = divmod(self._rest + count, 10**6)
        self._progress.update(whole)


def _is_complete(file: Path, archive: Archive) -> bool:
    """Whether the file is there. Its MD5 was checked before it got its name."""
    if not file.exists():
        return False
    if file.stat().st_size != archive.bytes:
        raise errors.UserError(
            f"{file} has {file.stat().st_size} bytes where {archive.bytes} were expected; delete it"
        )
    return True


def _part(folder: Path, archive: Archive) -> Path:
    return folder / f"{archive.name}.part"


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _md5(file: Path) -> str:
    with open(file, "rb") as f:
        return hashlib.file_digest(f, "md5").hexdigest()


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"

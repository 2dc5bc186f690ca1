"""Download of RAVDESS's archives from Zenodo, with verification and resumption."""

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
_BLOCK = 1 << 20  # bytes per read
_TIMEOUT = 60.0  # seconds without data after which a connection is given up
_PAUSES = (1.0, 5.0, 15.0, 60.0)  # seconds before each attempt that follows one without data


@dataclasses.dataclass(frozen=True)
class Archive:
    """An archive in RAVDESS's record on Zenodo.

    Attributes:
      name: File name.
      bytes: Size in bytes.
      md5: MD5 of the content in hexadecimal digits.
    """

    name: str
    bytes: int
    md5: str


def read_archives(file: str | os.PathLike) -> list[Archive]:
    """Reads a list of archives.

    Args:
      file: Path of a JSON file {name: {"bytes": size, "md5": digest}}.

    Returns:
      The archives in the order of the file.
    """
    listed = json.loads(Path(file).read_text())
    return [Archive(name, facts["bytes"], facts["md5"]) for name, facts in listed.items()]


def fetch(
    archives: Sequence[Archive],
    folder: str | os.PathLike,
    base_url: str = ZENODO,
    pauses: Sequence[float] = _PAUSES,
) -> list[Path]:
    """Downloads the archives that are not in the folder yet.

    An archive is downloaded to NAME.part, which is renamed to NAME once it is verified. Lost
    connections are resumed automatically, and the next call resumes an interrupted download.

    Args:
      archives: Archives to download.
      folder: Destination folder, created if it does not exist.
      base_url: URL of the folder with the archives: an archive is at BASE_URL/NAME?download=1.
      pauses: Seconds to wait before the first, second, ... retry after attempts that received no
        data. The download fails after the last retry.

    Returns:
      Paths of the files, in the order of `archives`.

    Raises:
      UserError: If the server cannot be reached or refuses a request, an archive has the wrong size
        or MD5, or there is not enough disk space.
    """
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    missing = [a for a in archives if not _is_complete(folder / a.name, a)]
    total = sum(a.bytes for a in missing)
    done = sum(_size(_part(folder, a)) for a in missing)
    free = shutil.disk_usage(folder).free
    if total - done > free:
        raise errors.UserError(
            f"the download needs {_gb(total - done)} in {folder}, but only {_gb(free)} are free"
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
    remaining_pauses = list(pauses)
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
            remaining_pauses = list(pauses)
        elif not remaining_pauses:
            raise errors.UserError(
                f"could not download {url}: {problem}. The data received so far is kept in {part}; "
                "run the same command again to resume"
            ) from problem
        else:
            time.sleep(remaining_pauses.pop(0))
    if size > archive.bytes:
        part.unlink()
        raise errors.UserError(
            f"{url} returned {size} bytes, expected {archive.bytes}; the file has been deleted"
        )
    md5 = _md5(part)
    if md5 != archive.md5:
        part.unlink()
        raise errors.UserError(
            f"{archive.name} has the MD5 {md5}, expected {archive.md5}; the file has been deleted. "
            "Run the same command again to download it again"
        )
    os.replace(part, folder / archive.name)


def _transfer(
    url: str, part: Path, archive: Archive, meter: Callable[[int], None]
) -> Exception | None:
    """Downloads the rest of an archive over one connection, and appends it to `part`.

    Args:
      url: URL of the archive.
      part: Path of the partial file, which may exist.
      archive: The archive.
      meter: Function that is called with numbers of bytes received; negative if the server sends
        the file from the start.

    Returns:
      The error if the connection ended early, else None.
    """
    start = _size(part)
    headers = {"User-Agent": "mmer-jax", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        resumed = response.status == 206 and _range_start(response) == start
        if not resumed:  # a server without range requests sends the file from the start
            meter(-start)
            start = 0
        with open(part, "ab" if resumed else "wb") as f:
            written = start
            while written <= archive.bytes:  # a longer response is wrong: stop reading it
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
    """Returns the first byte position in a 206 response ("Content-Range: bytes 100-199/200").

    Returns None if the response does not have it.
    """
    value = response.headers.get("Content-Range", "")
    start = value.removeprefix("bytes ").split("-")[0]
    return int(start) if start.isdigit() else None


class _Megabytes:
    """Function of byte counts that updates a progress line in whole megabytes."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self._remainder = 0

    def __call__(self, count: int) -> None:
        megabytes, self._remainder = divmod(self._remainder + count, 10**6)
        self._progress.update(megabytes)


def _is_complete(file: Path, archive: Archive) -> bool:
    """Returns whether the file of an archive exists.

    The MD5 is not computed again: it was verified before the file was given this name.

    Raises:
      UserError: The file has another size than the archive.
    """
    if not file.exists():
        return False
    if file.stat().st_size != archive.bytes:
        raise errors.UserError(
            f"{file} has {file.stat().st_size} bytes, expected {archive.bytes}; delete it"
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

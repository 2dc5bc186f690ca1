"""Atomic writes, locks between processes, digests of files."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import filelock


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """Opens a temporary file that replaces `path` when the block ends without an error.

    A reader sees the old content or the new, never a part of it, even if the writing process is
    killed. The content and the folder's entry are synced to the disk. Text is UTF-8.

    Args:
      path: Path of the file. The parent folder is created if it does not exist.
      mode: "w" for text or "wb" for bytes.

    Yields:
      The open temporary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_json(path: str | os.PathLike, value: Any, indent: int | None = None) -> None:
    """Writes a JSON file with `atomic_write`.

    Args:
      path: Path of the file. The parent folder is created if it does not exist.
      value: JSON value.
      indent: Spaces per level, with sorted keys; None for a single line with keys in the order of
        `value`.
    """
    with atomic_write(path) as file:
        json.dump(value, file, indent=indent, sort_keys=indent is not None)
        file.write("\n")


def sync_folder(folder: str | os.PathLike) -> None:
    """Syncs a folder to the disk, so that new files in the folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(path: str | os.PathLike, timeout: float = -1) -> filelock.BaseFileLock:
    """Returns a lock between processes, for use in a `with` statement.

    The operating system releases the lock when the process that holds it ends, even if the process
    is killed. Two locks on one path exclude each other within a process too.

    Args:
      path: Path of the lock file. The parent folder must exist.
      timeout: Seconds to wait for the lock; 0 to fail at once, -1 to wait without limit.

    Raises:
      filelock.Timeout: On entering the `with` statement, if the lock is not free in time.
    """
    return filelock.FileLock(path, timeout=timeout, thread_local=False)


def digest(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file's content as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Packs: a built data set made ready for one run, as memory-mapped arrays and a table.

A pack is a folder:

    pack.json         what it is: data set, build options, size, modalities, digests
    table.npz         one column per fact about an example, all of length n (see COLUMNS)
    <modality>.npy    uint8 [n, size, size, channels], one per modality; or the same images as
                      records, <modality>.array_record (see storage.py)

Training reads packs and nothing else. This module needs only numpy, so that a machine without
TensorFlow, OpenCV or PyAV can train from a copied pack; `packing.py` makes packs from built sets.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.datasets import storage

FORMAT = 1
INFO_FILE = "pack.json"
TABLE_FILE = "table.npz"

# Kind of numpy dtype that each column has: U text, i integer, f float (seconds).
COLUMNS = {
    "clip": "U",
    "view": "i",
    "emotion": "U",
    "subject": "U",
    "gender": "U",
    "intensity": "U",
    "statement": "i",
    "repetition": "i",
    "channel": "U",
    "audio_variant": "U",
    "content_id": "U",
    "frame_index": "i",
    "frame_time": "f",
    "duration": "f",
}


@dataclasses.dataclass(frozen=True)
class Pack:
    """An open pack.

    Attributes:
      path: its folder.
      info: what pack.json holds.
      table: column name -> array [n]; rows are sorted by (clip, view).
      arrays: modality -> uint8 [n, size, size, channels], read-only, which is read from disk as its
        rows are asked for.
    """

    path: Path
    info: dict
    table: dict[str, np.ndarray]
    arrays: dict[str, np.memmap | storage.Images]

    def __len__(self) -> int:
        return self.info["examples"]

    def digest(self, names: Iterable[str]) -> str:
        """Digest of the table and the named modalities: adding another one leaves it the same."""
        digests = self.info["digests"]
        return _combine({"table": digests["table"], **{n: digests[n] for n in names}})


def open_pack(path: str | os.PathLike, wanted: Iterable[str] | None = None) -> Pack:
    """Opens the pack at `path` (its folder, or the pack.json in it).

    Args:
      path: the folder.
      wanted: modalities that must be there; only these are opened. None opens all.

    Raises:
      UserError: nothing there, not a pack, half written or half copied, another format, or a wanted
        modality that it does not hold.
    """
    path = Path(path).expanduser()
    if path.name == INFO_FILE:
        path = path.parent
    info = _read_info(path)
    held = info["modalities"]
    names = list(held if wanted is None else wanted)
    for name in names:
        if name not in held:
            raise errors.UserError(
                f"the pack {path} has no modality {name!r}; it holds {', '.join(held)}"
            )
    table = _read_table(path, info["examples"])
    arrays = {}
    for name in names:
        channels = modalities.get([name])[0].channels
        shape = (info["examples"], info["size"], info["size"], channels)
        kind = info.get("storage", {}).get(name, storage.NPY)
        arrays[name] = storage.open_images(path, name, kind, shape)
    return Pack(path, info, table, arrays)


def write_pack(
    path: str | os.PathLike,
    info: Mapping,
    table: Mapping[str, np.ndarray],
    arrays: Mapping[str, np.ndarray],
    kind: str = "",
) -> Pack:
    """Writes arrays that are in memory as a pack; rows may come in any order.

    Args:
      path: the folder to make. If a pack with the same table is there, the arrays are added to it.
      info: what pack.json shall say beside what follows from the arrays (dataset, origin,
        builder_config, version, options, skipped).
      table: every column of COLUMNS, of one length n.
      arrays: modality -> uint8 [n, size, size, channels].
      kind: of storage.KINDS; empty for one chosen by size.
    """
    order = row_order(table)
    size = next(iter(arrays.values())).shape[1]
    sorted_table = {name: np.asarray(column)[order] for name, column in table.items()}
    with PackWriter(path, info, sorted_table, list(arrays), size, kind) as writer:
        for name, array in arrays.items():
            writer.arrays[name][:] = array[order]
    return open_pack(path)


# Column of the table of two packs that are joined: which part of a split a row belongs to.
ROLE = "role"


def join(train: tuple[Pack, np.ndarray], test: tuple[Pack, np.ndarray]) -> Pack:
    """Two packs as one, for a network that is trained on one set and tested on another.

    Args:
      train: the pack to train from, and the rows of it that take part (int [n]).
      test: the same for testing; a pack of the same modalities and size.

    Returns:
      a Pack whose table has the column ROLE, "train" or "test".

    Raises:
      UserError: a clip is in both.
    """
    (first, first_rows), (second, second_rows) = train, test
    table = {
        name: np.concatenate([first.table[name][first_rows], second.table[name][second_rows]])
        for name in first.table
    }
    table[ROLE] = np.repeat(["train", "test"], [len(first_rows), len(second_rows)])
    if same := set(table["clip"][: len(first_rows)]) & set(table["clip"][len(first_rows) :]):
        raise errors.UserError(
            f"{first.path} and {second.path} both hold clips called {min(same)}: one data set "
            "cannot be trained and tested on under cross_dataset"
        )
    arrays = {
        name: storage.Joined([(first.arrays[name], first_rows), (second.arrays[name], second_rows)])
        for name in first.arrays
        if name in second.arrays
    }
    info = {"size": first.info["size"], "origin": first.info["origin"]}
    info |= {"examples": len(table["clip"]), "modalities": list(arrays)}
    for key in ("dataset", "builder_config", "version"):
        info[key] = f"{first.info[key]} to {second.info[key]}"
    for key in ("options", "skipped"):
        info[key] = {"train": first.info[key], "test": second.info[key]}
    if second.info["origin"] != "recorded":
        info["origin"] = second.info["origin"]
    info["digests"] = {
        name: _combine({"train": first.info["digests"][name], "test": second.info["digests"][name]})
        for name in ("table", *arrays)
    }
    return Pack(first.path, info, table, arrays)


def row_order(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """int [n]: the permutation that sorts rows by (clip, view), the order of rows in every pack."""
    return np.lexsort((np.asarray(table["view"]), np.asarray(table["clip"])))


class PackWriter:
    """Writes one pack, or adds modalities to one; whole or not at all.

    As a context manager: fill `arrays` (writable memory maps, modality -> uint8 [n, size, size, c])
    inside the block. Leaving it normally puts the pack in place; leaving it by an error leaves
    nothing. Everything is written to a folder beside the target and moved there by renaming, so
    that a killed run never leaves a pack that looks complete. Records have to be written in order:
    they are made from the memory maps, one modality after the other, and take their place.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        info: Mapping,
        table: Mapping[str, np.ndarray],
        names: Iterable[str],
        size: int,
        kind: str = "",
    ):
        self.path = Path(path)
        self._table = _checked_table(table)
        self._mods = modalities.get(names)
        self._info = dict(info)
        self._size = size
        pixels = len(self._table["clip"]) * size**2
        self._kind = storage.choose(kind, pixels * sum(m.channels for m in self._mods))
        self.arrays: dict[str, np.memmap] = {}

    def __enter__(self) -> "PackWriter":
        self._held = None
        if (self.path / INFO_FILE).exists():
            self._held = _read_info(self.path)
            same = _digest(self._table) == self._held["digests"]["table"]
            if not same or self._held["size"] != self._size:
                raise errors.UserError(
                    f"the pack {self.path} was made from other examples or at another size; delete "
                    "that folder to have it made again"
                )
        self._temporary = _fresh_folder(self.path)
        count = len(self._table["clip"])
        for m in self._mods:
            self.arrays[m.name] = np.lib.format.open_memmap(
                self._temporary / storage.file_name(m.name, storage.NPY),
                mode="w+",
                dtype=np.uint8,
                shape=(count, self._size, self._size, m.channels),
            )
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self.arrays.clear()
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _finish(self) -> None:
        if self._held is None and (self.path / INFO_FILE).exists():  # another process was faster
            self._held = _read_info(self.path)
        digests = {"table": _digest(self._table)}
        kinds = dict.fromkeys(self.arrays, self._kind)
        files = [storage.file_name(name, kind) for name, kind in kinds.items()]
        for name, array in self.arrays.items():
            array.flush()
            digests[name] = _digest({name: array})
            if self._kind == storage.ARRAY_RECORD:
                storage.write_records(self._temporary / storage.file_name(name, self._kind), array)
                (self._temporary / storage.file_name(name, storage.NPY)).unlink()
        if self._held:
            digests = {**self._held["digests"], **digests}
            kinds = {**self._held.get("storage", {}), **kinds}
        names = [name for name in modalities.MODALITIES if name in digests]
        info = {
            "format": FORMAT,
            **(self._held or self._info),
            "size": self._size,
            "modalities": names,
            "storage": kinds,
            "examples": len(self._table["clip"]),
            "digests": digests,
            "digest": _combine(digests),
        }
        (self._temporary / INFO_FILE).write_text(json.dumps(info, indent=1) + "\n")
        if self._held:
            for name in [*files, INFO_FILE]:  # pack.json last: it names them
                os.replace(self._temporary / name, self.path / name)
            return
        with open(self._temporary / TABLE_FILE, "wb") as f:
            np.savez_compressed(f, **self._table)
        if self.path.exists():  # leftovers of something else: no pack.json in it
            raise errors.UserError(f"{self.path} is in the way: a folder without {INFO_FILE}")
        os.rename(self._temporary, self.path)


def _read_info(path: Path) -> dict:
    file = path / INFO_FILE
    if not file.exists():
        found = "holds no pack.json" if path.is_dir() else "does not exist"
        packs = sorted(str(p.parent) for p in path.glob(f"*/{INFO_FILE}"))
        hint = f"; packs below it: {', '.join(packs)}" if packs else ""
        raise errors.UserError(f"{path} is not a pack: it {found}{hint}")
    try:
        info = json.loads(file.read_text())
    except ValueError as e:
        raise errors.UserError(f"{file} is damaged ({e}); copy or make the pack again") from e
    if info.get("format") != FORMAT:
        raise errors.UserError(
            f"{file} has format {info.get('format')!r}, this program reads format {FORMAT}"
        )
    return info


def _read_table(path: Path, count: int) -> dict[str, np.ndarray]:
    file = path / TABLE_FILE
    try:
        with np.load(file, allow_pickle=False) as stored:
            table = {name: stored[name] for name in stored.files}
    except Exception as e:  # zipfile, zlib and numpy each have their own
        raise errors.UserError(f"{file} is missing or damaged; copy or make the pack again") from e
    if any(len(column) != count for column in table.values()):
        raise errors.UserError(f"{file} does not have the {count} rows that {INFO_FILE} names")
    return table


def _checked_table(table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The table with its columns in order; a programming mistake in it is a ValueError."""
    columns = {name: np.asarray(table[name]) for name in COLUMNS}
    lengths = {len(c) for c in columns.values()}
    wrong = [n for n, c in columns.items() if c.dtype.kind != COLUMNS[n]]
    if wrong or len(lengths) != 1 or set(table) != set(COLUMNS):
        raise ValueError(f"bad pack table: kinds {wrong}, lengths {lengths}, columns {set(table)}")
    if not np.array_equal(row_order(columns), np.arange(len(columns["clip"]))):
        raise ValueError("the rows of a pack must be sorted by (clip, view)")
    return columns


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 over names, dtypes, shapes and contents, without loading a memory map at once."""
    sha = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        for start in range(0, len(array), 256):
            sha.update(np.ascontiguousarray(array[start : start + 256]).tobytes())
    return sha.hexdigest()[:16]


def _combine(digests: Mapping[str, str]) -> str:
    text = json.dumps(digests, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _fresh_folder(target: Path) -> Path:
    """An empty folder beside `target`. What killed runs of this machine left there is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}.{socket.gethostname()}."
    for old in target.parent.glob(f"{prefix}*"):
        if not _is_alive(int(old.name[len(prefix) :])):
            shutil.rmtree(old, ignore_errors=True)
    folder = target.parent / f"{prefix}{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

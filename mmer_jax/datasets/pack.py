"""Packs: a built dataset prepared for one run, as memory-mapped arrays and a table.

A pack is a folder:

    pack.json         dataset, build options, size, modalities, digests
    table.npz         one column per property of an example, all of length n (see COLUMNS)
    <modality>.npy    uint8 [n, size, size, channels], one per modality; or the same images as
                      records, <modality>.array_record (see storage.py)

Training reads packs and nothing else. This module needs only numpy, so that a machine without
TensorFlow, OpenCV or PyAV can train from a copied pack; `packing.py` makes packs from built
datasets.
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

# Column -> kind of its numpy dtype: U text, i integer, f float (seconds).
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
      path: Folder of the pack.
      info: Content of pack.json.
      table: Column -> array [n]; examples are sorted by (clip, view).
      arrays: Modality -> uint8 [n, size, size, channels], read-only; images are read from disk on
        access.
    """

    path: Path
    info: dict
    table: dict[str, np.ndarray]
    arrays: dict[str, np.memmap | storage.Images]

    def __len__(self) -> int:
        return self.info["examples"]

    def digest(self, names: Iterable[str]) -> str:
        """Returns a digest of the table and the named modalities, independent of the others."""
        digests = self.info["digests"]
        return _combine({"table": digests["table"], **{n: digests[n] for n in names}})


def open_pack(path: str | os.PathLike, names: Iterable[str] | None = None) -> Pack:
    """Opens a pack.

    Args:
      path: Folder of the pack, or the pack.json in it.
      names: Modalities to open, which the pack must contain. None opens all.

    Raises:
      UserError: There is no pack, it is incomplete or of another format, or it lacks one of the
        modalities.
    """
    path = Path(path).expanduser()
    if path.name == INFO_FILE:
        path = path.parent
    info = _read_info(path)
    available = info["modalities"]
    names = list(available if names is None else names)
    for name in names:
        if name not in available:
            raise errors.UserError(
                f"the pack {path} has no modality {name!r}; available: {', '.join(available)}"
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
    """Writes arrays in memory as a pack. Examples may be in any order.

    Args:
      path: Folder to make. If it is a pack with the same table, the arrays are added to it.
      info: Content of pack.json that does not follow from the arrays (dataset, origin,
        builder_config, version, options, skipped).
      table: All columns of COLUMNS, of one length n.
      arrays: Modality -> uint8 [n, size, size, channels].
      kind: Storage, one of storage.KINDS; empty to choose by size.

    Returns:
      The pack, opened with all its modalities.

    Raises:
      UserError: `path` is a pack of other examples or another size, or a folder without pack.json.
    """
    order = sort_order(table)
    size = next(iter(arrays.values())).shape[1]
    sorted_table = {name: np.asarray(column)[order] for name, column in table.items()}
    with PackWriter(path, info, sorted_table, list(arrays), size, kind) as writer:
        for name, array in arrays.items():
            writer.arrays[name][:] = array[order]
    return open_pack(path)


# Column in the table of two joined packs: the subset, "train" or "test", of an example.
ROLE = "role"


def join(train: tuple[Pack, np.ndarray], test: tuple[Pack, np.ndarray]) -> Pack:
    """Joins two packs, for a network that is trained on one dataset and tested on another.

    Args:
      train: Pack to train on, and the indices of the examples to use (int [n]).
      test: The same for testing; a pack of the same modalities and size.

    Returns:
      A Pack whose table has the additional column ROLE, "train" or "test".

    Raises:
      UserError: A clip is in both packs.
    """
    (first, first_indices), (second, second_indices) = train, test
    table = {
        name: np.concatenate([first.table[name][first_indices], second.table[name][second_indices]])
        for name in first.table
    }
    count = len(first_indices)
    table[ROLE] = np.repeat(["train", "test"], [count, len(second_indices)])
    if shared := set(table["clip"][:count]) & set(table["clip"][count:]):
        raise errors.UserError(
            f"{first.path} and {second.path} both have a clip called {min(shared)}; "
            "cross_dataset needs two different datasets"
        )
    arrays = {
        name: storage.ConcatenatedImages(
            [(first.arrays[name], first_indices), (second.arrays[name], second_indices)]
        )
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


def sort_order(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the permutation, int [n], that sorts examples by (clip, view) as packs store them."""
    return np.lexsort((np.asarray(table["view"]), np.asarray(table["clip"])))


class PackWriter:
    """Writer of a new pack, or of modalities to add to a pack; atomic.

    A context manager: fill `arrays` (writable memory maps) inside the block. When the block ends
    normally, the pack is put in place; when it raises, nothing is left. All files are written to a
    folder beside the target and then renamed, so that a killed process never leaves a pack that
    looks complete. Records must be written in order: when the block ends, they are made from the
    memory maps, one modality at a time, and replace them.

    Attributes:
      path: Folder of the pack.
      arrays: Modality -> memory map, uint8 [n, size, size, channels].

    Args:
      path: Folder of the pack. If it exists, it must be a pack with the same table and size.
      info: Content of pack.json that does not follow from the arrays.
      table: All columns of COLUMNS, of one length n, sorted by (clip, view).
      names: Modalities to write.
      size: Side of the images in pixels.
      kind: Storage, one of storage.KINDS; empty to choose by size.

    Raises:
      UserError: `path` is a pack of other examples or another size, or a folder without pack.json.
      ValueError: A malformed table.
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
        self._table = _check_table(table)
        self._modalities = modalities.get(names)
        self._info = dict(info)
        self._size = size
        pixels = len(self._table["clip"]) * size**2
        self._kind = storage.choose(kind, pixels * sum(m.channels for m in self._modalities))
        self.arrays: dict[str, np.memmap] = {}

    def __enter__(self) -> "PackWriter":
        self._existing = None
        if (self.path / INFO_FILE).exists():
            self._existing = _read_info(self.path)
            is_same_table = _digest(self._table) == self._existing["digests"]["table"]
            if not is_same_table or self._existing["size"] != self._size:
                raise errors.UserError(
                    f"the pack {self.path} was made from other examples or at another size; delete "
                    "that folder to make it again"
                )
        self._temporary = _make_temporary_folder(self.path)
        count = len(self._table["clip"])
        for m in self._modalities:
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
                self._put_in_place()
        finally:
            self.arrays.clear()
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _put_in_place(self) -> None:
        # Another process may have made the pack meanwhile.
        if self._existing is None and (self.path / INFO_FILE).exists():
            self._existing = _read_info(self.path)
        digests = {"table": _digest(self._table)}
        kinds = dict.fromkeys(self.arrays, self._kind)
        files = [storage.file_name(name, kind) for name, kind in kinds.items()]
        for name, array in self.arrays.items():
            array.flush()
            digests[name] = _digest({name: array})
            if self._kind == storage.ARRAY_RECORD:
                storage.write_records(self._temporary / storage.file_name(name, self._kind), array)
                (self._temporary / storage.file_name(name, storage.NPY)).unlink()
        if self._existing:
            digests = {**self._existing["digests"], **digests}
            kinds = {**self._existing.get("storage", {}), **kinds}
        names = [name for name in modalities.MODALITIES if name in digests]
        info = {
            "format": FORMAT,
            **(self._existing or self._info),
            "size": self._size,
            "modalities": names,
            "storage": kinds,
            "examples": len(self._table["clip"]),
            "digests": digests,
            "digest": _combine(digests),
        }
        (self._temporary / INFO_FILE).write_text(json.dumps(info, indent=1) + "\n")
        if self._existing:
            for name in [*files, INFO_FILE]:  # pack.json last, since it lists the others
                os.replace(self._temporary / name, self.path / name)
            return
        with open(self._temporary / TABLE_FILE, "wb") as f:
            np.savez_compressed(f, **self._table)
        if self.path.exists():
            raise errors.UserError(
                f"{self.path} exists and is not a pack: it has no {INFO_FILE}; delete or move it"
            )
        os.rename(self._temporary, self.path)


def _read_info(path: Path) -> dict:
    file = path / INFO_FILE
    if not file.exists():
        reason = f"has no {INFO_FILE}" if path.is_dir() else "does not exist"
        packs = sorted(str(p.parent) for p in path.glob(f"*/{INFO_FILE}"))
        hint = f"; packs below it: {', '.join(packs)}" if packs else ""
        raise errors.UserError(f"{path} is not a pack: it {reason}{hint}")
    try:
        info = json.loads(file.read_text())
    except ValueError as e:
        raise errors.UserError(f"{file} is damaged ({e}); copy or make the pack again") from e
    if info.get("format") != FORMAT:
        raise errors.UserError(
            f"{file} has format {info.get('format')!r}, this version reads format {FORMAT}"
        )
    return info


def _read_table(path: Path, count: int) -> dict[str, np.ndarray]:
    file = path / TABLE_FILE
    try:
        with np.load(file, allow_pickle=False) as stored:
            table = {name: stored[name] for name in stored.files}
    except Exception as e:  # zipfile, zlib and numpy raise types of their own
        raise errors.UserError(f"{file} is missing or damaged; copy or make the pack again") from e
    if any(len(column) != count for column in table.values()):
        raise errors.UserError(
            f"{file} does not have {count} rows as {INFO_FILE} says; copy or make the pack again"
        )
    return table


def _check_table(table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the table with its columns in order.

    Raises:
      ValueError: Missing or additional columns, wrong dtypes, unequal lengths, or unsorted.
    """
    columns = {name: np.asarray(table[name]) for name in COLUMNS}
    lengths = {len(c) for c in columns.values()}
    wrong = [n for n, c in columns.items() if c.dtype.kind != COLUMNS[n]]
    if wrong or len(lengths) != 1 or set(table) != set(COLUMNS):
        raise ValueError(f"bad pack table: kinds {wrong}, lengths {lengths}, columns {set(table)}")
    if not np.array_equal(sort_order(columns), np.arange(len(columns["clip"]))):
        raise ValueError("the table of a pack must be sorted by (clip, view)")
    return columns


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Returns a SHA-256 of names, dtypes, shapes and contents, reading memory maps in chunks."""
    sha = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        for start in range(0, len(array), 256):
            sha.update(np.ascontiguousarray(array[start : start + 256]).tobytes())
    return sha.hexdigest()[:16]


def _combine(digests: Mapping[str, str]) -> str:
    text = json.dumps(digests, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _make_temporary_folder(target: Path) -> Path:
    """Makes an empty folder beside `target`, and removes those of dead processes of this host."""
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

"""Packs: a built dataset prepared for one run, as memory-mapped arrays and a table.

A pack is a folder:

    pack.json         dataset, build options, size, modalities, digests
    table.npz         the table of metadata: one column per property of an example, all of length n
                      (see COLUMNS); row i describes example i
    <modality>.npy    the images of a modality, uint8 [n, size, size, channels]; or the same images
                      as <modality>.array_record (see storage.py)

Training reads only packs. This module needs only numpy, so that a machine without TensorFlow,
OpenCV or PyAV can train from a copied pack; `packing.py` makes packs from built datasets.
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
      table: Column, a key of COLUMNS -> array [n]; rows are sorted by (clip, view).
      arrays: Modality -> images, uint8 [n, size, size, channels], read-only, in the order of the
        rows of `table`; they are read from disk on access.
    """

    path: Path
    info: dict
    table: dict[str, np.ndarray]
    arrays: dict[str, np.memmap | storage.Images]

    def __len__(self) -> int:
        return self.info["examples"]

    def digest(self, names: Iterable[str]) -> str:
        """Returns a digest of the table and the named modalities, 16 hex digits.

        Other modalities of the pack do not affect the digest.

        Args:
          names: Names of modalities of the pack.
        """
        digests = self.info["digests"]
        return _combine({"table": digests["table"], **{n: digests[n] for n in names}})


def open_pack(path: str | os.PathLike, names: Iterable[str] | None = None) -> Pack:
    """Opens a pack.

    Args:
      path: Folder of the pack, or path of the pack.json in this folder.
      names: Names of the modalities to open, which the pack must contain; None for all.

    Raises:
      UserError: There is no pack at `path`, or the pack is incomplete, of another format, or lacks
        one of the modalities.
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
      path: Folder of the pack. If it is a pack with the same table and size, the arrays are added
        to this pack (see PackWriter).
      info: Content of pack.json that does not follow from the arrays: dataset, origin,
        builder_config, version, options, source, skipped. Ignored if the pack exists.
      table: All columns of COLUMNS, each an array [n]; row i describes image i of every modality.
      arrays: Modality -> images, uint8 [n, size, size, channels]; at least one modality.
      kind: Storage format, one of storage.KINDS; empty to choose by size.

    Returns:
      The pack, opened with all its modalities.

    Raises:
      UserError: `path` is a pack of other examples or another size, or a folder without pack.json.
      ValueError: A column of `table` is missing, unknown, or of another dtype or length.
    """
    columns = _check_columns(table)
    order = sort_order(columns)
    size = next(iter(arrays.values())).shape[1]
    sorted_table = {name: column[order] for name, column in columns.items()}
    with PackWriter(path, info, sorted_table, list(arrays), size, kind) as writer:
        for name, array in arrays.items():
            writer.arrays[name][:] = array[order]
    return open_pack(path)


# Additional column in the table of two joined packs: the subset of an example, "train" or "test".
ROLE = "role"


def join(train: tuple[Pack, np.ndarray], test: tuple[Pack, np.ndarray]) -> Pack:
    """Joins two packs, for a network that is trained on one dataset and tested on another.

    The joined pack has the modalities that are open in both packs. Images are read from the two
    packs on access.

    Args:
      train: A tuple (pack, indices): the pack to train on, and the indices of its examples to use,
        int [n_train].
      test: A tuple (pack, indices): the pack to test on, and the indices of its examples to use,
        int [n_test].

    Returns:
      A pack of n_train + n_test examples, first those to train on. Its table has the additional
      column ROLE, "train" or "test". Its `path` is that of the first pack.

    Raises:
      UserError: The packs have images of different sizes, or clips of the same name.
    """
    (first, first_indices), (second, second_indices) = train, test
    if first.info["size"] != second.info["size"]:
        raise errors.UserError(
            f"{first.path} has images of {first.info['size']} pixels, {second.path} of "
            f"{second.info['size']}: make both packs at one size (--config.data.size)"
        )
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
    """Returns the permutation that sorts examples by (clip, view), the order of packs.

    Args:
      table: Metadata with the columns `clip` and `view`, each an array [n].

    Returns:
      int64 [n]: the index in `table` of each example of the pack.
    """
    return np.lexsort((np.asarray(table["view"]), np.asarray(table["clip"])))


class PackWriter:
    """Writer of a new pack, or of modalities to add to an existing pack.

    A context manager: fill `arrays` (writable memory maps) inside the block. The files are written
    to a temporary folder beside the target and moved into place when the block ends. A new pack
    appears atomically. When modalities are added to an existing pack, pack.json is replaced last,
    so that a killed process leaves the pack without the new modalities. If the block raises, the
    target is left unchanged.

    A modality that the pack already has is replaced. This is not atomic: a process that is killed
    after it has replaced the images, but before it replaces pack.json, leaves new images with the
    digest of the old images.

    Array records can only be written sequentially. With that storage, each memory map is therefore
    converted to an .array_record file when the block ends, and deleted.

    Args:
      path: Folder of the pack. If it exists, it must be a pack with the same table and size.
      info: Content of pack.json that does not follow from the arrays: dataset, origin,
        builder_config, version, options, source, skipped. Ignored if the pack exists.
      table: All columns of COLUMNS, each an array [n], sorted by (clip, view).
      names: Names of the modalities to write.
      size: Side of the images in pixels.
      kind: Storage format of these modalities, one of storage.KINDS; empty to choose by size.

    Attributes:
      path: Folder of the pack.
      arrays: Modality -> memory map, uint8 [n, size, size, channels]; empty outside the block.

    Raises:
      UserError: `kind` is unknown. Entering the block: `path` is a pack of other examples or
        another size. Leaving the block: `path` is a folder without pack.json.
      ValueError: A column of `table` is missing, unknown, or of another dtype or length, or the
        rows are not sorted.
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
    """Reads the pack.json in the folder `path`.

    Raises:
      UserError: The folder or the file does not exist, or the file is damaged or of another format.
    """
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
    """Reads the table of the pack in the folder `path`: column -> array [count].

    Raises:
      UserError: The file is missing or damaged, or a column is not of length `count`.
    """
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
    """Returns the columns of a sorted table as arrays [n], in the order of COLUMNS.

    Raises:
      ValueError: See `_check_columns`; or the rows are not sorted by (clip, view).
    """
    columns = _check_columns(table)
    if not np.array_equal(sort_order(columns), np.arange(len(columns["clip"]))):
        raise ValueError("the table of a pack must be sorted by (clip, view)")
    return columns


def _check_columns(table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the columns of a table as arrays [n], in the order of COLUMNS.

    Raises:
      ValueError: A column is missing, unknown, of another dtype, or not of the length of the
        others.
    """
    if missing := [name for name in COLUMNS if name not in table]:
        raise ValueError(f"the table of a pack lacks the columns {', '.join(missing)}")
    if unknown := [name for name in table if name not in COLUMNS]:
        raise ValueError(f"a pack has no columns {', '.join(unknown)}; known: {', '.join(COLUMNS)}")
    columns = {name: np.asarray(table[name]) for name in COLUMNS}
    for name, column in columns.items():
        if column.dtype.kind != COLUMNS[name]:
            raise ValueError(
                f"the column {name} of a pack's table has the dtype {column.dtype}, expected kind "
                f"{COLUMNS[name]!r}"
            )
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"the columns of a pack's table differ in length: {lengths}")
    return columns


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Returns the first 16 hex digits of the SHA-256 of names, dtypes, shapes and contents.

    Memory maps are read in chunks, so that large arrays do not fill the memory.
    """
    sha = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        for start in range(0, len(array), 256):
            sha.update(np.ascontiguousarray(array[start : start + 256]).tobytes())
    return sha.hexdigest()[:16]


def _combine(digests: Mapping[str, str]) -> str:
    """Returns the first 16 hex digits of the SHA-256 of named digests, in any order."""
    text = json.dumps(digests, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _make_temporary_folder(target: Path) -> Path:
    """Makes an empty temporary folder beside `target`; removes those that killed processes left.

    Only folders of processes of this host are removed.
    """
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
    """Returns whether this host has a process with the given ID."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        pass
    return True

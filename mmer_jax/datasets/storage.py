"""How a pack keeps the images of one modality: in one .npy file, or in one .array_record file.

    npy            memory-mapped, uncompressed: the fastest while the machine's page cache holds it
    array_record   each image a record compressed by itself (zstd), read in any order by several
                   threads at once: for packs that outgrow memory

Whoever reads a pack sees no difference: `array[rows]` gives uint8 images, and digests are of
images, not of files. Like pack.py this needs only numpy, until a file of records is met.
"""

import abc
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmer_jax import errors

NPY, ARRAY_RECORD = KINDS = ("npy", "array_record")

# Bytes of uncompressed images from which a pack is written as records, unless told otherwise:
# more than what a machine for training commonly has free to cache files in.
RECORDS_FROM = 32 * 2**30

_GROUP = 2**26  # bytes of images in hand while records are written


def check(storage: str) -> None:
    """UserError for a storage that there is not; the empty text leaves the choice to `choose`."""
    if storage and storage not in KINDS:
        raise errors.unknown("storage of a pack (config.data.pack_storage)", storage, KINDS)


def choose(storage: str, nbytes: int) -> str:
    """Which of KINDS a pack of so many bytes of images is written in, if none is asked for."""
    check(storage)
    return storage or (ARRAY_RECORD if nbytes > RECORDS_FROM else NPY)


def file_name(modality: str, kind: str) -> str:
    return f"{modality}.{kind}"


class Images(abc.ABC):
    """uint8 [n, h, w, c] that is read when it is asked for, as from a memory map.

    `images[rows]` takes what numpy takes along the first axis: an int, a slice, ints or bools;
    and gives an array of its own. Threads may read at once.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: tuple[int, ...]):
        self.shape = tuple(shape)
        self._numbers = np.arange(shape[0])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows) -> np.ndarray:
        found = self._numbers[rows]
        return self._read(np.atleast_1d(found).ravel()).reshape(*found.shape, *self.shape[1:])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        del copy  # always one
        return self[:] if dtype is None else self[:].astype(dtype)

    @abc.abstractmethod
    def _read(self, rows: np.ndarray) -> np.ndarray:
        """uint8 [k, ...], the images of k rows; int [k], in 0..n-1."""


class Recorded(Images):
    """Images in an .array_record file."""

    def __init__(self, file: Path, shape: tuple[int, ...]):
        super().__init__(shape)
        self._file = file
        # Without reading ahead, which is for those who read in order.
        self._reader = _module().ArrayRecordReader(str(file), options="readahead_buffer_size:0")
        if not self._reader.ok():
            raise _damaged(file)
        if self._reader.num_records() != shape[0]:
            raise errors.UserError(
                f"{file} holds {self._reader.num_records()} images where pack.json promises "
                f"{shape[0]}"
            )

    def _read(self, rows):
        try:
            records = self._reader.read(rows.tolist()) if len(rows) else []
        except (RuntimeError, IndexError) as e:
            raise _damaged(self._file) from e
        if any(len(record) != math.prod(self.shape[1:]) for record in records):
            raise errors.UserError(
                f"{self._file} holds images of another size than pack.json promises, "
                f"uint8 {self.shape[1:]}"
            )
        return np.frombuffer(bytearray().join(records), np.uint8)


class Joined(Images):
    """Rows of one array of images, and after them rows of another."""

    def __init__(self, parts: Sequence[tuple[np.ndarray | Images, np.ndarray]]):
        (first, _), *_ = parts
        super().__init__((sum(len(rows) for _, rows in parts), *first.shape[1:]))
        self._arrays = [array for array, _ in parts]
        self._rows = np.concatenate([rows for _, rows in parts])
        self._of = np.repeat(np.arange(len(parts)), [len(rows) for _, rows in parts])

    def _read(self, rows):
        found = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for i, array in enumerate(self._arrays):
            mine = self._of[rows] == i
            found[mine] = array[self._rows[rows[mine]]]
        return found


def open_images(folder: Path, modality: str, kind: str, shape) -> np.memmap | Images:
    """The images of a modality, uint8 of a shape [n, h, w, c], read-only.

    Raises:
      UserError: the file is missing, incomplete, or not what was promised; or a kind that this
        program does not know.
    """
    if kind not in KINDS:
        raise errors.unknown(f"storage of {modality} in {folder}", kind, KINDS)
    file = folder / file_name(modality, kind)
    if kind == ARRAY_RECORD:
        if not file.is_file():
            raise _damaged(file)
        return Recorded(file, shape)
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as e:
        raise _damaged(file) from e
    if array.shape != shape or array.dtype != np.uint8:
        raise errors.UserError(
            f"{file} holds {array.dtype} {array.shape} where pack.json promises uint8 {shape}"
        )
    return array


def write_records(file: Path, images: np.ndarray) -> None:
    """Writes uint8 [n, h, w, c], which may be memory-mapped, as n records in order.

    Raises:
      UserError: it cannot be written.
    """
    step = max(1, _GROUP // math.prod(images.shape[1:]))
    try:
        # One image a group: an image is then read without unpacking its neighbors.
        writer = _module().ArrayRecordWriter(str(file), "group_size:1")
        for start in range(0, len(images), step):
            for image in np.asarray(images[start : start + step]):
                writer.write(image.tobytes())
        writer.close()
    except RuntimeError as e:  # a full disk, above all
        raise errors.UserError(f"{file} could not be written: {e}") from e


def _module():
    try:
        from array_record.python import array_record_module
    except ImportError as e:
        raise errors.UserError(
            "packs of records need the package array-record, which is not installed here"
        ) from e
    return array_record_module


def _damaged(file: Path) -> errors.UserError:
    return errors.UserError(f"{file} is missing or incomplete; copy or make the pack again")

"""Storage of one modality's images in a pack: one .npy file, or one .array_record file.

    npy            memory-mapped and uncompressed; fastest while the file fits in the page cache
    array_record   one record per image, compressed separately (zstd), read in any order by several
                   threads at once; for packs larger than memory

Both are read in the same way: `array[indices]` returns uint8 images. Digests are computed from the
images, not from the files, so they do not depend on the storage. Like pack.py, this module needs
only numpy until it opens an .array_record file.
"""

import abc
import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmer_jax import errors

NPY, ARRAY_RECORD = KINDS = ("npy", "array_record")

# Packs with more bytes of uncompressed images than this are written as array records by default, if
# array_record is installed: more than the page cache of a common training machine holds.
RECORDS_FROM = 32 * 2**30

_CHUNK = 2**26  # bytes of images that are in memory while array records are written


def validate(storage: str) -> None:
    """Validates a storage format.

    Args:
      storage: One of KINDS, or empty to choose by size (see `choose`).

    Raises:
      UserError: If `storage` is neither.
    """
    if storage and storage not in KINDS:
        raise errors.unknown("storage of a pack (config.data.pack_storage)", storage, KINDS)


def choose(storage: str, nbytes: int) -> str:
    """Chooses the storage format of a pack.

    Args:
      storage: One of KINDS, which is returned; or empty to choose by size.
      nbytes: Bytes of uncompressed images in the pack.

    Returns:
      One of KINDS.

    Raises:
      UserError: `storage` is neither one of KINDS nor empty.
    """
    validate(storage)
    if storage:
        return storage
    has_records = importlib.util.find_spec("array_record") is not None
    return ARRAY_RECORD if nbytes > RECORDS_FROM and has_records else NPY


def file_name(modality: str, kind: str) -> str:
    """Returns the name of a modality's file in a pack, for a storage format (one of KINDS)."""
    return f"{modality}.{kind}"


class Images(abc.ABC):
    """Array of images, uint8 [n, h, w, c], that is read from disk on access, like a memory map.

    `images[indices]` accepts what numpy accepts along the first axis: an int, a slice, an array of
    integers or of booleans. It returns a new array. Several threads may read at once.

    Args:
      shape: (n, h, w, c).

    Attributes:
      dtype: uint8.
      shape: (n, h, w, c).
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: tuple[int, ...]):
        self.shape = tuple(shape)
        self._indices = np.arange(shape[0])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices) -> np.ndarray:
        indices = self._indices[indices]
        images = self._read(np.atleast_1d(indices).ravel())
        return images.reshape(*indices.shape, *self.shape[1:])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        del copy  # reading always copies
        return self[:] if dtype is None else self[:].astype(dtype)

    @abc.abstractmethod
    def _read(self, indices: np.ndarray) -> np.ndarray:
        """Returns the images at `indices` (int [k] in 0..n-1): uint8, k * h * w * c values.

        The array may have any shape.
        """


# The images of a modality: in memory, memory-mapped or stored as records.
ImageArray = np.ndarray | Images


class ArrayRecordImages(Images):
    """Images in an .array_record file.

    Args:
      file: Path of the file.
      shape: Expected shape, (n, h, w, c).

    Raises:
      UserError: The file is incomplete or does not hold n images. Reading an image of another size
        than h * w * c bytes raises it too.
    """

    def __init__(self, file: Path, shape: tuple[int, ...]):
        super().__init__(shape)
        self._file = file
        # Reading ahead only helps sequential access.
        self._reader = _import_array_record().ArrayRecordReader(
            str(file), options="readahead_buffer_size:0"
        )
        if not self._reader.ok():
            raise _damaged_file(file)
        if self._reader.num_records() != shape[0]:
            raise errors.UserError(
                f"{file} has {self._reader.num_records()} images, expected {shape[0]} as in "
                "pack.json; copy or make the pack again"
            )

    def _read(self, indices):
        try:
            records = self._reader.read(indices.tolist()) if len(indices) else []
        except (RuntimeError, IndexError) as e:
            raise _damaged_file(self._file) from e
        if any(len(record) != math.prod(self.shape[1:]) for record in records):
            raise errors.UserError(
                f"{self._file} has images of another size, expected uint8 {self.shape[1:]} as in "
                "pack.json; copy or make the pack again"
            )
        return np.frombuffer(bytearray().join(records), np.uint8)


class ConcatenatedImages(Images):
    """Concatenation of selected images of several arrays.

    Args:
      arrays: Pairs (array, indices): an array, uint8 [n, h, w, c], and the indices of the images to
        take from this array, int [k]. All arrays have the same h, w and c.
    """

    def __init__(self, arrays: Sequence[tuple[np.ndarray | Images, np.ndarray]]):
        (first, _), *_ = arrays
        lengths = [len(indices) for _, indices in arrays]
        super().__init__((sum(lengths), *first.shape[1:]))
        self._arrays = [array for array, _ in arrays]
        self._source_indices = np.concatenate([indices for _, indices in arrays])
        self._source = np.repeat(np.arange(len(arrays)), lengths)  # position in self._arrays

    def _read(self, indices):
        images = np.empty((len(indices), *self.shape[1:]), np.uint8)
        for i, array in enumerate(self._arrays):
            is_from_array = self._source[indices] == i
            images[is_from_array] = array[self._source_indices[indices[is_from_array]]]
        return images


def open_images(
    folder: Path, modality: str, kind: str, shape: tuple[int, ...]
) -> np.memmap | Images:
    """Opens the images of a modality, read-only.

    Args:
      folder: Folder of the pack.
      modality: Name of the modality.
      kind: Storage format, one of KINDS.
      shape: Expected shape, (n, h, w, c).

    Returns:
      uint8 [n, h, w, c]: a memory map, or ArrayRecordImages.

    Raises:
      UserError: The file is missing, incomplete, or of another shape or dtype; or `kind` is
        unknown.
    """
    if kind not in KINDS:
        raise errors.unknown(f"storage of {modality} in {folder}", kind, KINDS)
    file = folder / file_name(modality, kind)
    if kind == ARRAY_RECORD:
        if not file.is_file():
            raise _damaged_file(file)
        return ArrayRecordImages(file, shape)
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as e:
        raise _damaged_file(file) from e
    if array.shape != shape or array.dtype != np.uint8:
        raise errors.UserError(
            f"{file} has {array.dtype} {array.shape}, expected uint8 {shape} as in pack.json; copy "
            "or make the pack again"
        )
    return array


def write_records(file: Path, images: np.ndarray) -> None:
    """Writes images to an .array_record file, one record per image.

    Args:
      file: Path of the .array_record file.
      images: uint8 [n, h, w, c]; may be memory-mapped.

    Raises:
      UserError: The file cannot be written, or the package array-record is not installed.
    """
    step = max(1, _CHUNK // math.prod(images.shape[1:]))
    try:
        # With one image per group, an image is read without decompressing its neighbors.
        writer = _import_array_record().ArrayRecordWriter(str(file), "group_size:1")
        for start in range(0, len(images), step):
            for image in np.asarray(images[start : start + step]):
                writer.write(image.tobytes())
        writer.close()
    except RuntimeError as e:  # most often a full disk
        raise errors.UserError(f"{file} could not be written: {e}") from e


def _import_array_record():
    try:
        from array_record.python import array_record_module
    except ImportError as e:
        raise errors.UserError(
            "packs with storage array_record need the package array-record, which is not installed"
        ) from e
    return array_record_module


def _damaged_file(file: Path) -> errors.UserError:
    return errors.UserError(f"{file} is missing or incomplete; copy or make the pack again")

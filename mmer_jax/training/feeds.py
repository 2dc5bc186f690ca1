"""From examples to the images of each batch, on the devices: all at once, or while training goes.

Both feeds give the batches that `batches.batches` orders, with the same images in the same rows,
so that a run learns the same under either and may change from one to the other where it continues.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from mmer_jax.datasets.selection import Examples
from mmer_jax.training import distributed, normalization, sharding, step
from mmer_jax.training.batches import Window

# Of a device's memory: images that take more are streamed. The rest is for parameters, the
# optimizer's state, and what a step computes. Cells that train at once have images of their own.
MEMORY_SHARE = 0.5
MOST_AT_ONCE = 8  # where their number is measured, see lanes.py


class Feed(Protocol):
    """Where batches come from."""

    def windows(
        self, part: str, index: np.ndarray, weight: np.ndarray, first: int = 0
    ) -> Iterator[Window]:
        """Yields windows which together have the batches `first` and up, in order; the first window
        may begin before.

        Args:
          part: whose examples.
          index, weight: the batches, as `batches.batches` gives them.
          first: a row of these.
        """


def make_feed(
    config,
    arrays: Mapping[str, np.ndarray],
    parts: Mapping[str, Examples],
    standard: Mapping[str, normalization.Standard],
    mesh: Mesh,
) -> Feed:
    """The feed that a config asks for, or that the size of the images calls for.

    Args:
      config: of one row; `run.stream` is read.
      arrays: for each modality uint8 [m, s, s, c]; may be memory-mapped, or a pack's records.
      parts: name -> examples.
      standard: for each modality what its images are normalized by, or empty.
      mesh: of the devices that train.
    """
    used = {
        name: np.unique(np.concatenate([part.indices[name] for part in parts.values()]))
        for name in next(iter(parts.values())).indices
    }
    nbytes = sum(len(rows) * int(np.prod(arrays[name].shape[1:])) for name, rows in used.items())
    if is_streamed(config, nbytes, mesh):
        from mmer_jax.training import streaming  # grain takes a moment to import

        return streaming.Streamed(arrays, parts, standard, mesh)
    return InMemory(arrays, used, parts, standard, mesh)


def is_streamed(config, nbytes: int, mesh: Mesh) -> bool:
    """Whether so many bytes of images are streamed: as `config.run.stream` says, or if None where
    a device would give more than MEMORY_SHARE of its memory to those of all cells that may train on
    it at once. All processes agree."""
    asked = config.run.get("stream")  # records of earlier versions have neither field
    if asked is not None:
        return asked
    if distributed.spans(mesh):
        on_a_device = nbytes / mesh.size
    else:
        on_a_device = nbytes * (config.run.get("cells_at_once", 1) or MOST_AT_ONCE)
    too_large = on_a_device > MEMORY_SHARE * memory(mesh.local_devices[0])
    return bool(distributed.agreed(mesh, too_large)[0])


def memory(device: jax.Device) -> int:
    """Bytes that JAX may use of a device; of a CPU its share of the machine's memory."""
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if limit:
        return limit
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return machine // len(device.client.local_devices())


class InMemory:
    """Every image that some example uses is on the devices from the start, once for all parts.

    Each device of a single process has all images. Of several processes each reads its share of
    them only, and each device has its share: a batch is then gathered from all.

    Args:
      arrays, parts, standard, mesh: as `make_feed` has them.
      used: for each modality the rows in use, rising.
    """

    def __init__(self, arrays, used, parts, standard, mesh):
        whole = sharding.replicated(mesh)
        place = _place_share if distributed.spans(mesh) else _place_whole
        images = {name: place(arrays[name], rows, mesh) for name, rows in used.items()}
        standard = {
            name: jax.device_put(found.replace(group=found.group[used[name]]), whole)
            for name, found in standard.items()
        }
        self._data = {}
        for name, part in parts.items():
            rows = {
                m: np.searchsorted(used[m], r).astype(np.int32) for m, r in part.indices.items()
            }
            rows, label = jax.device_put((rows, part.label), whole)
            self._data[name] = step.DeviceData(images, rows, label, standard)

    def windows(self, part, index, weight, first=0) -> Iterator[Window]:
        del first
        yield Window(self._data[part], index, weight, 0, len(index))


def _place_whole(array, rows, mesh) -> jax.Array:
    return jax.device_put(array[rows], sharding.replicated(mesh))


def _place_share(array, rows, mesh) -> jax.Array:
    """Rows of an array, split over the devices; the last row repeats until they divide."""
    extra = sharding.padded_size(len(rows), mesh) - len(rows)
    padded = np.concatenate([rows, np.repeat(rows[-1:], extra)])
    return jax.make_array_from_callback(
        (len(padded), *array.shape[1:]),
        sharding.by_batch(mesh),
        lambda index: np.asarray(array[padded[index[0]]]),
    )

"""The input pipeline: from examples to batches on the devices.

A batch is a dict:

    inputs: modality -> uint8 [b, s, s, c]
    label: int32 [b]
    mask: float32 [b], 1 for an example and 0 for padding, which comes last
    group: modality -> int32 [b], the group whose statistics normalize the image; only for
      modalities that are normalized by statistics

The first axis is split over the devices of the mesh. Threads read the next batches from memory or
disk while the devices compute, so that data larger than memory are trained on in the same way: the
arrays may be memory-mapped, or stored as records (see datasets/storage.py). With several processes
each reads only the rows of its own devices.

The order of examples is drawn on the host from seed and epoch alone, and the position in it is the
number of steps made. A continued run, or one on another number of devices, sees the same batches.
"""

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh

from mmer_jax.datasets.storage import ImageArray
from mmer_jax.training import rng, sharding

Batch = dict[str, Any]
Item = TypeVar("Item")
Result = TypeVar("Result")

# Threads that read batches, and how many batches may wait on the devices.
READERS, AHEAD = 2, 4


def shuffled(n: int, seed: int, epoch: int) -> np.ndarray:
    """Returns the order of n examples in an epoch: int64 [n]."""
    return np.random.default_rng(rng.numpy_seed(seed, "shuffle", epoch)).permutation(n)


def num_batches(n: int, batch_size: int) -> int:
    """Returns the number of batches that hold n examples; the last one may be smaller."""
    return -(-n // batch_size)


class InputPipeline:
    """Reads batches of examples and places them on the devices of a mesh.

    Attributes:
      arrays: Modality -> uint8 [m, s, s, c]; may be memory-mapped or a pack's records.
      groups: Modality -> int32 [m], the normalization group of each image; modalities that are only
        scaled to 0..1 are absent.
      mesh: The devices.
    """

    def __init__(
        self, arrays: Mapping[str, ImageArray], groups: Mapping[str, np.ndarray], mesh: Mesh
    ):
        self.arrays, self.groups, self.mesh = arrays, groups, mesh

    def batches(
        self,
        indices: Mapping[str, np.ndarray],
        label: np.ndarray,
        order: np.ndarray,
        batch_size: int,
        first: int = 0,
    ) -> Iterator[Batch]:
        """Yields the batches of an epoch; every example is in exactly one.

        Args:
          indices: Modality -> int32 [n], the index of each example's image in `arrays`.
          label: int32 [n], the class of each example.
          order: int [n], the order of the examples.
          batch_size: Examples per batch. Each batch is padded with example 0, with mask 0, to the
            next multiple of the number of devices.
          first: Number of the first batch to yield.
        """
        steps = num_batches(len(order), batch_size)
        width = sharding.padded_size(batch_size, self.mesh)

        def load(step: int) -> Batch:
            examples = order[step * batch_size : (step + 1) * batch_size]
            padded = np.zeros(width, np.int64)
            padded[: len(examples)] = examples
            mask = (np.arange(width) < len(examples)).astype(np.float32)
            batch: Batch = {
                "inputs": {
                    name: self._place(self.arrays[name], index[padded])
                    for name, index in indices.items()
                },
                "label": self._place(label, padded),
                "mask": self._place(mask, np.arange(width)),
            }
            if self.groups:
                batch["group"] = {
                    name: self._place(group, indices[name][padded])
                    for name, group in self.groups.items()
                }
            return batch

        yield from prefetch(load, range(first, steps))

    def _place(self, array: ImageArray, index: np.ndarray) -> jax.Array:
        """Puts rows of an array on the devices; each process reads the rows of its own."""

        def read(where: Any) -> np.ndarray:
            return np.asarray(array[index[where[0]]])

        shape = (len(index), *array.shape[1:])
        return jax.make_array_from_callback(shape, sharding.by_batch(self.mesh), read)


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int = AHEAD
) -> Iterator[Result]:
    """Yields function(item) for each item in order; threads compute up to `ahead` of them early."""
    with concurrent.futures.ThreadPoolExecutor(READERS, "reader") as threads:
        pending: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
        try:
            for item in items:
                pending.append(threads.submit(function, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

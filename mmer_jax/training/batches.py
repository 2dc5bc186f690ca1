"""In which order examples come. Drawn on the host from seed and epoch alone, so that a run that is
continued, or spread over another number of devices, sees the same batches."""

from typing import Any, NamedTuple

import numpy as np


class Window(NamedTuple):
    """Consecutive batches whose images are on the devices.

    Attributes:
      data: what batches are taken from, by `data.take(row of index)`; see step.DeviceData.
      index: int32 [steps, width], on the host.
      weight: float32 [steps, width], on the host, of each example. Steps beyond `last` are padding.
      first, last: the window has the batches first..last-1, the first of them in row 0.
    """

    data: Any
    index: np.ndarray
    weight: np.ndarray
    first: int
    last: int


def batches(n: int, batch: int, width: int, *, seed=None) -> tuple[np.ndarray, np.ndarray]:
    """Divides n examples into batches; every example is in exactly one.

    Args:
      n: number of examples.
      batch: examples a batch; the last one holds what is left.
      width: rows of a batch in memory, at least `batch`. Rows beyond the examples are padding:
        they repeat example 0 with weight zero.
      seed: ints for numpy's generator, for a shuffled order; None keeps the order.

    Returns:
      (index int32 [steps, width], weight float32 [steps, width]).
    """
    order = np.arange(n) if seed is None else np.random.default_rng(seed).permutation(n)
    steps = -(-n // batch)
    index = np.zeros((steps, width), np.int32)
    weight = np.zeros((steps, width), np.float32)
    for i in range(steps):
        part = order[i * batch : (i + 1) * batch]
        index[i, : len(part)] = part
        weight[i, : len(part)] = 1.0
    return index, weight

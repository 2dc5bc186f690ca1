"""Images that are read while the devices train on those before, for data that outgrow memory.

An epoch is read in windows: so many consecutive batches that they make about WINDOW_BYTES on each
device. A few windows are read at once, by threads that grain runs, and go to the devices before
they are needed. Every window has the same shape, so that one compiled program serves all.

The order is that of `batches.batches`, which follows from seed and epoch alone. The position in the
stream therefore is the number of steps made, `state.step`, which every checkpoint has: a run that
continues starts its stream at the window of that step, on any number of devices or processes.

Of several devices each is given its own rows of each batch, and nothing else; of several processes
each reads the rows of its own devices. No image passes between devices.
"""

import functools
import math
from collections.abc import Iterator, Mapping

import flax.struct
import grain
import jax
import numpy as np
from jax.sharding import Mesh

from mmer_jax.datasets.selection import Examples
from mmer_jax.training import normalization, sharding
from mmer_jax.training.batches import Window

# Large enough that the start of a window costs nothing beside its steps.
WINDOW_BYTES = 2**26

# Threads, and windows that are read ahead. With the window in use, and the one before it until the
# next is there, this many and two take part in a device's memory: 384 MiB.
READERS = 4


@flax.struct.dataclass
class StreamedData:
    """The images of consecutive batches. The first axis is split over the devices.

    Attributes:
      arrays: for each modality uint8 [width, steps, s, s, c].
      label: int32 [width, steps].
      standard: for each modality what its images are normalized by, with the group of each, int32
        [width, steps]; empty: as they are.
    """

    arrays: Mapping[str, jax.Array]
    label: jax.Array
    standard: Mapping[str, normalization.Standard]

    def take(self, index: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Images and labels of a batch; int32 [width], the step that each row is of.

        Each row is looked up by itself, with vmap, so that each device looks among its own.
        """
        of_step = jax.vmap(lambda row, i: row[i])
        images = {name: of_step(array, index) for name, array in self.arrays.items()}
        for name, standard in self.standard.items():
            standard = standard.replace(group=of_step(standard.group, index))
            images[name] = normalization.normalize(images[name], standard, slice(None))
        return images, of_step(self.label, index)


class Streamed:
    """A feeds.Feed that reads each window when it is due.

    Args:
      arrays, parts, standard, mesh: as feeds.make_feed has them.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        parts: Mapping[str, Examples],
        standard: Mapping[str, normalization.Standard],
        mesh: Mesh,
    ):
        self._arrays, self._parts, self._mesh = arrays, parts, mesh
        self._group = {name: np.asarray(found.group) for name, found in standard.items()}
        self._standard = jax.device_put(
            {name: found.replace(group=()) for name, found in standard.items()},
            sharding.replicated(mesh),
        )

    def windows(self, part, index, weight, first=0) -> Iterator[Window]:
        steps = self._steps(part, index)
        numbers = grain.MapDataset.range(first // steps, math.ceil(len(index) / steps))
        read = functools.partial(self._read, self._parts[part], index, weight, steps)
        stream = iter(numbers.map(read).to_iter_dataset(grain.ReadOptions(READERS, READERS)))
        try:
            yield from stream
        finally:
            stream.close()

    def _steps(self, part, index) -> int:
        """Batches of a window; the same in all processes."""
        shapes = [self._arrays[name].shape[1:] for name in self._parts[part].indices]
        a_step = sum(math.prod(shape) for shape in shapes) * index.shape[1] / self._mesh.size
        return min(max(1, int(WINDOW_BYTES / a_step)), len(index))

    def _read(self, examples: Examples, index, weight, steps: int, number: int) -> Window:
        """A window, put on the devices. Runs in several threads at once."""
        first, last = number * steps, min((number + 1) * steps, len(index))
        width = index.shape[1]
        batch = index[first:last].T  # [width, steps], short of steps where the epoch ends

        def place(of, shape=()):
            """What a function gives for examples, on the devices; each process asks for its own."""
            return jax.make_array_from_callback(
                (width, steps, *shape),
                sharding.by_batch(self._mesh),
                lambda where: _filled_up(of(batch[where[0]]), steps),
            )

        arrays, standard = {}, {}
        for name, rows in examples.indices.items():
            array = self._arrays[name]
            arrays[name] = place(lambda e, a=array, r=rows: a[r[e]], array.shape[1:])
            if name in self._standard:
                group = place(lambda e, g=self._group[name], r=rows: g[r[e]])
                standard[name] = self._standard[name].replace(group=group)
        data = StreamedData(arrays, place(lambda e: examples.label[e]), standard)
        in_window = np.repeat(np.arange(steps, dtype=np.int32)[:, None], width, axis=1)
        weight = _filled_up(weight[first:last].T, steps).T
        return Window(data, in_window, weight, first, last)


def _filled_up(values: np.ndarray, steps: int) -> np.ndarray:
    """[width, up to steps, ...] -> [width, steps, ...], with zeros."""
    missing = steps - values.shape[1]
    if not missing:
        return np.asarray(values)
    return np.concatenate([values, np.zeros_like(values[:, :1]).repeat(missing, axis=1)], axis=1)

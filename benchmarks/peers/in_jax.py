"""This project's own step, as a run calls it."""

import jax
import numpy as np

from benchmarks.peers import work
from mmer_jax.models import registry
from mmer_jax.training import batches, optimizers, sharding, step


class Training:
    """Steps of mmer_jax.training.step."""

    def __init__(self, given: work.Work):
        config, mesh = given.config, sharding.make_mesh()
        whole = sharding.replicated(mesh)
        optimizer = optimizers.make_optimizer(config, 1)
        images, labels = given.images(), given.labels()
        rows = {name: np.arange(len(labels), dtype=np.int32) for name in images}
        self._data = jax.device_put(step.DeviceData(images, rows, labels), whole)
        shapes = registry.batch_shapes(config)
        self._state = jax.jit(
            lambda: step.init_state(given.model, optimizer, shapes, 0), out_shardings=whole
        )()
        objective = step.Objective.of(config)
        self._chunk = step.make_chunk(given.model, optimizer, 0, mesh, objective=objective)
        width = sharding.padded_size(given.batch, mesh)
        order = batches.batches(len(labels), given.batch, width)
        self._order = jax.device_put(order, sharding.by_batch(mesh, axis=1))
        self._made = 0

    def losses(self, count: int) -> list[float]:
        """The loss of each of `count` further steps."""
        sums = [float(self._state.loss_sum)]
        for _ in range(count):
            self.run(1)
            sums.append(float(self._state.loss_sum))
        return list(np.diff(sums) / (float(self._state.seen) / self._made))

    def run(self, count: int) -> None:
        """Makes `count` further steps and waits for them."""
        while count:
            first = self._made % work.BATCHES
            last = min(first + count, work.BATCHES)
            self._state = self._chunk(self._state, self._data, *self._order, first, last)
            self._made, count = self._made + last - first, count - (last - first)
        jax.block_until_ready(self._state)

"""This project's own step, as a run calls it."""

import itertools

import jax
import numpy as np

from benchmarks.peers import work
from mmer_jax.models import registry
from mmer_jax.training import input_pipeline, optimizers, sharding, step


class Training:
    """Steps of mmer_jax.training.step."""

    def __init__(self, given: work.Work):
        config, mesh = given.config, sharding.make_mesh()
        replicated = sharding.replicated(mesh)
        optimizer = optimizers.make_optimizer(config, 1)
        objective = step.Objective.from_config(config)
        images, labels = given.images(), given.labels()
        indices = {name: np.arange(len(labels), dtype=np.int32) for name in images}
        pipeline = input_pipeline.InputPipeline(images, {}, mesh)
        order = np.arange(len(labels))
        self._batches = itertools.cycle(pipeline.batches(indices, labels, order, given.batch))
        init = step.compile_init(
            given.model,
            optimizer,
            tuple(registry.input_shapes(config).items()),
            mesh,
            ema=False,
            keep_best=False,
        )
        self._state = init(np.uint32(0))
        self._step = step.compile_train_step(given.model, optimizer, objective, mesh)
        self._seed = jax.device_put(np.uint32(0), replicated)
        self._batch_size = given.batch

    def losses(self, count: int) -> list[float]:
        """Makes `count` steps; returns the mean loss of each."""
        return [float(self._make_step()) / self._batch_size for _ in range(count)]

    def run(self, count: int) -> None:
        """Makes `count` steps and waits for them."""
        for _ in range(count):
            self._make_step()
        jax.block_until_ready(self._state)

    def _make_step(self) -> jax.Array:
        self._state, loss = self._step(self._state, next(self._batches), {}, self._seed)
        return loss

"""This project's own training step, with its batches on the devices."""

import itertools

import jax
import numpy as np

from benchmarks import trainer
from benchmarks.peers.workload import Workload
from mmer_jax.training import input_pipeline, sharding


class Training:
    """Steps of mmer_jax.training.step."""

    def __init__(self, workload: Workload):
        mesh = sharding.make_mesh()
        images, labels = workload.images(), workload.labels()
        order = np.arange(len(labels))
        pipeline = input_pipeline.InputPipeline(images, {}, mesh)
        batches = pipeline.batches(dict.fromkeys(images, order), labels, order, workload.batch)
        self._batches = itertools.cycle(list(batches))
        self._trainer = trainer.Trainer(workload.config, mesh)
        self._batch_size = workload.batch

    def losses(self, count: int) -> list[float]:
        """Makes `count` steps; returns the mean loss of each."""
        return [float(self._step()) / self._batch_size for _ in range(count)]

    def run(self, count: int) -> None:
        """Makes `count` steps and waits for them."""
        for _ in range(count):
            self._step()
        jax.block_until_ready(self._trainer.state)

    def _step(self) -> jax.Array:
        return self._trainer.step(next(self._batches))

"""What the benchmarks share: images of noise, and the training of a config's network."""

from collections.abc import Iterable, Iterator

import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh

from mmer_jax import models
from mmer_jax.datasets.selection import Examples
from mmer_jax.models import registry
from mmer_jax.training import input_pipeline, optimizers, sharding, step


def noise_images(config: ml_collections.ConfigDict, n: int) -> dict[str, np.ndarray]:
    """Returns images of noise: modality -> uint8 [n, size, size, channels]."""
    rng = np.random.default_rng(0)
    shapes = registry.input_shapes(config, n)
    return {name: rng.integers(0, 256, x.shape, np.uint8) for name, x in shapes.items()}


def make_examples(config: ml_collections.ConfigDict, indices: np.ndarray) -> Examples:
    """Returns examples, int [n], each with the image of its index in every modality."""
    indices = indices.astype(np.int32)
    return Examples(
        indices=dict.fromkeys(config.modalities, indices),
        label=indices % len(config.data.emotions),
        clip=indices.astype(str),
        view=np.zeros_like(indices),
    )


def epoch_batches(
    pipeline: input_pipeline.InputPipeline, examples: Examples, batch_size: int, epoch: int = 0
) -> Iterator[input_pipeline.Batch]:
    """Returns the batches of an epoch, in an order that follows from the epoch."""
    order = input_pipeline.shuffled(len(examples), 0, epoch)
    return pipeline.batches(examples.indices, examples.label, order, batch_size)


class Trainer:
    """The training of a config's network, without data.

    The parameters are initialized here, from seed 0. The first step compiles the training step.

    Args:
      config: Config of one row, without normalization by statistics.
      mesh: The devices.

    Attributes:
      state: The state after the last step.
    """

    def __init__(self, config: ml_collections.ConfigDict, mesh: Mesh):
        model = models.build(config)
        optimizer = optimizers.make_optimizer(config, 1)
        objective = step.Objective.from_config(config)
        shapes = tuple(registry.input_shapes(config).items())
        init = step.compile_init(
            model, optimizer, shapes, mesh, ema=objective.ema_decay > 0, keep_best=False
        )
        self.state = init(np.uint32(0))
        self._train_step = step.compile_train_step(model, optimizer, objective, mesh)
        self._seed = jax.device_put(np.uint32(0), sharding.replicated(mesh))

    def step(self, batch: input_pipeline.Batch) -> jax.Array:
        """Dispatches one step; returns the sum of the losses of the batch, float32."""
        self.state, loss = self._train_step(self.state, batch, {}, self._seed)
        return loss

    def train(self, batches: Iterable[input_pipeline.Batch]) -> None:
        """Makes a step with each batch and waits for the last; at most two steps are queued."""
        loss = None
        for batch in batches:
            previous, loss = loss, self.step(batch)
            jax.block_until_ready(previous)
        jax.block_until_ready(self.state)

"""Named random streams. Each is derived from a run's seed, so that none depends on another."""

import jax

# The numbers are part of every result.
STREAMS = {"init": 0, "dropout": 1, "shuffle": 2, "augment": 3}


def key(seed: int | jax.Array, stream: str, step: int | jax.Array | None = None) -> jax.Array:
    """Returns the JAX key of a stream, or of one of its steps.

    Args:
      seed: Seed of the run.
      stream: One of STREAMS.
      step: Number of the training step; None for a stream that is used once.
    """
    base = jax.random.fold_in(jax.random.key(seed), STREAMS[stream])
    return base if step is None else jax.random.fold_in(base, step)


def numpy_seed(seed: int, stream: str, *numbers: int) -> tuple[int, ...]:
    """Returns a seed for `np.random.default_rng`, for what a stream draws on the host.

    Args:
      seed: Seed of the run.
      stream: One of STREAMS.
      numbers: What distinguishes the generators of the stream, such as the epoch.
    """
    return (seed, STREAMS[stream], *numbers)

"""Several processes that make one run: on a TPU pod one a host, on GPU nodes one a GPU or a node.

Where there are at least as many cells to train as processes, each process trains cells of its own
on its own devices, and the processes do not wait for each other: a batch of 30 gains little from
being split. Where there are fewer, all train each cell together, the batch split over all their
devices. In terms of a mesh with the axes `cell` and `data`: one row of it trains one cell.
"""

from collections.abc import Sequence

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from mmer_jax import errors


def start(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Joins this process to the others; before anything else is asked of JAX.

    Args:
      coordinator: HOST:PORT of process 0. All three None: TPU pods, Slurm, Open MPI and Kubernetes
        tell by themselves.
      processes: how many there are.
      process: which one this is, 0 and up.

    Raises:
      UserError: the environment does not tell, or the others could not be reached.
    """
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except (ValueError, RuntimeError) as e:
        raise errors.UserError(
            f"this process could not join the others: {' '.join(str(e).split())} Outside a TPU pod "
            "and Slurm all three are needed: --coordinator=HOST:PORT --processes=N --process=I"
        ) from e


def is_first() -> bool:
    """Whether this is process 0, which builds data, draws the report, and tells of progress."""
    return jax.process_index() == 0


def wait(what: str) -> None:
    """Until all processes are here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def row_of_mesh(cells: int) -> Sequence[jax.Device]:
    """The devices that train a cell which this process takes part in, for so many cells."""
    return jax.local_devices() if cells >= jax.process_count() else jax.devices()


def share(cells: Sequence) -> list:
    """Those of the cells that this process takes part in: its own, or all if they are few."""
    processes = jax.process_count()
    if len(cells) < processes:
        return list(cells)
    return list(cells)[jax.process_index() :: processes]


def spans(devices: Mesh | Sequence[jax.Device]) -> bool:
    """Whether other processes take part with these devices."""
    flat = devices.devices.flat if isinstance(devices, Mesh) else devices
    return any(d.process_index != jax.process_index() for d in flat)


def leads(devices: Mesh | Sequence[jax.Device]) -> bool:
    """Whether this process is the one that writes for those who train with these devices."""
    return is_first() or not spans(devices)


def agreed(mesh: Mesh, *values: int) -> tuple[int, ...]:
    """The largest that any process has of each: all who compute on a mesh make the same steps."""
    if not spans(mesh):
        return values
    return tuple(int(x) for x in multihost_utils.process_allgather(np.asarray(values)).max(0))

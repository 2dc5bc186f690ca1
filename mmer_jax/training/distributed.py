"""Several processes that make one run, and the distribution of cells over devices.

On a TPU pod there is one process per host, on GPU nodes one per GPU or per node. All devices form a
mesh with the axes `cell` and `data`. A row of it is the place of one cell: the cell's batch is
split over the row's devices. Cells are distributed first, since a batch of 30 gains little from
being split: while there are enough cells, each device trains cells of its own.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from mmer_jax import errors
from mmer_jax.training import sharding

Item = TypeVar("Item")


def initialize(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Connects this process to the others; must be called before JAX is used.

    Args:
      coordinator: HOST:PORT of process 0. TPU pods, Slurm, Open MPI and Kubernetes provide all
        three arguments.
      num_processes: Number of processes.
      process_id: Number of this process, from 0.

    Raises:
      UserError: The environment does not provide the arguments, or the others are not reachable.
    """
    try:
        jax.distributed.initialize(coordinator, num_processes, process_id)
    except (ValueError, RuntimeError) as e:
        raise errors.UserError(
            f"this process could not join the others: {' '.join(str(e).split())} Outside a TPU pod "
            "and Slurm all three are needed: --coordinator=HOST:PORT --processes=N --process=I"
        ) from e


def is_primary(devices: Mesh | Sequence[jax.Device] | None = None) -> bool:
    """Returns whether this process writes files and reports for those that use some devices.

    Args:
      devices: The devices of a cell; None for all devices of the run.
    """
    primary = 0 if devices is None else processes(devices)[0]
    return jax.process_index() == primary


def barrier(name: str) -> None:
    """Waits for all processes, without a time limit: one of them may build a dataset.

    They meet at JAX's coordinator, since a collective on the devices is ended by the runtime when
    it does not begin within one to ten minutes.
    """
    wait = ocp.multihost.get_barrier_sync_fn()
    wait(key=f"mmer_jax {name} {next(_barriers)}", timeout_ms=_MONTH_MS)


_barriers = itertools.count()  # the coordinator needs a new name each time
_MONTH_MS = 30 * 24 * 3600 * 1000


def cell_mesh(cells: int) -> np.ndarray:
    """Returns the devices of all processes as an array [cell, data] for a number of cells.

    The array has the fewest rows with which all cells train at the same time, so that each cell
    gets as many devices as possible, and at most one row per device. A row consists of some devices
    of one process, or of all devices of some processes.
    """
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    count = jax.process_count()
    per_process = len(devices) // count
    rows = {n for n in range(1, count + 1) if count % n == 0}
    rows |= {count * n for n in range(1, per_process + 1) if per_process % n == 0}
    chosen = min((n for n in rows if n >= cells), default=max(rows))
    return np.array(devices).reshape(chosen, -1)


def assign(cells: Sequence[Item]) -> tuple[list[list[jax.Device]], list[Item]]:
    """Returns the places that this process takes part in, and the cells to train on them."""
    mesh, own = cell_mesh(len(cells)), jax.process_index()
    rows = [i for i, row in enumerate(mesh) if any(d.process_index == own for d in row)]
    return [list(mesh[i]) for i in rows], [c for i, c in enumerate(cells) if i % len(mesh) in rows]


def spans_processes(devices: Mesh | Sequence[jax.Device]) -> bool:
    """Returns whether some devices belong to several processes."""
    return len(processes(devices)) > 1


def processes(devices: Mesh | Sequence[jax.Device]) -> list[int]:
    """Returns the processes to which some devices belong, ascending."""
    flat = devices.devices.flat if isinstance(devices, Mesh) else devices
    return sorted({d.process_index for d in flat})


def sync_max(mesh: Mesh, *values: int) -> tuple[int, ...]:
    """Returns the maximum of each value over the processes of a mesh.

    All of them must call this in the same order. With one process the values are returned.
    """
    if not spans_processes(mesh):
        return values
    own = np.asarray(values, np.int32)[None]
    stacked = jax.make_array_from_callback(
        (mesh.size, len(values)), sharding.by_batch(mesh), lambda index: own
    )
    return tuple(int(x) for x in _maximum(mesh)(stacked))


@functools.lru_cache(8)
def _maximum(mesh: Mesh):
    return jax.jit(lambda x: x.max(0), out_shardings=sharding.replicated(mesh))

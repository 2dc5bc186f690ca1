"""The mesh of cells and data, and several processes that make one run: on a TPU pod one a host, on
GPU nodes one a GPU or a node.

All devices form a mesh with the axes `cell` and `data`. A row of it is the place of one cell: its
batch is split over the row's devices. Cells are spread first, since a batch of 30 gains little from
being split: while there are cells enough, each device, and at any rate each process, trains cells
of its own, and they do not wait for each other.
"""

import functools
import itertools
from collections.abc import Sequence

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from mmer_jax import errors
from mmer_jax.training import sharding as placing


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
    """Until all processes are here, however long that takes: one of them may build a data set.

    They meet at JAX's coordinator, and not in a computation on their devices: of such a one the
    libraries below expect that it begins within a minute, or ten.
    """
    meet = ocp.multihost.get_barrier_sync_fn()
    meet(key=f"mmer_jax {what} {next(_meetings)}", timeout_ms=_A_MONTH)


_meetings = itertools.count()  # the coordinator wants another name each time
_A_MONTH = 30 * 24 * 3600 * 1000


def mesh_of_cells(cells: int) -> np.ndarray:
    """The devices of all processes, [cell, data], for so many cells.

    It has the fewest rows with which all cells are trained at the same time, so that each cell has
    as many devices as can be; at most a row for each device. A row is some devices of one process,
    or all devices of some processes.
    """
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    processes = jax.process_count()
    of_one = len(devices) // processes
    rows = {n for n in range(1, processes + 1) if processes % n == 0}
    rows |= {processes * n for n in range(1, of_one + 1) if of_one % n == 0}
    wanted = min((n for n in rows if n >= cells), default=max(rows))
    return np.array(devices).reshape(wanted, -1)


def share(cells: Sequence) -> tuple[list[list[jax.Device]], list]:
    """The places that this process takes part in, and the cells that are trained on them."""
    mesh, mine = mesh_of_cells(len(cells)), jax.process_index()
    rows = [i for i, row in enumerate(mesh) if any(d.process_index == mine for d in row)]
    return [list(mesh[i]) for i in rows], [c for i, c in enumerate(cells) if i % len(mesh) in rows]


def spans(devices: Mesh | Sequence[jax.Device]) -> bool:
    """Whether other processes take part with these devices."""
    return len(processes(devices)) > 1


def leads(devices: Mesh | Sequence[jax.Device]) -> bool:
    """Whether this process is the one that writes for those who train with these devices."""
    return processes(devices)[0] == jax.process_index()


def processes(devices: Mesh | Sequence[jax.Device]) -> list[int]:
    """The processes to which these devices belong."""
    flat = devices.devices.flat if isinstance(devices, Mesh) else devices
    return sorted({d.process_index for d in flat})


def agreed(mesh: Mesh, *values: int) -> tuple[int, ...]:
    """The largest that any process has of each: all who compute on a mesh make the same steps."""
    if not spans(mesh):
        return values
    own = np.asarray(values, np.int32)[None]
    all_of_them = jax.make_array_from_callback(
        (mesh.size, len(values)), placing.by_batch(mesh), lambda index: own
    )
    return tuple(int(x) for x in _largest(mesh)(all_of_them))


@functools.lru_cache(8)
def _largest(mesh: Mesh):
    return jax.jit(lambda x: x.max(0), out_shardings=placing.replicated(mesh))

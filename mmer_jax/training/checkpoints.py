"""Checkpoints of a run with Orbax: the train state, and the history beside it as JSON."""

import functools
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging
from jax.sharding import Mesh

from mmer_jax.training import distributed, sharding

# Otherwise a process that waits for its folder may get the name of another process's folder.
_FOLDERS_FIRST = ocp.options.AsyncOptions(create_directories_asynchronously=False)


class Checkpoints:
    """Saves at most every so many seconds, in the background, atomically.

    A save is written to a temporary folder and renamed when it is complete, so that a run that is
    killed meanwhile finds the save before. Two are kept: the older one is only deleted when the
    newer one is complete.

    Args:
      folder: Where the checkpoints of one run are.
      seconds: Interval of periodic saves.
      mesh: The devices that hold the state.
    """

    def __init__(self, folder: pathlib.Path, seconds: float, mesh: Mesh):
        self._seconds = seconds
        self._last = time.monotonic()
        folder = pathlib.Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        options = _multiprocessing(distributed.processes(mesh))
        self._is_local = not distributed.spans_processes(mesh)
        self._manager = ocp.CheckpointManager(
            folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=2,
                create=False,
                cleanup_tmp_directories=True,
                async_options=_FOLDERS_FIRST,
                multiprocessing_options=options,
            ),
            item_handlers={
                "state": ocp.StandardCheckpointHandler(multiprocessing_options=options),
                "history": ocp.JsonCheckpointHandler(multiprocessing_options=options),
            },
        )

    def restore(self, abstract_state: Any) -> tuple[Any, list[dict]] | None:
        """Returns (state, history) of the newest complete save, or None.

        Args:
          abstract_state: Tree of ShapeDtypeStruct with the shardings of the restored state.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(abstract_state), history=ocp.args.JsonRestore()
            ),
        )
        return restored.state, restored.history["epochs"]

    def is_due(self) -> bool:
        """Returns whether the interval of periodic saves has passed."""
        return time.monotonic() - self._last >= self._seconds

    def save(self, state: Any, history: list[dict]) -> None:
        """Starts a save. The state may be donated as soon as this returns."""
        step = int(state.step)
        if step == self._manager.latest_step():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(_writable(state) if self._is_local else state),
                history=ocp.args.JsonSave({"epochs": history}),
            ),
        )
        self._last = time.monotonic()

    def close(self) -> None:
        """Waits until every started save is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def _multiprocessing(processes: Sequence[int]) -> ocp.options.MultiprocessingOptions:
    """Returns options under which some processes save and restore without the others."""
    if jax.process_count() > 1:
        _allow_partial_writes()
    if len(processes) == jax.process_count():
        return ocp.options.MultiprocessingOptions()
    return ocp.options.MultiprocessingOptions(
        primary_host=processes[0],
        active_processes=set(processes),
        barrier_sync_key_prefix=f"process{processes[0]}",
    )


@functools.cache
def _allow_partial_writes() -> None:
    """Makes Orbax accept saves in which some processes take no part."""
    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # it logs every handler that is replaced
    handlers = ocp.type_handlers
    handler = handlers.ArrayHandler(
        primary_host=None, use_replica_parallel=False, array_metadata_store=None
    )
    handlers.register_type_handler(jax.Array, handler, override=True)
    logging.set_verbosity(level)


def _writable(tree: Any) -> Any:
    """Returns arrays of this process alone in a form that Orbax writes.

    With several processes Orbax refuses arrays that belong to one of them, and writes NumPy arrays
    in process 0 only. So each array gets two copies: one here, and a second one, which is never
    created, with another process.
    """
    if jax.process_count() == 1:
        return tree
    other = next(d for d in jax.devices() if d.process_index != jax.process_index())

    def writable(x):
        # On a device that holds it: each of several cells stays on its own.
        devices = x.devices() if isinstance(x, jax.Array) else jax.local_devices()
        own = min(devices, key=lambda device: device.id)
        copies = sharding.replicated(sharding.make_mesh([own, other]))
        return jax.make_array_from_single_device_arrays(x.shape, copies, [jax.device_put(x, own)])

    return jax.tree.map(writable, tree)


def save_params(folder: pathlib.Path, params: Any) -> None:
    """Writes a tree of parameters, replacing an earlier one; one process does it by itself."""
    with _tree_checkpointer() as checkpointer:
        checkpointer.save(pathlib.Path(folder).absolute(), _writable(params), force=True)


def load_params(folder: pathlib.Path) -> Any:
    """Returns the tree that `save_params` wrote, as NumPy arrays."""
    folder = pathlib.Path(folder).absolute()
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    with _tree_checkpointer() as checkpointer:
        # The file names the devices that the arrays were on: they are placed here instead.
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
            checkpointer.metadata(folder).item_metadata.tree,
        )
        return jax.device_get(checkpointer.restore(folder, shapes))


def _tree_checkpointer() -> ocp.StandardCheckpointer:
    return ocp.StandardCheckpointer(
        async_options=_FOLDERS_FIRST,
        multiprocessing_options=_multiprocessing([jax.process_index()]),
    )

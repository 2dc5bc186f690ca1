"""Checkpoints of a run, with orbax: the state of the run, and its history as JSON beside it."""

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

# Otherwise what waits for its folder may be told of the folder of another process.
_FOLDERS_FIRST = ocp.options.AsyncOptions(create_directories_asynchronously=False)


class Checkpoints:
    """Saves at most every so many seconds; writes in the background; whole or not at all.

    A save lands in a temporary folder and is renamed when complete, so that a run killed while it
    saves finds the save before. Two are kept: the older may go only once the newer is complete.
    """

    def __init__(self, folder: pathlib.Path, seconds: float, mesh: Mesh):
        self._seconds = seconds
        self._last = time.monotonic()
        folder = pathlib.Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        together = _taking_part(distributed.processes(mesh))
        self._alone = not distributed.spans(mesh)
        self._manager = ocp.CheckpointManager(
            folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=2,
                create=False,
                cleanup_tmp_directories=True,
                async_options=_FOLDERS_FIRST,
                multiprocessing_options=together,
            ),
            item_handlers={
                "state": ocp.StandardCheckpointHandler(multiprocessing_options=together),
                "history": ocp.JsonCheckpointHandler(multiprocessing_options=together),
            },
        )

    def restore(self, abstract_state: Any) -> tuple[Any, list[dict]] | None:
        """(state, history) of the newest complete save, or None.

        Args:
          abstract_state: tree of ShapeDtypeStruct with the shardings that the state shall have.
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
        return time.monotonic() - self._last >= self._seconds

    def save(self, state: Any, history: list[dict]) -> None:
        """Starts a save of the state. It is safe to donate the state right after."""
        step = int(state.step)
        if step == self._manager.latest_step():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(_writable(state) if self._alone else state),
                history=ocp.args.JsonSave({"epochs": history}),
            ),
        )
        self._last = time.monotonic()

    def close(self) -> None:
        """Waits until what was started is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def _taking_part(processes: Sequence[int]) -> ocp.options.MultiprocessingOptions:
    """These processes save and restore together; the others know nothing of it."""
    if jax.process_count() > 1:
        _let_some_write()
    if len(processes) == jax.process_count():
        return ocp.options.MultiprocessingOptions()
    return ocp.options.MultiprocessingOptions(
        primary_host=processes[0],
        active_processes=set(processes),
        barrier_sync_key_prefix=f"process{processes[0]}",
    )


@functools.cache
def _let_some_write() -> None:
    """Has Orbax not miss what processes that take no part in a save would have written."""
    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # it tells of every handler that is replaced
    handlers = ocp.type_handlers
    handler = handlers.ArrayHandler(
        primary_host=None, use_replica_parallel=False, array_metadata_store=None
    )
    handlers.register_type_handler(jax.Array, handler, override=True)
    logging.set_verbosity(level)


def _writable(tree: Any) -> Any:
    """Arrays of this process alone, so that Orbax writes them.

    Where there are several processes it refuses arrays that one of them has to itself, and writes
    numpy's in process 0 only. So each becomes an array with two copies, the first one here, the
    second one, which nobody makes, with another process.
    """
    if jax.process_count() == 1:
        return tree
    there = next(d for d in jax.devices() if d.process_index != jax.process_index())

    def writable(x):
        # On a device that has it: of several cells each keeps to its own.
        here = min(x.devices() if isinstance(x, jax.Array) else jax.local_devices(), key=_number)
        copies = sharding.replicated(sharding.make_mesh([here, there]))
        return jax.make_array_from_single_device_arrays(x.shape, copies, [jax.device_put(x, here)])

    return jax.tree.map(writable, tree)


def _number(device: jax.Device) -> int:
    return device.id


def save_params(folder: pathlib.Path, params: Any) -> None:
    """Writes a tree of parameters, without the optimizer's state, replacing what was there.

    One process does so by itself, also where there are several.
    """
    with _one_tree() as checkpointer:
        checkpointer.save(pathlib.Path(folder).absolute(), _writable(params), force=True)


def load_params(folder: pathlib.Path) -> Any:
    """Reads what `save_params` wrote, as numpy arrays."""
    folder = pathlib.Path(folder).absolute()
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    with _one_tree() as checkpointer:
        # Wherever the arrays were, of which a file tells: here now.
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
            checkpointer.metadata(folder).item_metadata.tree,
        )
        return jax.device_get(checkpointer.restore(folder, shapes))


def _one_tree() -> ocp.StandardCheckpointer:
    return ocp.StandardCheckpointer(
        async_options=_FOLDERS_FIRST, multiprocessing_options=_taking_part([jax.process_index()])
    )

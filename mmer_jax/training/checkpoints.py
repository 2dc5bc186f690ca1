"""Checkpoints of a run, with orbax: the state of the run, and its history as JSON beside it."""

import pathlib
import time
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from mmer_jax.training import hosts


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
        together = _taking_part(hosts.spans(mesh))
        self._manager = ocp.CheckpointManager(
            folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=2,
                create=False,
                cleanup_tmp_directories=True,
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
                state=ocp.args.StandardSave(state), history=ocp.args.JsonSave({"epochs": history})
            ),
        )
        self._last = time.monotonic()

    def close(self) -> None:
        """Waits until what was started is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def _taking_part(all_processes: bool) -> ocp.options.MultiprocessingOptions:
    """Who saves and restores: all processes together, or this one by itself."""
    if all_processes or jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    mine = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=mine, active_processes={mine}, barrier_sync_key_prefix=f"process{mine}"
    )


def save_params(folder: pathlib.Path, params: Any) -> None:
    """Writes a tree of parameters, without the optimizer's state, replacing what was there.

    One process does so by itself, also where there are several.
    """
    with _one_tree() as checkpointer:
        checkpointer.save(pathlib.Path(folder).absolute(), params, force=True)


def load_params(folder: pathlib.Path) -> Any:
    """Reads what `save_params` wrote, as numpy arrays."""
    with _one_tree() as checkpointer:
        return jax.device_get(checkpointer.restore(pathlib.Path(folder).absolute()))


def _one_tree() -> ocp.StandardCheckpointer:
    return ocp.StandardCheckpointer(multiprocessing_options=_taking_part(False))

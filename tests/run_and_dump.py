"""A small experiment in a process of its own, which may kill itself. Used by test_killed_runs.py.

    python tests/run_and_dump.py WORKDIR PACK [step|save|record]

Writes the final state and the step that the run started from to WORKDIR/state.npz.
"""

import os
import pathlib
import signal
import sys

import jax
import numpy as np

from configs import demo
from mmer_jax import training
from mmer_jax.experiments.run import run_experiment
from mmer_jax.results import records
from mmer_jax.training import checkpoints, step


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def after(function, number, act):
    """`function`, and `act` right after its call number `number`."""
    calls = []

    def wrapped(*args, **kwargs):
        result = function(*args, **kwargs)
        calls.append(1)
        if len(calls) == number:
            act()
        return result

    return wrapped


def main(workdir: str, pack: str, where: str = ""):
    config = demo.get_config("face_mel")
    config.data.pack = pack
    config.data.size = 16
    config.data.intensities = ("strong",)
    config.model.filters = (4, 8)
    config.rows.face_mel.model.hidden = (256,)
    config.epochs, config.measure_epochs = 4, (2, 4)
    config.run.checkpoint_seconds = 0.0  # a save after every step
    config.run.tensorboard = False

    if where == "step":  # in the middle of the second epoch, of 5 steps
        compile_train_step = step.compile_train_step
        step.compile_train_step = lambda *a: after(compile_train_step(*a), 7, die)
    if where == "save":  # the writing goes on in the background when `save` returns
        checkpoints.Checkpoints.save = after(checkpoints.Checkpoints.save, 6, die)
    if where == "record":
        records.append = after(records.append, 1, die)

    train = training.train

    def train_and_dump(*args, **kwargs):
        outcome = train(*args, **kwargs)
        leaves = {
            jax.tree_util.keystr(path): np.asarray(leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(outcome.state)
        }
        np.savez(f"{workdir}/state.npz", resumed_from=outcome.resumed_from, **leaves)
        return outcome

    training.train = train_and_dump
    run_experiment(config, pathlib.Path(workdir))


if __name__ == "__main__":
    main(*sys.argv[1:])

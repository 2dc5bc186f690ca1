"""Seconds from the command to the first training step, with and without a compilation cache.

    python -m benchmarks.start_up [--row=face_flow_mel] [--size=128] [--repeats=3]

Starts run.py on a small synthetic pack in new processes, and ends each after one step. A workdir
keeps its compiled programs: "first run" is the first process in a new workdir, and "further run"
the next one in the same workdir, as for another seed or a continued run.
"""

import argparse
import itertools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import rates, reading
from configs import base
from mmer_jax.config import resolve

# Runs run.py and prints the time after its imports, before the first step and after it.
_PROGRAM = """
import os, runpy, time
import jax
from mmer_jax.experiments.run import run_experiment
from mmer_jax.training import step

def print_time():
    print("time", time.time(), flush=True)

def compile_train_step(*args):
    train_step = original(*args)
    print_time()
    def first_step(*args):
        jax.block_until_ready(train_step(*args))
        print_time()
        os._exit(0)
    return first_step

print_time()
original, step.compile_train_step = step.compile_train_step, compile_train_step
runpy.run_path("run.py", run_name="__main__")
"""

STAGES = ("import", "data and parameters", "first step", "all")


def measure(pack: pathlib.Path, row: str, size: int, workdir: pathlib.Path) -> list[float]:
    """Returns the seconds of each of STAGES for one process.

    Raises:
      SystemExit: The process did not reach the first step.
    """
    # A compilation cache of the caller would serve the first run too.
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    command = [
        *(sys.executable, "-c", _PROGRAM, "--config=configs/base.py", f"--workdir={workdir}"),
        *(f"--config.data.pack={pack}", f"--config.row={row}"),
        *(f"--config.data.size={size}", "--config.data.intensities=()"),
        *("--config.run.tensorboard=False", "--config.data.dataset=none"),
    ]
    start = time.time()
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    lines = [line.split() for line in process.stdout.splitlines() if line.startswith("time ")]
    if len(lines) != 3:
        raise SystemExit(process.stderr)
    times = [start, *(float(value) for _, value in lines)]
    return [b - a for a, b in itertools.pairwise(times)] + [times[-1] - start]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--row", default="face_flow_mel")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print(f"{rates.machine()}; {args.row} at {args.size} pixels, medians of {args.repeats}")
    print(f"{'seconds':<22}" + "".join(f"{name:>21}" for name in STAGES))
    config = resolve.resolve_row(base.get_config(), args.row, {"data.size": args.size})
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        reading.make_pack(folder / "pack", config, 0, "npy")
        seconds = {"first run": [], "further run": []}
        for i in range(args.repeats):
            for runs in seconds.values():
                runs.append(measure(folder / "pack", args.row, args.size, folder / f"workdir{i}"))
    for name, runs in seconds.items():
        medians = [statistics.median(column) for column in zip(*runs, strict=True)]
        print(f"{name:<22}" + "".join(f"{value:>21.1f}" for value in medians))


if __name__ == "__main__":
    main()

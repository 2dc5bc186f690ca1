"""Seconds from the command to the first step, with and without what was compiled before.

    python -m benchmarks.start_up [--row=face_flow_mel] [--size=128] [--repeats=3]

Starts run.py on a small pack of noise in fresh processes, and ends them after one step. Every
workdir keeps what it compiles, so that "without" is the first run of a workdir, and "with" any
further one: another seed, a continued run.
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

# run.py, which tells when it has imported, when it begins to train, and when a step is made.
CHILD = """
import os, runpy, time
from mmer_jax.experiments.run import run_experiment
from mmer_jax.training import step
tell = lambda: print("at", time.time(), flush=True)
tell()
make = step.make_chunk
def make_chunk(*given, **named):
    chunk = make(*given, **named)
    tell()
    def once(*given):
        given = (*given[:-1], given[-2] + 1)
        import jax
        jax.block_until_ready(chunk(*given))
        tell()
        os._exit(0)
    return once
step.make_chunk = make_chunk
runpy.run_path("run.py", run_name="__main__")
"""

STAGES = ("import", "data and parameters", "first step", "all")


def start(pack: pathlib.Path, given, cache: str, workdir: str) -> list[float]:
    """Seconds of each of STAGES."""
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",  # as in a workdir
    }
    command = [
        *(sys.executable, "-c", CHILD, "--config=configs/base.py", f"--workdir={workdir}"),
        *(f"--config.data.pack={pack}", f"--config.row={given.row}"),
        *(f"--config.data.size={given.size}", "--config.data.intensities=()"),
        *("--config.run.tensorboard=False", "--config.data.dataset=none"),
    ]
    started = time.time()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    told = [float(line[3:]) for line in done.stdout.splitlines() if line.startswith("at ")]
    if len(told) != 3:
        raise SystemExit(done.stderr)
    times = [started, *told]
    return [b - a for a, b in itertools.pairwise(times)] + [told[-1] - started]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--row", default="face_flow_mel")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print(f"{rates.machine()}; {given.row} at {given.size} pixels, medians of {given.repeats}")
    print(f"{'seconds':<22}" + "".join(f"{name:>21}" for name in STAGES))
    config = resolve.resolve_row(base.get_config(), given.row, {"data.size": given.size})
    with tempfile.TemporaryDirectory() as folder:
        pack = pathlib.Path(folder) / "pack"
        reading.make_pack(pack, config, given.size, 0, "npy")
        found = {"without a cache": [], "with a cache": []}
        for i in range(given.repeats):
            for j, name in enumerate(found):
                where = f"{folder}/cache{i}", f"{folder}/run{i}{j}"
                found[name].append(start(pack, given, *where))
        for name, rows in found.items():
            medians = [statistics.median(column) for column in zip(*rows, strict=True)]
            print(f"{name:<22}" + "".join(f"{value:>21.1f}" for value in medians))


if __name__ == "__main__":
    main()

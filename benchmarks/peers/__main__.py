"""Seconds per training step: this project, PyTorch, and Keras on TensorFlow, in turn.

    python -m benchmarks.peers [--rows=mel,face_mel,face_flow_mel] [--sizes=64,128,224]
        [--batches=30,128] [--rounds=10] [--steps=2] [--dtype=float32] [--stock]

Before anything is timed, all peers start from the same weights and make 20 steps on the same
batches without dropout; their losses must agree. Then, with dropout, each makes some steps in turn
in a process of its own while the others wait; the first step of a turn is not counted. The ratio of
a round compares times that were measured right after each other. With --steps=39 a turn is an epoch
of 1152 triplets in batches of 30. In all processes the C library keeps freed memory
(sharding.keep_freed_memory), which helps every peer; with --stock in this project's only. PyTorch
is needed by nothing else here: `pip install torch`. A peer that is not installed is left out, with
a message.

On a CPU the medians are meaningful on an idle machine only; the load of the machine is printed.
"""

import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from benchmarks import rates

PEERS = {"jax": "in_jax", "torch": "in_torch", "keras": "in_keras"}
PACKAGES = {"jax": [], "torch": ["torch"], "keras": ["keras", "tensorflow", "tensorflow_cpu"]}
# The first loss, before any update, is equal up to rounding. Adam divides small gradients by their
# own size, which amplifies differences of rounding: after 20 steps this project differs from itself
# with its batches summed in another order by some tenths of a percent (which is measured too). The
# epsilon of Keras's Adam is in another place (Kingma and Ba's "epsilon hat"), which makes a
# difference of this size from the second loss on.
CHECKED_STEPS = 20
FIRST_TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-2}
TOLERANCE = {"float32": 1e-2, "bfloat16": 5e-2}
# On a GPU no process allocates all of its memory at once.
_SHARED_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
# Seconds after which threads that a library keeps spinning after a turn have stopped.
_REST = 0.3


class Peer:
    """A process that makes training steps on request.

    Args:
      name: One of PEERS.
      workload: Fields of a Workload.
      stock: Whether the C library keeps its defaults, unless the peer is this project.
    """

    def __init__(self, name: str, workload: dict, stock: bool = False):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers", "--serve", name, json.dumps(workload)]
            + ["--stock"] * stock,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def losses(self, steps: int) -> list[float]:
        """Makes some steps; returns the mean loss of each."""
        return self._request("losses", steps)

    def run(self, steps: int) -> float:
        """Makes some steps; returns their duration in seconds."""
        return self._request("run", steps)

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()

    def _request(self, method: str, steps: int):
        self._process.stdin.write(f"{method} {steps}\n")
        self._process.stdin.flush()
        response = self._process.stdout.readline()
        if not response:
            raise SystemExit(f"a peer ended with exit code {self._process.wait()}; see above")
        return json.loads(response)


def serve(name: str, workload: dict, stock: bool) -> None:
    """Answers the requests on standard input until it is closed; the arguments are Peer's."""
    from benchmarks.peers.workload import Workload
    from mmer_jax.training import sharding

    if name == "jax" or not stock:
        sharding.keep_freed_memory()  # as run.py does
    responses = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no response
    module = importlib.import_module(f"benchmarks.peers.{PEERS[name]}")
    training = module.Training(Workload(**workload))
    for request in sys.stdin:
        method, steps = request.split()
        if method == "losses":
            response = training.losses(int(steps))
        else:
            start = time.perf_counter()
            training.run(int(steps))
            response = time.perf_counter() - start
        print(json.dumps(response), file=responses, flush=True)


def loss_differences(names: list[str], workload: dict, stock: bool) -> dict[str, np.ndarray]:
    """Returns relative differences of losses from this project's, without dropout.

    Args:
      names: Peers.
      workload: Fields of a Workload.
      stock: See Peer.

    Returns:
      Peer -> float [CHECKED_STEPS]. For "jax" the differences are those of this project from itself
      with the examples of each batch reversed.

    Raises:
      SystemExit: The losses of a peer do not agree with this project's.
    """

    def losses(name: str, reverse: bool) -> np.ndarray:
        fields = workload | {"dropout": False, "reverse": reverse}
        with contextlib.closing(Peer(name, fields, stock)) as peer:
            return np.asarray(peer.losses(CHECKED_STEPS))

    expected = losses("jax", reverse=False)
    differences = {
        name: np.abs(losses(name, reverse=name == "jax") / expected - 1) for name in names
    }
    dtype = workload["dtype"]
    for name, difference in differences.items():
        if difference[0] > FIRST_TOLERANCE[dtype] or difference.max() > TOLERANCE[dtype]:
            raise SystemExit(
                f"{workload['row']} at {workload['size']} pixels: the losses of {name} differ from "
                f"this project's by {difference[0]:.0e} at first and by {difference.max():.1%} at "
                "most; nothing was timed"
            )
    return differences


def step_seconds(
    names: list[str], workload: dict, rounds: int, steps: int, stock: bool
) -> dict[str, list[float]]:
    """Returns the seconds per step of each peer in each round.

    The first round, in which programs are compiled, is not counted.
    """
    with contextlib.ExitStack() as stack:
        peers = {
            name: stack.enter_context(contextlib.closing(Peer(name, workload, stock)))
            for name in names
        }
        seconds = {name: [] for name in names}
        for i in range(rounds + 1):
            for name, peer in peers.items():
                # Memory that the system took from a waiting process comes back in the first step.
                peer.run(1 if i else 3)
                if i:
                    seconds[name].append(peer.run(steps) / steps)
                time.sleep(_REST)
    return seconds


def _versions(names: list[str]) -> list[str]:
    packages = {package for name in names for package in PACKAGES[name]}
    installed = {d.name: d.version for d in importlib.metadata.distributions()}
    return [f"{package} {installed[package]}" for package in sorted(packages & set(installed))]


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        return serve(sys.argv[2], json.loads(sys.argv[3]), "--stock" in sys.argv[4:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="mel,face_mel,face_flow_mel")
    parser.add_argument("--sizes", default="64,128,224")
    parser.add_argument("--batches", default="30,128")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=2, help="per turn")
    parser.add_argument("--dtype", default="float32", choices=sorted(TOLERANCE))
    parser.add_argument("--peers", default="jax,torch,keras")
    parser.add_argument("--stock", action="store_true", help="peers with the C library's defaults")
    args = parser.parse_args()

    names = [name for name in args.peers.split(",") if importlib.util.find_spec(name)]
    for name in set(args.peers.split(",")) - set(names):
        print(f"{name} is not installed and is left out", file=sys.stderr)
    for name, value in _SHARED_GPU.items():
        os.environ.setdefault(name, value)
    print("; ".join([rates.machine(), *_versions(names), args.dtype]))
    if os.getloadavg()[0] > 0.5:
        print("the machine is not idle: only ratios are meaningful")
    print(
        f"apart: the largest relative difference of {CHECKED_STEPS} losses from ours (for ours: "
        "with each batch reversed)"
    )
    header = f"{'row':<14}{'px':>5}{'batch':>6}"
    for name in names:
        header += f"{name + ', s':>11}{'apart':>8}" + (f"{'ours/its':>10}" * (name != "jax"))
    print(header + f"{'examples/s':>12}", flush=True)
    rows, sizes, batches = (x.split(",") for x in (args.rows, args.sizes, args.batches))
    for row, size, batch in itertools.product(rows, map(int, sizes), map(int, batches)):
        workload = {"row": row, "size": size, "batch": batch, "dtype": args.dtype}
        differences = loss_differences(names, workload, args.stock)
        seconds = step_seconds(names, workload, args.rounds, args.steps, args.stock)
        line = f"{row:<14}{size:>5}{batch:>6}"
        for name in names:
            line += f"{statistics.median(seconds[name]):>11.4f}{differences[name].max():>8.0e}"
            if name != "jax":
                ratios = [a / b for a, b in zip(seconds["jax"], seconds[name], strict=True)]
                line += f"{statistics.median(ratios):>10.2f}"
        print(line + f"{batch / statistics.median(seconds['jax']):>12.0f}", flush=True)


if __name__ == "__main__":
    main()

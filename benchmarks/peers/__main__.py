"""Seconds a training step: this project, PyTorch, Keras on TensorFlow, in alternation.

    python -m benchmarks.peers [--rows=mel,face_mel,face_flow_mel] [--sizes=64,128,224]
        [--batches=30,128] [--rounds=10] [--steps=2] [--dtype=float32] [--stock]

Before anything is timed all start from the same weights and make 20 steps on the same batches
without dropout; their losses must agree. Then, with dropout, each in a process of its own makes
some steps in turn, after one that is not counted, while the others wait; the ratio of a round is of
times beside each other. With --steps=39 a turn is an epoch of 1152 triplets in batches of 30. All
have the C library keep what memory a step gives back (sharding.keep_freed_memory), which helps them
all; with --stock this project alone. PyTorch is not needed by anything else here: `pip install
torch`. A peer that is not installed is left out, and said.

On a CPU the medians mean something on an idle machine only: the load that others cause is printed.
"""

import argparse
import contextlib
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
# The first loss, before any update, is equal but for rounding. Adam divides small gradients by
# their own size and so makes differences of rounding grow: after 20 steps this project differs from
# itself, with its batches summed in another order, by some tenths of a percent (it is measured
# too). Keras's Adam has its epsilon in another place (Kingma and Ba's "epsilon hat"), which makes
# as much at once, from the second loss on.
EQUAL_STEPS = 20
FIRST = {"float32": 1e-5, "bfloat16": 1e-2}
TOLERANCE = {"float32": 1e-2, "bfloat16": 5e-2}
# On a GPU no one takes all of its memory at once.
_SHARING = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
# Threads that other libraries leave spinning after a turn have stopped after this.
_REST = 0.3


class Peer:
    """A process that makes steps when told to.

    Attributes:
      stock: whether those who are not this project keep the C library's defaults.
    """

    stock = False

    def __init__(self, name: str, given: dict):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers", "--serve", name, json.dumps(given)]
            + ["--stock"] * Peer.stock,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, what: str, count: int):
        """ "losses": of `count` steps; "run": the seconds that `count` steps took."""
        self._process.stdin.write(f"{what} {count}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"a peer ended with exit code {self._process.wait()}; see above")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def serve(name: str, stock: bool, given: dict) -> None:
    """Answers questions on standard input until it ends."""
    from benchmarks.peers import work
    from mmer_jax.training import sharding

    if name == "jax" or not stock:
        sharding.keep_freed_memory()  # as run.py does
    answers = sys.stdout
    sys.stdout = sys.stderr  # nothing that a library prints is an answer
    training = importlib.import_module(f"benchmarks.peers.{PEERS[name]}").Training(
        work.Work(**given)
    )
    for question in sys.stdin:
        what, count = question.split()
        if what == "losses":
            answer = [float(x) for x in training.losses(int(count))]
        else:
            started = time.perf_counter()
            training.run(int(count))
            answer = time.perf_counter() - started
        print(json.dumps(answer), file=answers, flush=True)


def apart(names: list[str], given: dict) -> dict[str, np.ndarray]:
    """Relative differences of the first losses from ours, dropout off, float [EQUAL_STEPS].

    Under "jax" those of this project from itself with the examples of each batch reversed.

    Raises:
      SystemExit: a peer computes something else.
    """
    losses, given = {}, given | {"dropout": False}
    for name in ("ours", *names):
        peer, reverse = ("jax", False) if name == "ours" else (name, name == "jax")
        with contextlib.closing(Peer(peer, given | {"reverse": reverse})) as process:
            losses[name] = np.asarray(process.ask("losses", EQUAL_STEPS))
    found = {name: np.abs(losses[name] / losses["ours"] - 1) for name in names}
    for name, differences in found.items():
        first, most = FIRST[given["dtype"]], TOLERANCE[given["dtype"]]
        if differences[0] > first or differences.max() > most:
            raise SystemExit(
                f"{given['row']} at {given['size']}: the losses of {name} differ from ours by "
                f"{differences[0]:.0e} at first and by {differences.max():.1%} later; nothing was "
                "timed"
            )
    return found


def times(names: list[str], given: dict, rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds a step of each peer in each round; not counted are a first round, which compiles, and
    the first step of each turn."""
    with contextlib.ExitStack() as stack:
        peers = {n: stack.enter_context(contextlib.closing(Peer(n, given))) for n in names}
        found = {name: [] for name in names}
        for i in range(rounds + 1):
            for name, peer in peers.items():
                # Memory that the system took from a process that waited comes back in a first step.
                peer.ask("run", 1 if i else 3)
                if i:
                    found[name].append(peer.ask("run", steps) / steps)
                time.sleep(_REST)
    return found


def _versions(names: list[str]) -> list[str]:
    wanted = {package for name in names for package in PACKAGES[name]}
    found = {d.name: d.version for d in importlib.metadata.distributions()}
    return [f"{package} {found[package]}" for package in sorted(wanted & set(found))]


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        return serve(sys.argv[2], "--stock" in sys.argv[4:], json.loads(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="mel,face_mel,face_flow_mel")
    parser.add_argument("--sizes", default="64,128,224")
    parser.add_argument("--batches", default="30,128")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=2, help="a turn")
    parser.add_argument("--dtype", default="float32", choices=sorted(TOLERANCE))
    parser.add_argument("--peers", default="jax,torch,keras")
    parser.add_argument("--stock", action="store_true", help="peers with the C library's defaults")
    given = parser.parse_args()
    Peer.stock = given.stock

    names = [n for n in given.peers.split(",") if importlib.util.find_spec(n)]
    for name in set(given.peers.split(",")) - set(names):
        print(f"{name} is not installed and is left out", file=sys.stderr)
    for name, value in _SHARING.items():
        os.environ.setdefault(name, value)
    print("; ".join([rates.machine(), *_versions(names), given.dtype]))
    if os.getloadavg()[0] > 0.5:
        print("the machine is not idle: believe ratios only")
    print(f"apart: largest relative difference of {EQUAL_STEPS} losses from ours (ours: reordered)")
    header = f"{'row':<14}{'px':>5}{'batch':>6}"
    for n in names:
        header += f"{n + ' s':>11}{'apart':>8}" + (f"{'ours/its':>10}" if n != "jax" else "")
    print(header + f"{'images/s':>10}", flush=True)
    rows, sizes, batches = (x.split(",") for x in (given.rows, given.sizes, given.batches))
    for row, size, batch in itertools.product(rows, map(int, sizes), map(int, batches)):
        task = {"row": row, "size": size, "batch": batch, "dtype": given.dtype}
        differences = apart(names, task)
        found = times(names, task, given.rounds, given.steps)
        line = f"{row:<14}{size:>5}{batch:>6}"
        for n in names:
            line += f"{statistics.median(found[n]):>11.4f}{differences[n].max():>8.0e}"
            if n != "jax":
                ratios = [a / b for a, b in zip(found["jax"], found[n], strict=True)]
                line += f"{statistics.median(ratios):>10.2f}"
        print(line + f"{batch / statistics.median(found['jax']):>10.0f}", flush=True)


if __name__ == "__main__":
    main()

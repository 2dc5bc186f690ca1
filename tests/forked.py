"""Programs in processes of their own, forked from one that has done their imports.

A process is what `python PROGRAM ARGUMENTS` would be: its own flags, JAX backend, output and exit
status. It begins without the seconds that importing JAX takes. For programs that stop early: one
that saves checkpoints may hang, since the libraries for it do not promise to survive a fork.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

SERVER = """
import json, os, runpy, sys, warnings
import mmer_jax.experiments.run
warnings.simplefilter("ignore")  # JAX's and Python's of forking; no backend has started a thread
for line in iter(sys.stdin.readline, ""):
    request = json.loads(line)
    pid = os.fork()
    if not pid:
        break
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(status, flush=True)
else:
    sys.exit()
warnings.resetwarnings()
for descriptor, name in ((1, "stdout"), (2, "stderr")):
    os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
sys.argv = request["arguments"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@contextlib.contextmanager
def server(folder: Path) -> Iterator[Callable[..., subprocess.CompletedProcess]]:
    """Starts the process to fork from.

    Args:
      folder: Where output is kept until it is read.

    Yields:
      A function that runs a program: its path and arguments -> a CompletedProcess.
    """
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": "."}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def run(*arguments) -> subprocess.CompletedProcess:
            paths = {name: folder / name for name in ("stdout", "stderr")}
            request = {"arguments": [str(a) for a in arguments]}
            request |= {name: str(path) for name, path in paths.items()}
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            status = int(process.stdout.readline())
            output = (path.read_text() for path in paths.values())
            return subprocess.CompletedProcess(request["arguments"], status, *output)

        yield run
        process.stdin.close()

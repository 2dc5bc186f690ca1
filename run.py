"""Trains and evaluates what a config asks for.

    python run.py --config=configs/ravdess_strong.py --config.data.manual_dir=DIR
    python run.py --config=configs/ravdess_strong.py:face_mel --config.epochs=2 --config.seeds=0,1,2
    python run.py --config=~/my_config.py --workdir=~/runs/mine

Cells that the workdir already has are not run again; a run that was stopped continues.

On a TPU pod or under Slurm start this once per host (or per GPU) with --distributed; elsewhere with
--coordinator=HOST:PORT --processes=N --process=I. See docs/several_hosts.md.
"""

import pathlib
import signal
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from mmer_jax import errors, training
from mmer_jax.config import validation
from mmer_jax.experiments.run import run_experiment
from mmer_jax.training import distributed, sharding

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Path of a config file, and :ROW of its table."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results. [default: runs/<config>]")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "One of several processes, on a TPU pod or under Slurm."
)
_COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, elsewhere.")
_PROCESSES = flags.DEFINE_integer("processes", None, "Number of processes, elsewhere.")
_PROCESS = flags.DEFINE_integer("process", None, "Number of this process, from 0, elsewhere.")


def parse(argv: list[str]) -> list[str]:
    """Parses flags; reports a mistake in them in one line on standard error."""
    argv = [_expand_home(argument) for argument in argv]
    try:
        rest = flags.FLAGS(argv)
        if _CONFIG.value is None:
            raise errors.UserError("--config is missing; try --config=configs/demo.py")
        if rest[1:]:
            raise errors.UserError(f"unknown argument {rest[1]!r}; fields start with --config.")
        _CONFIG.value.keys()  # a file that cannot be loaded is an error only now
    except (AttributeError, KeyError) as e:
        sys.exit(f"run.py: {validation.describe_unknown_flag(argv) or e}")
    except (flags.Error, errors.UserError, OSError, TypeError, ValueError) as e:
        sys.exit(f"run.py: {' '.join(str(e).split())}")
    return rest


def _expand_home(argument: str) -> str:
    """Expands ~ in --config=~/FILE.py, which shells leave as it is."""
    flag, equals, value = argument.partition("=")
    if equals and flag.lstrip("-") == "config" and value.startswith("~"):
        return f"{flag}={pathlib.Path(value).expanduser()}"
    return argument


def main(argv: list[str]) -> None:
    """Runs the experiment; the exit status is 1 for a user's mistake, 128 + N for signal N."""
    del argv
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # orbax logs every file that it writes
    name = pathlib.Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
    workdir = pathlib.Path(_WORKDIR.value or f"runs/{name}").expanduser()
    overrides = config_flags.get_override_values(flags.FLAGS["config"])
    processes = (_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
    sharding.keep_freed_memory()
    try:
        if _DISTRIBUTED.value or any(value is not None for value in processes):
            distributed.initialize(*processes)
        run_experiment(_CONFIG.value, workdir, overrides)
    except errors.UserError as e:
        sys.exit(f"run.py: {e}")
    except training.Interrupted as e:
        print(f"run.py: {e}; the same command continues", file=sys.stderr)
        sys.exit(128 + e.signum)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    app.run(main, flags_parser=parse)

"""Trains and measures what a config asks for.

    python run.py --config=configs/ravdess_strong.py --config.data.manual_dir=DIR
    python run.py --config=configs/ravdess_strong.py:face_mel --config.epochs=2 --config.seeds=0,1,2

Cells that the workdir already has are not run again; a run that was stopped goes on.

On a TPU pod or under Slurm start this once a host (or a GPU) with --distributed; elsewhere with
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
    "config", None, "File in configs/, and :ROW of its table."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where results go. [default: runs/<config>]")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "One of several processes; TPU pods and Slurm tell which."
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT of process 0, where they do not."
)
_PROCESSES = flags.DEFINE_integer("processes", None, "How many there are, likewise.")
_PROCESS = flags.DEFINE_integer("process", None, "Which one this is, 0 and up, likewise.")


def parse(argv: list[str]) -> list[str]:
    """Parses flags; a mistake in them is one line on standard error."""
    try:
        rest = flags.FLAGS(argv)
        if _CONFIG.value is None:
            raise errors.UserError("--config is missing; try --config=configs/demo.py")
        if rest[1:]:
            raise errors.UserError(f"unknown argument {rest[1]!r}; fields start with --config.")
        _CONFIG.value.keys()  # a file that could not be loaded is an error only now
    except (AttributeError, KeyError) as e:
        sys.exit(f"run.py: {validation.unknown_flag(argv) or e}")
    except (flags.Error, errors.UserError, OSError, TypeError, ValueError) as e:
        sys.exit(f"run.py: {' '.join(str(e).split())}")
    return rest


def main(argv: list[str]) -> None:
    del argv
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # orbax tells of every file it writes
    name = pathlib.Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
    workdir = pathlib.Path(_WORKDIR.value or f"runs/{name}").expanduser()
    overrides = config_flags.get_override_values(flags.FLAGS["config"])
    told = (_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
    sharding.keep_freed_memory()
    try:
        if _DISTRIBUTED.value or any(value is not None for value in told):
            distributed.start(*told)
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

"""Chooses fields of a config by validation data: a random search that goes on where it stopped.

    mmer tune --config=configs/ravdess_honest.py:honest \\
        --config.split.validation_fraction=0.2 --config.folds=0,1 \\
        --workdir=runs/tuning --trials=20 --seed=0 \\
        --search optimizer.learning_rate=log:1e-4:3e-3 model.dropout_output=0.2:0.6

docs/tuning.md says what can be searched and what the result means.
"""

import argparse
import signal
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import ml_collections
from absl import flags, logging
from ml_collections import config_flags

from mmer_jax import errors, training
from mmer_jax.config import validation
from mmer_jax.evaluation.summary import percent
from mmer_jax.tuning import search, space
from mmer_jax.utils import columns

WIDTH = 100  # of the notes, in characters


def text(found: Sequence[search.Trial]) -> str:
    """The trials as a table, the best first; what its numbers are; and the best one's flags.

    Args:
      found: as search.tune returns them.
    """
    lines = [["trial", "accuracy", "less trial 0", "NLL", *found[0]["values"]]]
    for trial in found:
        figures = ["diverged", "-", "-"]
        if trial["accuracy"] is not None:
            spread = "" if trial["spread"] is None else f" ±{percent(trial['spread'])}"
            low, high = map(percent, trial["interval"])
            figures = [f"{percent(trial['accuracy'])}{spread} ({low}-{high})"]
            if trial["difference"] is None:
                figures.append("-")
            else:
                mean, low, high = (f"{100 * value:+.1f}" for value in trial["difference"])
                figures.append(f"{mean} ({low} to {high})")
            figures.append(f"{trial['negative_log_likelihood']:.2f}")
        lines.append([str(trial["trial"]), *figures, *map(str, trial["values"].values())])
    notes = [
        "Figures of the validation part, per clip, in % but for NLL (nats): mean, ± standard "
        "deviation over seeds, folds pooled, and in brackets the 95% interval, a bootstrap over "
        "people. Trial 0 has the config's own values.",
        "No network read the test part of its own fold and seed. But what one fold, or one seed of "
        "a random split, puts away another may learn from: people whom nothing here shall have met "
        "are left out with --config.split.leave_out_fold.",
        f"The best of {len(found)} is partly the luckiest: its accuracy is too good a guess of "
        "what the test part will say.",
    ]
    filled = [textwrap.fill(note, WIDTH, break_long_words=False) for note in notes]
    best = found[0]
    if best["accuracy"] is None:
        last = "Every trial diverged: search smaller learning rates."
    elif best["trial"] == 0:
        last = "The config's own values did best."
    else:
        last = f"Trial {best['trial']} did best:\n{space.flags(best['values'])}"
    return "\n\n".join(["\n".join(columns.aligned(lines)), *filled, last])


def load(arguments: Sequence[str]) -> tuple[ml_collections.ConfigDict, dict[str, object]]:
    """The config that --config and --config.FIELD flags give, and what these set.

    Raises:
      UserError: no such config, row or field, or an argument that is none of these.
    """
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file(
        "config", None, "", flag_values=values, sys_argv=list(arguments)
    )
    values.set_gnu_getopt(True)
    try:
        rest = values(["tuner", *arguments])[1:]
        if holder.value is None:
            raise errors.UserError("--config is missing; try --config=configs/ravdess_honest.py")
        holder.value.keys()  # a file that could not be loaded is an error only now
    except (AttributeError, KeyError) as error:
        raise errors.UserError(validation.unknown_flag(arguments) or str(error)) from error
    except (flags.Error, OSError, TypeError, ValueError) as error:
        raise errors.UserError(" ".join(str(error).split())) from error
    if rest:
        raise errors.UserError(f"unknown argument {rest[0]!r}; fields start with --config.")
    return holder.value, config_flags.get_override_values(values["config"])


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="mmer tune",
        description="Chooses fields of a config by a random search on validation data. The config "
        "is given as to run.py: --config=FILE.py:ROW, and --config.FIELD=VALUE for its fields.",
        allow_abbrev=False,
    )
    parser.add_argument("--workdir", type=Path, required=True, help="continued if it exists")
    parser.add_argument("--trials", type=int, default=20, metavar="N", help="default: 20")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn; default: 0")
    parser.add_argument(
        "--search",
        nargs="+",
        required=True,
        metavar="FIELD=WHAT",
        help="WHAT is LOW:HIGH, log:LOW:HIGH or A,B,C",
    )
    options, rest = parser.parse_known_args(arguments)
    logging.set_verbosity(logging.WARNING)  # orbax tells of every file it writes
    try:
        config, overrides = load(rest)
        found = search.tune(
            config,
            options.workdir.expanduser(),
            overrides,
            options.search,
            trials=options.trials,
            seed=options.seed,
        )
    except training.Interrupted as stopped:
        print(f"{stopped}; the same command continues", file=sys.stderr)
        return 128 + stopped.signum
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    print(text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

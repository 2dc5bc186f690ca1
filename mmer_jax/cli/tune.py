"""Searches hyperparameters at random on validation data. The search can be interrupted and resumed.

    mmer tune --config=configs/ravdess_unseen_speakers.py:inductive \\
        --config.split.validation_fraction=0.2 --config.folds=0,1 \\
        --workdir=runs/tuning --trials=20 --seed=0 \\
        --search optimizer.learning_rate=log:1e-4:3e-3 model.dropout_output=0.2:0.6

docs/tuning.md describes what can be searched and what the results mean.
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
from mmer_jax.config import resolve, validation
from mmer_jax.evaluation import settings
from mmer_jax.evaluation.summary import percent
from mmer_jax.tuning import search, space
from mmer_jax.utils import columns

NOTE_WIDTH = 100  # characters


def format_trials(trials: Sequence[search.Trial], normalization: str) -> str:
    """Formats trials as a table, with notes on its numbers and the flags of the best trial.

    Args:
      trials: Trials as returned by `search.tune`, the best first.
      normalization: The row's `input.normalization`, which trials that search it replace.

    Returns:
      Text without a trailing newline.
    """
    sections = [
        {"normalization": trial["values"].get("input.normalization", normalization)}
        for trial in trials
    ]
    trial_settings = [settings.setting_of([{"input": section}]) for section in sections]
    lines = [["trial", "accuracy", "minus trial 0", "NLL", *trials[0]["values"]]]
    for trial, setting in zip(trials, trial_settings, strict=True):
        cells = ["diverged", "-", "-"]
        if trial["accuracy"] is not None:
            spread = "" if trial["spread"] is None else f" ±{percent(trial['spread'])}"
            ends = "-".join(map(percent, trial["interval"] or ())) or "no interval"
            cells = [f"{percent(trial['accuracy'])}{spread} ({ends})"]
            if trial["difference"] is None:
                cells.append("-")
            else:
                mean, *ends = (f"{100 * value:+.1f}" for value in trial["difference"])
                cells.append(f"{mean} ({' to '.join(ends) or 'no interval'})")
            cells.append(f"{trial['negative_log_likelihood']:.2f}")
        name = settings.add_labels(str(trial["trial"]), setting, "test")
        lines.append([name, *cells, *map(str, trial["values"].values())])
    groups = dict.fromkeys(trial["groups"] for trial in trials if trial.get("groups"))
    notes = [
        "Metrics of the validation split, per clip, in % except NLL (negative log-likelihood, in "
        "nats): mean, ± standard deviation over seeds, folds pooled, and in brackets the 95% "
        f"interval{' over ' * bool(groups)}{' or '.join(groups)}. Trial 0 has the config's own "
        "values.",
        "No network read the test split of its own fold and seed. But the test split of one fold, "
        "or of one seed of a random split, may be training data of another: exclude held-out "
        "subjects from the whole search with --config.split.leave_out_fold.",
        f"The accuracy of the best of {len(trials)} trials is optimistic: the best trial is partly "
        "the luckiest, and its test accuracy will likely be lower.",
    ]
    for missing in dict.fromkeys(trial.get("incomplete") for trial in trials):
        if missing:
            notes.append(f"Results are incomplete: {missing}.")
    if "transductive" in trial_settings:
        notes.insert(1, settings.describe_transductive([]))
    filled = [textwrap.fill(note, NOTE_WIDTH, break_long_words=False) for note in notes]
    best = trials[0]
    if best["accuracy"] is None:
        last = "Every trial diverged: search over smaller learning rates."
    elif best["trial"] == 0:
        last = "The config's own values are the best."
    else:
        last = f"Trial {best['trial']} is the best:\n{space.format_flags(best['values'])}"
    return "\n\n".join(["\n".join(columns.aligned(lines)), *filled, last])


def load_config(arguments: Sequence[str]) -> tuple[ml_collections.ConfigDict, dict[str, object]]:
    """Loads the config of the flags --config and --config.FIELD.

    Args:
      arguments: Command-line arguments, all of which must be --config or --config.FIELD flags.

    Returns:
      The config; and a dict, dotted name of a field -> its value, of the fields that the flags set.

    Raises:
      UserError: The config, a row or a field does not exist, or an argument is no such flag.
    """
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file(
        "config", None, "", flag_values=values, sys_argv=list(arguments)
    )
    values.set_gnu_getopt(True)
    try:
        rest = values(["tuner", *arguments])[1:]
        if holder.value is None:
            raise errors.UserError(
                "--config is missing; try --config=configs/ravdess_unseen_speakers.py"
            )
        holder.value.keys()  # loads the file, which may fail
    except (AttributeError, KeyError) as error:
        raise errors.UserError(validation.describe_unknown_flag(arguments) or str(error)) from error
    except (flags.Error, OSError, TypeError, ValueError) as error:
        raise errors.UserError(" ".join(str(error).split())) from error
    if rest:
        raise errors.UserError(
            f"unknown argument {rest[0]!r}; flags of config fields begin with --config."
        )
    return holder.value, config_flags.get_override_values(values["config"])


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Arguments after `mmer tune`; None for the arguments of the process.

    Returns:
      The exit status: 0 on success; 2 after an error of the user; 128 plus the number of the signal
      (130 for Ctrl-C) if interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="mmer tune",
        description="Searches hyperparameters (fields of a config) at random on validation data. "
        "Takes run.py's flags --config=FILE.py:ROW and --config.FIELD=VALUE.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--workdir",
        type=Path,
        required=True,
        help="folder of the search; an existing search is continued",
    )
    parser.add_argument(
        "--trials",
        type=int,
        default=20,
        metavar="N",
        help="number of trials (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the drawn values (default: %(default)s)"
    )
    parser.add_argument(
        "--search",
        nargs="+",
        required=True,
        metavar="FIELD=WHAT",
        help="fields to search, with their values: LOW:HIGH, log:LOW:HIGH or A,B,C",
    )
    options, rest = parser.parse_known_args(arguments)
    logging.set_verbosity(logging.WARNING)  # Orbax logs every file that it writes
    try:
        config, overrides = load_config(rest)
        trials = search.tune(
            config,
            options.workdir.expanduser(),
            overrides,
            options.search,
            trials=options.trials,
            seed=options.seed,
        )
    except training.Interrupted as interruption:
        print(f"{interruption}; run the same command again to continue", file=sys.stderr)
        return 128 + interruption.signum
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    row = resolve.resolve_row(config, resolve.requested_rows(config)[0], overrides)
    print(format_trials(trials, row.input.normalization))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Random search: runs the trials one after another on validation data, and ranks them.

Every trial is `experiments.run.run_experiment` in WORKDIR/trials/<n> with `config.split.tested` set
to "validation": the test split of each cell is not read. WORKDIR/tuning.json has the finished
trials.
"""

import contextlib
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from mmer_jax import errors, training
from mmer_jax.config import identity, resolve
from mmer_jax.evaluation import comparable
from mmer_jax.experiments import learning_rate_search
from mmer_jax.experiments.run import check_config, run_experiment
from mmer_jax.experiments.workdir import lock_workdir
from mmer_jax.tuning import space
from mmer_jax.utils import files
from mmer_jax.utils.progress import Progress

FILE_NAME = "tuning.json"

# Config fields that have the same value in every trial, whatever their value in the config. Trials
# keep no parameters, because nothing reads them.
EVERY_TRIAL = {"split.tested": "validation", "run.keep_params": False}

Trial = Mapping[str, Any]


def tune(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    overrides: Mapping[str, object],
    specs: Sequence[str],
    *,
    trials: int,
    seed: int,
) -> list[Trial]:
    """Runs the trials that are not finished yet, and ranks all trials.

    Args:
      config: Config with one row and one protocol, as returned by `get_config` of a config file.
      workdir: Folder of the trials and of tuning.json; an existing search is continued.
      overrides: Dotted fields given on the command line, already set in `config`.
      specs: Fields to search and their distributions, as FIELD=WHAT; see `space.parse`.
      trials: Number of trials. The first trial has the config's own values.
      seed: Seed of the values that are drawn for the other trials.

    Returns:
      The trials, the best first. Each trial is a dict with the keys below. All but `trial` and
      `values` are metrics of the validation split, per clip, and None if the trial diverged.

      - `trial`: number of the trial, from 0.
      - `values`: dotted name of a searched field -> its value in the trial.
      - `accuracy`: mean accuracy over seeds, in 0..1.
      - `spread`: standard deviation of the accuracy over seeds; None with one seed.
      - `interval`: [low, high], 95% interval of the accuracy over `groups`; None if there is none.
      - `groups`: what the intervals are over, such as "4 subjects"; a single subject's clips.
      - `negative_log_likelihood`: in nats.
      - `difference`: [mean, low, high], the accuracy minus the accuracy of trial 0 and the 95%
        interval of this difference, [mean] without interval; None for trial 0, and for all trials
        if trial 0 diverged.
      - `incomplete`: description of the protocol's folds that are missing, "" if none is. Trials of
        earlier versions lack it.

    Raises:
      UserError: A text in `specs` cannot be parsed, the config has no validation split that can be
        used, or the workdir holds trials of another search.
      training.Interrupted: The process received SIGTERM or SIGINT; the same call continues the
        search.
    """
    if trials < 2:
        raise errors.UserError(f"--trials is {trials}; it must be 2 or more")
    if seed < 0:
        raise errors.UserError(f"--seed is {seed}; it must be 0 or more")
    row = _only_row(config, overrides)
    fields = [space.parse(config, spec) for spec in specs]
    if len({field.name for field in fields}) < len(fields):
        raise errors.UserError("--search names a field twice")
    flat = identity.flatten(row.to_dict())
    own = {field.name: flat[field.name] for field in fields}
    trial_values = space.draw(fields, own, trials, seed)
    prepared = [_prepare(config, overrides, n, values) for n, values in enumerate(trial_values)]

    with lock_workdir(workdir):
        names = ("protocols", "folds", "seeds", "protocol_seeds")
        settings = {name: row.to_dict()[name] for name in names}
        settings |= {"config": identity.fields(row), "searched": list(specs), "seed": seed}
        settings = identity.flatten(settings)
        finished = _read_finished(workdir, settings)
        with Progress(len(trial_values), "tuning", "trials") as progress:
            progress.skip_to(min(len(finished), len(trial_values)))
            for n in range(len(finished), len(trial_values)):
                _log(f"trial {n}: {space.format_flags(trial_values[n])}")
                is_compared = n > 0 and finished[0]["accuracy"] is not None
                baseline = _trial_folder(workdir, 0) if is_compared else None
                metrics = _run_trial(*prepared[n], _trial_folder(workdir, n), baseline)
                finished.append({"trial": n, "values": trial_values[n], **metrics})
                files.write_json(workdir / FILE_NAME, {"settings": settings, "trials": finished})
                progress.update(1, note=f"best: trial {rank(finished)[0]['trial']}")
    return rank(finished[: len(trial_values)])


def rank(trials: Sequence[Trial]) -> list[Trial]:
    """Returns trials sorted by accuracy, negative log-likelihood and number, the best first.

    Args:
      trials: Trials as returned by `tune`, in any order. Trials that diverged are sorted last.
    """
    return sorted(
        trials,
        key=lambda t: (
            t["accuracy"] is None,
            -(t["accuracy"] or 0.0),
            t["negative_log_likelihood"] or 0.0,
            t["trial"],
        ),
    )


def _only_row(
    config: ml_collections.ConfigDict, overrides: Mapping[str, object]
) -> ml_collections.ConfigDict:
    """Returns the resolved config of the only row, after checking that it can be tuned."""
    resolve.split_names(config)
    names = resolve.requested_rows(config)
    if len(names) > 1:
        raise errors.UserError(
            f"the tuner takes one row with one network, not {', '.join(names)}; choose it after "
            "the path of the config, as in --config=configs/FILE.py:mel"
        )
    if len(config.protocols) != 1:
        raise errors.UserError(
            f"the tuner takes one protocol, not {', '.join(config.protocols) or 'none'}; choose "
            "it with --config.protocols=NAME"
        )
    row = resolve.resolve_row(config, names[0], overrides)
    learning_rate_search.check_validation(row, "the tuner")
    return row


def _prepare(
    config: ml_collections.ConfigDict,
    overrides: Mapping[str, object],
    n: int,
    values: Mapping[str, space.Value],
) -> tuple[ml_collections.ConfigDict, dict[str, object]]:
    """Returns the config and the overrides of a trial, after checking them.

    Raises:
      UserError: The values of the trial are not valid.
    """
    config = config.copy_and_resolve_references()
    trial_fields = {**EVERY_TRIAL, **values}
    config.update_from_flattened_dict(trial_fields)
    overrides = {**overrides, **trial_fields}
    try:
        check_config(config, overrides)
    except errors.UserError as error:
        raise errors.UserError(f"trial {n} ({space.format_flags(values)}): {error}") from error
    return config, overrides


_METRICS = (
    *("accuracy", "spread", "interval", "groups"),
    *("negative_log_likelihood", "difference", "incomplete"),
)


def _run_trial(
    config: ml_collections.ConfigDict,
    overrides: Mapping[str, object],
    folder: pathlib.Path,
    baseline: pathlib.Path | None,
) -> dict[str, Any]:
    """Runs a trial and returns its metrics, with the difference from the baseline's accuracy.

    Args:
      config: Config of the trial.
      overrides: Overrides of the trial.
      folder: Workdir of the trial.
      baseline: Workdir of trial 0; None for trial 0 itself, or if trial 0 diverged.

    Returns:
      Metrics with the keys _METRICS; see `tune`.

    Raises:
      UserError: The trial and the baseline were measured on different data.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the table of trials
            run_experiment(config, folder, overrides)
    except training.TrainingDivergedError as error:
        _log(f"diverged: {error}")
        return dict.fromkeys(_METRICS)
    *others, row = comparable.read([baseline, folder] if baseline else [folder])
    accuracy = row.metric("accuracy")
    interval, difference = accuracy.ends and list(accuracy.ends), None
    if others:
        paired = comparable.pair(row, others[0]).difference
        difference = [paired.mean, *(paired.ends or ())]
    likelihood = row.metric("negative_log_likelihood").mean
    values = (
        *(accuracy.mean, accuracy.spread, interval, str(row.groups)),
        *(likelihood, difference, row.incomplete),
    )
    return dict(zip(_METRICS, values, strict=True))


def _read_finished(workdir: pathlib.Path, settings: Mapping[str, Any]) -> list[dict]:
    """Reads the finished trials of a workdir.

    Raises:
      UserError: The trials belong to a search with other settings.
    """
    path = workdir / FILE_NAME
    if not path.exists():
        return []
    stored = json.loads(path.read_text())
    if differences := identity.differences(settings, stored["settings"]):
        raise errors.UserError(
            f"{workdir} holds trials of another search. Differences: {'; '.join(differences)}. "
            "Choose another --workdir"
        )
    return stored["trials"]


def _trial_folder(workdir: pathlib.Path, n: int) -> pathlib.Path:
    return workdir / "trials" / str(n)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

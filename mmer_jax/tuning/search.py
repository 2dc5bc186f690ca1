"""Trials one after another, each a run on validation data; and which did best.

Every trial is `run.run` with `config.split.tested` "validation" in WORKDIR/trials/<n>: the
test part of each cell is put away, unread. WORKDIR/tuning.json has what is finished.
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
from mmer_jax.experiments import cells, learning_rate_search
from mmer_jax.experiments.run import check_config, run_experiment
from mmer_jax.experiments.workdir import lock_workdir
from mmer_jax.tuning import space
from mmer_jax.utils.progress import Progress

FILE_NAME = "tuning.json"

# What holds for every trial, whatever the config says. Networks are not wanted, their scores are.
EVERY_TRIAL = {"split.tested": "validation", "run.keep_params": False}

Trial = Mapping[str, Any]


def tune(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    overrides: Mapping[str, object],
    searched: Sequence[str],
    *,
    trials: int,
    seed: int,
) -> list[Trial]:
    """Runs the trials that the workdir lacks.

    Args:
      config: as one of configs/ gives it; one row, one protocol.
      workdir: where trials and tuning.json go; continued if it exists.
      overrides: dotted fields given on the command line, already in `config`.
      searched: FIELD=WHAT, as space.parse reads them.
      trials: how many, the config's own values included, which are the first.
      seed: of what is drawn for the others.

    Returns:
      the trials, the best first. Each has `trial`, its number; `values`, by field; and of the
      clips of the validation part, all None if it diverged: `accuracy` in 0..1, over seeds, with
      `spread` (None with one seed) and `interval`, 95% over people; `negative_log_likelihood`; and
      `difference`, [mean, low, high] of the accuracy less that of trial 0.

    Raises:
      UserError: a mistake in what is searched; a config without validation data of its own; or a
        workdir that holds trials of another search.
      training.Interrupted: SIGTERM or SIGINT; the same call continues.
    """
    if trials < 2:
        raise errors.UserError(f"--trials is {trials}; a search needs 2 or more")
    if seed < 0:
        raise errors.UserError(f"--seed is {seed}; it must be 0 or more")
    row = _only_row(config, overrides)
    fields = [space.parse(config, text) for text in searched]
    if len({field.name for field in fields}) < len(fields):
        raise errors.UserError("--search names a field twice")
    flat = identity.flatten(row.to_dict())
    own = {field.name: flat[field.name] for field in fields}
    drawn = space.draw(fields, own, trials, seed)
    prepared = [_prepare(config, overrides, n, values) for n, values in enumerate(drawn)]

    with lock_workdir(workdir):
        asked = {f: row.to_dict()[f] for f in ("protocols", "folds", "seeds", "protocol_seeds")}
        asked |= {"config": identity.fields(row), "searched": list(searched), "seed": seed}
        settings = identity.flatten(asked)
        done = _finished(workdir, settings)
        with Progress(len(drawn), "tuning", "trials") as progress:
            progress.skip_to(min(len(done), len(drawn)))
            for n in range(len(done), len(drawn)):
                _say(f"trial {n}: {space.flags(drawn[n])}")
                compared = n > 0 and done[0]["accuracy"] is not None
                first = _folder(workdir, 0) if compared else None
                figures = _score(*prepared[n], _folder(workdir, n), first)
                done.append({"trial": n, "values": drawn[n], **figures})
                cells.write_json(workdir / FILE_NAME, {"settings": settings, "trials": done})
                progress.update(1, note=f"best: trial {ranked(done)[0]['trial']}")
    return ranked(done[: len(drawn)])


def ranked(done: Sequence[Trial]) -> list[Trial]:
    """The best first: by accuracy, then negative log-likelihood, then number; diverged ones last.

    Args:
      done: as `tune` returns them, in any order.
    """
    return sorted(
        done,
        key=lambda t: (
            t["accuracy"] is None,
            -(t["accuracy"] or 0.0),
            t["negative_log_likelihood"] or 0.0,
            t["trial"],
        ),
    )


def _only_row(config, overrides) -> ml_collections.ConfigDict:
    """The config of the row that is tuned; UserError if it has no validation data of its own."""
    resolve.split_names(config)
    names = resolve.requested_rows(config)
    if len(names) > 1:
        raise errors.UserError(
            f"the tuner takes one row that is one network, not {', '.join(names)}; choose it after "
            "the config's name, as in --config=configs/FILE.py:mel"
        )
    if len(config.protocols) != 1:
        raise errors.UserError(
            f"the tuner takes one protocol, not {', '.join(config.protocols) or 'none'}; choose "
            "it with --config.protocols=NAME"
        )
    row = resolve.resolve_row(config, names[0], overrides)
    learning_rate_search.check_validation(row, "the tuner")
    return row


def _prepare(config, overrides, n: int, values) -> tuple[ml_collections.ConfigDict, dict]:
    """A trial's config and overrides, checked before any trial runs."""
    config = config.copy_and_resolve_references()
    mine = {**EVERY_TRIAL, **values}
    config.update_from_flattened_dict(mine)
    overrides = {**overrides, **mine}
    try:
        check_config(config, overrides)
    except errors.UserError as error:
        raise errors.UserError(f"trial {n} ({space.flags(values)}): {error}") from error
    return config, overrides


_FIGURES = ("accuracy", "spread", "interval", "negative_log_likelihood", "difference")


def _score(config, overrides, folder: pathlib.Path, first: pathlib.Path | None) -> dict[str, Any]:
    """Runs a trial in its folder; what it says of its clips, and beside the first trial's folder.

    Raises:
      UserError: the two were measured on other data.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):  # its tables are not what was asked for
            run_experiment(config, folder, overrides)
    except training.TrainingDivergedError as error:
        _say(f"diverged: {error}")
        return dict.fromkeys(_FIGURES)
    *others, row = comparable.read([first, folder] if first else [folder])
    accuracy = row.metric("accuracy")
    ends, difference = [accuracy.low, accuracy.high], None
    if others:
        less = comparable.pair(row, others[0]).difference
        difference = [less.mean, less.low, less.high]
    likelihood = row.metric("negative_log_likelihood").mean
    values = (accuracy.mean, accuracy.spread, ends, likelihood, difference)
    return dict(zip(_FIGURES, values, strict=True))


def _finished(workdir: pathlib.Path, settings: Mapping) -> list[dict]:
    """The trials that a workdir has; UserError if they are of another search."""
    path = workdir / FILE_NAME
    if not path.exists():
        return []
    stored = json.loads(path.read_text())
    if differ := identity.differences(settings, stored["settings"]):
        raise errors.UserError(
            f"{workdir} holds trials of another search. What differs: {'; '.join(differ)}. Choose "
            "another --workdir"
        )
    return stored["trials"]


def _folder(workdir: pathlib.Path, n: int) -> pathlib.Path:
    return workdir / "trials" / str(n)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

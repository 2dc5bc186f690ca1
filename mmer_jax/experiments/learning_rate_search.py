"""What a cell chooses by its validation part: when to stop (training/stopping.py), and its rate.

To choose a learning rate a cell trains one network with each of `config.optimizer.learning_rate_search` and
keeps the one that does best on the validation part. The test part is put away until that is
settled: only the chosen network ever sees it.
"""

import json
import math
import pathlib
import shutil
from collections.abc import Iterable, Mapping

import ml_collections

from mmer_jax import errors, models, training
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import pack
from mmer_jax.experiments import cells
from mmer_jax.protocols import groups, registry
from mmer_jax.training import checkpoints, early_stopping, loop, normalization


def check(config: ml_collections.ConfigDict) -> None:
    """Refuses choices that the config (of one row) has no validation data for; UserError."""
    rates = config.optimizer.learning_rate_search
    if len(rates) == 1 or len(set(rates)) < len(rates) or not all(map(_is_rate, rates)):
        raise errors.UserError(
            f"config.optimizer.learning_rate_search is {tuple(rates)}; it must be empty, or two or more "
            "different rates above 0, as in --config.optimizer.learning_rate_search=1e-4,3e-4,1e-3"
        )
    asked = {
        "config.early_stopping.patience": early_stopping.is_on(config),
        "config.optimizer.learning_rate_search": bool(rates),
    }
    for field in (field for field, is_asked in asked.items() if is_asked):
        if config.split.tested == "validation":
            raise errors.UserError(
                f"{field} chooses by the validation part, which config.split.tested puts in the "
                "test part's place: a number chosen by the examples that it is measured on means "
                "nothing. Leave one of the two out"
            )
        check_validation(config, field)


def check_validation(config: ml_collections.ConfigDict, what: str) -> None:
    """Refuses a config whose validation part cannot be chosen by.

    Args:
      config: of one row.
      what: needs it; begins the message.

    Raises:
      UserError: there is no validation part, or it holds versions of training clips.
    """
    if not config.split.validation_fraction:
        raise errors.UserError(
            f"{what} needs a validation part, and there is none: choose "
            "--config.split.validation_fraction above 0, such as 0.2"
        )
    mixed = [n for n in config.protocols if registry.get(n).unit is groups.rows]
    if mixed:
        apart = [n for n, p in registry.PROTOCOLS.items() if p.unit is not groups.rows]
        raise errors.UserError(
            f"{what} cannot be served under {', '.join(mixed)}: its validation examples are "
            "versions of training clips, and would choose what remembers these best. Choose "
            f"--config.protocols among {', '.join(apart)}"
        )


def _is_rate(rate: object) -> bool:
    return isinstance(rate, int | float) and 0 < rate < math.inf


def run_cell(
    cell: Cell, config: ml_collections.ConfigDict, data: pack.Pack, workdir: pathlib.Path
) -> None:
    """Trains a cell's candidates, those that are not yet; leaves of the best what a cell leaves.

    Its record says also `chosen_learning_rate`, and under `rates` what validation said of each.
    All that is kept meanwhile is in WORKDIR/checkpoints/<cell>/.

    Args:
      cell, config, data, workdir: as cells.run_cell has them; `config.optimizer.learning_rate_search` is set.

    Raises:
      TrainingDivergedError: every candidate diverged. Where only some do, they lose.
      training.Interrupted: as cells.run_cell.
    """
    trained_on, parts = cells.examples(cell, config, data)
    validation = {"validation": parts["validation"]}
    candidates = {}
    for rate in map(float, config.optimizer.learning_rate_search):
        candidates[rate] = _candidate(cell, rate, config, data, trained_on, validation, workdir)
    told = {rate: {f: said[f] for f in _FIGURES} for rate, said in candidates.items()}
    rate = best(told)
    if rate is None:
        raise training.TrainingDivergedError(
            f"{cell.name} diverged with every learning rate of config.optimizer.learning_rate_search, "
            f"{', '.join(f'{rate:g}' for rate in told)}. Try smaller ones in another --workdir."
        )

    params = checkpoints.load_params(_params(workdir, cell, rate))
    probabilities = training.predict(
        config,
        models.build(config),
        data.arrays,
        parts,
        params,
        standard=normalization.of(config, data, trained_on, parts),
    )
    about = cells.describe(cell, config, data, len(trained_on), parts) | {
        "chosen_learning_rate": rate,
        "rates": [{"learning_rate": rate, **figures} for rate, figures in told.items()],
    }
    history = candidates[rate]["history"]
    measured = loop.Measurement(config.epochs, probabilities, history)
    cells.leave_network(cell, config, data, workdir, measured, parts, about)
    if config.run.keep_params:
        checkpoints.save_params(workdir / "params" / cell.name, params)
    shutil.rmtree(workdir / "checkpoints" / cell.name)


_FIGURES = ("validation_accuracy", "validation_loss")


def best(told: Mapping[float, Mapping[str, float | None]]) -> float | None:
    """The learning rate whose network has the highest validation accuracy; of equals the lowest
    validation loss, then the smaller rate. None if all diverged.

    Args:
      told: rate -> validation_accuracy and validation_loss, None where its training diverged.
    """
    alive: Iterable[float] = (r for r, t in told.items() if t["validation_accuracy"] is not None)
    return min(
        alive,
        key=lambda r: (-told[r]["validation_accuracy"], told[r]["validation_loss"], r),
        default=None,
    )


def _candidate(cell, rate, config, data, trained_on, parts, workdir) -> dict:
    """What validation says of the network with a rate; trained unless it was. With its history."""
    name = f"{cell.name}/rate{rate!r}"
    path = workdir / "checkpoints" / f"{name}.json"
    if path.exists():  # written last
        shutil.rmtree(workdir / "checkpoints" / name, ignore_errors=True)
        return json.loads(path.read_text())
    config = config.copy_and_resolve_references()
    config.optimizer.learning_rate = rate
    found = dict.fromkeys(_FIGURES) | {"history": []}

    def on_measure(measured: loop.Measurement) -> None:
        said = early_stopping.judge(parts["validation"].label, measured.probabilities["validation"])
        found.update(said, history=list(measured.history))

    try:
        outcome = cells.train_network(
            name, config, data, trained_on, parts, cell.seed, workdir, on_measure
        )
    except training.TrainingDivergedError:
        cells.write_json(path, found)
        shutil.rmtree(workdir / "checkpoints" / name)
        return found
    checkpoints.save_params(_params(workdir, cell, rate), outcome.state.measured_params)
    cells.write_json(path, found)
    cells.finish_network(name, workdir, outcome)
    return found


def _params(workdir: pathlib.Path, cell: Cell, rate: float) -> pathlib.Path:
    return workdir / "checkpoints" / cell.name / f"params{rate!r}"

"""Learning-rate search: a cell keeps the learning rate with the best validation accuracy.

One network is trained for each rate of `config.optimizer.learning_rate_search`, as a cell of its
own. The test subset is not read until the search is decided: only the chosen network is tested.
"""

import json
import math
import pathlib
import shutil
from collections.abc import Mapping

import ml_collections

from mmer_jax import errors, training
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import pack
from mmer_jax.experiments.cell_results import VALIDATION_METRICS, CellResults, candidate_path
from mmer_jax.inference.predictor import Predictor
from mmer_jax.inference.workdirs import params_folder
from mmer_jax.protocols import groups, registry, splits
from mmer_jax.training import checkpoints, early_stopping, normalization


def check(config: ml_collections.ConfigDict) -> None:
    """Checks the rates of a search, and the validation subset that search and early stopping need.

    Raises:
      UserError: Bad learning rates; or a search or early stopping without a validation subset, with
        one that `split.tested` measures on, or with one that holds versions of training clips.
    """
    rates = config.optimizer.learning_rate_search
    if len(rates) == 1 or len(set(rates)) < len(rates) or not all(map(_is_rate, rates)):
        raise errors.UserError(
            f"config.optimizer.learning_rate_search is {tuple(rates)}; it must be empty, or two or "
            "more different rates above 0, as in "
            "--config.optimizer.learning_rate_search=1e-4,3e-4,1e-3"
        )
    is_used = {
        "config.early_stopping.patience": early_stopping.is_on(config),
        "config.optimizer.learning_rate_search": bool(rates),
    }
    for field in (field for field, used in is_used.items() if used):
        if config.split.tested == "validation":
            raise errors.UserError(
                f"{field} chooses by the validation subset, which config.split.tested puts in the "
                "place of the test subset: a number chosen by the examples that it is measured on "
                "means nothing. Use one of the two"
            )
        check_validation(config, field)


def check_validation(config: ml_collections.ConfigDict, what: str) -> None:
    """Checks that a config has a validation subset that can be chosen by.

    Args:
      config: Config of one row.
      what: What needs it; begins the message.

    Raises:
      UserError: There is no validation subset, or it holds versions of training clips.
    """
    if not config.split.validation_fraction:
        raise errors.UserError(
            f"{what} needs a validation subset, and there is none: choose "
            "--config.split.validation_fraction above 0, such as 0.2"
        )
    leaking = [n for n in config.protocols if registry.get(n).group is groups.single_examples]
    if leaking:
        others = [n for n, p in registry.PROTOCOLS.items() if p.group is not groups.single_examples]
        raise errors.UserError(
            f"{what} cannot be used under {', '.join(leaking)}: its validation examples are "
            "versions of training clips and would favor memorization. Choose --config.protocols "
            f"among {', '.join(others)}"
        )


def _is_rate(rate: object) -> bool:
    return isinstance(rate, int | float) and 0 < rate < math.inf


def candidates(cell: Cell, config: ml_collections.ConfigDict) -> list[Cell]:
    """Returns the candidate cells of a cell's search."""
    return [cell.candidate(rate) for rate in config.optimizer.learning_rate_search]


def choose(
    cell: Cell, config: ml_collections.ConfigDict, data: pack.Pack, workdir: pathlib.Path
) -> None:
    """Chooses among the finished candidates of a cell, and writes the cell's results.

    Its record has the fields `chosen_learning_rate` and `rates`, the validation metrics of each.

    Args:
      cell: The cell; `config.optimizer.learning_rate_search` is set.
      config: Config of its row.
      data: The pack of its row.
      workdir: The workdir, which has the candidates' results.

    Raises:
      TrainingDivergedError: Every candidate diverged. Where only some did, they lose.
    """
    finished = {
        float(c.learning_rate or 0): json.loads(candidate_path(workdir, c).read_text())
        for c in candidates(cell, config)
    }
    scores = {rate: {m: found[m] for m in VALIDATION_METRICS} for rate, found in finished.items()}
    rate = best(scores)
    if rate is None:
        raise training.TrainingDivergedError(
            f"{cell.name} diverged with every learning rate of "
            f"config.optimizer.learning_rate_search, {', '.join(f'{r:g}' for r in scores)}. Try "
            "smaller ones in another --workdir."
        )
    params = checkpoints.load_params(params_folder(workdir, cell.candidate(rate)))
    subsets = splits.split_cell(cell, config, data)
    norm = normalization.compute(config, data, subsets)
    predictor = Predictor(config)
    probabilities = {
        name: predictor.probabilities(params, data.arrays, subset.indices, norm)
        for name, subset in subsets.items()
        if name != "train"
    }
    results = CellResults(cell, config, data, workdir, subsets)
    results.write_evaluation(
        training.Evaluation(config.epochs, probabilities, finished[rate]["history"]),
        chosen_learning_rate=rate,
        rates=[{"learning_rate": r, **metrics} for r, metrics in scores.items()],
    )
    results.write_params(params)
    for candidate in candidates(cell, config):
        shutil.rmtree(params_folder(workdir, candidate), ignore_errors=True)
        candidate_path(workdir, candidate).unlink()


def best(scores: Mapping[float, Mapping[str, float | None]]) -> float | None:
    """Returns the learning rate with the highest validation accuracy.

    Ties are broken by the lower validation loss, then by the smaller learning rate.

    Args:
      scores: Learning rate -> its validation_accuracy and validation_loss, both None if training
        diverged.

    Returns:
      The rate, or None if all diverged.
    """
    ranks = [
        (-accuracy, scores[rate]["validation_loss"], rate)
        for rate, score in scores.items()
        if (accuracy := score["validation_accuracy"]) is not None
    ]
    return min(ranks)[-1] if ranks else None

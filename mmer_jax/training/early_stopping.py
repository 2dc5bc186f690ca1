"""Early stopping on validation data: which epoch's parameters are kept, and when training ends.

Prechelt (1998), doi:10.1007/3-540-49430-8_3. The history alone decides. It has every epoch's
validation figures and is in every checkpoint, so a continued run decides as one never stopped.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mmer_jax import errors
from mmer_jax.evaluation import metrics

History = Sequence[Mapping[str, float]]

# What is watched -> how an epoch ranks, by its entry of the history; the least is the best.
MONITORS: dict[str, Callable[[Mapping[str, float]], float]] = {
    "loss": lambda entry: entry["validation_loss"],
    "accuracy": lambda entry: -entry["validation_accuracy"],
}


def check(config) -> None:
    """UserError for fields of `config.stopping` (of one row) that mean nothing."""
    patience = config.early_stopping.patience
    if patience < 0:
        raise errors.UserError(
            f"config.early_stopping.patience is {patience}; it is a number of epochs, or 0 for none"
        )
    if config.early_stopping.monitor not in MONITORS:
        raise errors.unknown("figure to stop by", config.early_stopping.monitor, MONITORS)


def is_on(config) -> bool:
    """Whether a config (of one row) asks for it."""
    return config.early_stopping.patience > 0


def judge(label: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """What an epoch's entry of the history says of the validation part.

    Args:
      label: int [n].
      probabilities: float [n, classes], by the parameters after the epoch.
    """
    told = metrics.measure(label, probabilities)
    return {"validation_loss": told["loss"], "validation_accuracy": told["accuracy"]}


def best_epoch(config, history: History) -> int:
    """The epoch whose parameters are kept: of equals the earliest.

    Args:
      config: of one row, with early stopping on.
      history: one dict an epoch, with what `judge` says; one epoch or more.
    """
    best = min(history, key=MONITORS[config.early_stopping.monitor])
    return int(best["epoch"])


def is_over(config, history: History) -> bool:
    """Whether so many epochs were no better than the best one that patience has run out."""
    return len(history) - best_epoch(config, history) >= config.early_stopping.patience


def describe(config, history: History) -> dict[str, int]:
    """What a record says of it; nothing where it is off."""
    if not is_on(config):
        return {}
    return {"best_epoch": best_epoch(config, history), "stopped_epoch": len(history)}

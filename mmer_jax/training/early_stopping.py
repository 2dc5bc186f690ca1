"""Early stopping on validation data: which epoch's parameters are kept, and when training ends.

Prechelt (1998), doi:10.1007/3-540-49430-8_3. The decision depends on the history alone. It holds
the validation metrics of every epoch and is part of every checkpoint, so that a continued run
decides as one that was never stopped.
"""

from collections.abc import Callable, Mapping, Sequence

import ml_collections
import numpy as np

from mmer_jax import errors
from mmer_jax.evaluation import metrics

History = Sequence[Mapping[str, float]]

# Monitored metric -> rank of an epoch by its entry of the history; the lowest is the best.
MONITORS: dict[str, Callable[[Mapping[str, float]], float]] = {
    "loss": lambda entry: entry["validation_loss"],
    "accuracy": lambda entry: -entry["validation_accuracy"],
}


def check(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of `config.early_stopping` (of one row).

    Raises:
      UserError: A field has an invalid value.
    """
    patience = config.early_stopping.patience
    if patience < 0:
        raise errors.UserError(
            f"config.early_stopping.patience is {patience}; it is a number of epochs, or 0 for none"
        )
    if config.early_stopping.monitor not in MONITORS:
        raise errors.unknown("metric to monitor", config.early_stopping.monitor, MONITORS)


def is_on(config: ml_collections.ConfigDict) -> bool:
    """Returns whether a config (of one row) uses early stopping."""
    return config.early_stopping.patience > 0


def validation_metrics(label: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Computes the validation metrics of an epoch's entry of the history.

    Args:
      label: int [n].
      probabilities: float [n, classes], of the parameters after the epoch.
    """
    measured = metrics.measure(label, probabilities)
    return {"validation_loss": measured["loss"], "validation_accuracy": measured["accuracy"]}


def best_epoch(config: ml_collections.ConfigDict, history: History) -> int:
    """Returns the epoch whose parameters are kept, the earliest in case of a tie.

    Args:
      config: Config of one row with early stopping.
      history: One dict per epoch with the keys of `validation_metrics`; at least one.
    """
    best = min(history, key=MONITORS[config.early_stopping.monitor])
    return int(best["epoch"])


def is_over(config: ml_collections.ConfigDict, history: History) -> bool:
    """Returns whether the last `patience` epochs were no better than the best one."""
    return len(history) - best_epoch(config, history) >= config.early_stopping.patience


def describe(config: ml_collections.ConfigDict, history: History) -> dict[str, int]:
    """Returns the fields of a record about early stopping; none where it is off."""
    if not is_on(config):
        return {}
    return {"best_epoch": best_epoch(config, history), "stopped_epoch": len(history)}

"""Optimizers and learning-rate schedules, by name."""

import functools
import json

import jax
import ml_collections
import optax

from mmer_jax import errors


def _adam(learning_rate, config) -> optax.GradientTransformation:
    # Default epsilon of Keras, the framework used in the paper.
    return optax.adam(learning_rate, eps=1e-7)


def _adamw(learning_rate, config) -> optax.GradientTransformation:
    # Arrays of two axes or more decay: kernels, but also the biases of query, key and value in
    # nn.MultiHeadDotProductAttention, [heads, width / heads]. Other biases and scales do not.
    return optax.adamw(
        learning_rate,
        eps=1e-7,
        weight_decay=config.weight_decay,
        mask=lambda params: jax.tree.map(lambda x: x.ndim > 1, params),
    )


OPTIMIZERS = {"adam": _adam, "adamw": _adamw}


def _constant(config, steps_per_epoch: int):
    del steps_per_epoch
    return config.optimizer.learning_rate


def _cosine(config, steps_per_epoch: int) -> optax.Schedule:
    """Returns a linear warm-up, then a cosine decay towards zero over the remaining steps.

    Loshchilov and Hutter (2017), arXiv:1608.03983, without restarts; the warm-up is an addition.
    """
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=config.optimizer.learning_rate,
        warmup_steps=config.optimizer.warmup_epochs * steps_per_epoch,
        decay_steps=config.epochs * steps_per_epoch,
    )


SCHEDULES = {"constant": _constant, "cosine": _cosine}


def make_optimizer(
    config: ml_collections.ConfigDict, steps_per_epoch: int
) -> optax.GradientTransformation:
    """Returns the optimizer of a config, with its learning-rate schedule.

    Args:
      config: Config of one row; `optimizer` and `epochs` are read.
      steps_per_epoch: Batches per epoch.

    Raises:
      UserError: An unknown optimizer or schedule, or values that do not fit together.
    """
    check(config)
    return _make_optimizer(_fields(config), steps_per_epoch)


def learning_rate(config: ml_collections.ConfigDict, steps_per_epoch: int, step: int) -> float:
    """Returns the learning rate of training step `step`, counted from 0."""
    schedule = SCHEDULES[config.optimizer.schedule](config, steps_per_epoch)
    return float(schedule(step) if callable(schedule) else schedule)


def check(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of `config.optimizer`.

    Raises:
      UserError: An unknown optimizer or schedule, a weight decay that the optimizer ignores, or a
        warm-up that the schedule or the number of epochs does not allow.
    """
    optimizer = config.optimizer
    if optimizer.name not in OPTIMIZERS:
        raise errors.unknown("optimizer", optimizer.name, OPTIMIZERS)
    if optimizer.schedule not in SCHEDULES:
        raise errors.unknown("schedule", optimizer.schedule, SCHEDULES)
    if optimizer.weight_decay and optimizer.name == "adam":
        raise errors.UserError(
            "config.optimizer.weight_decay is for adamw; choose --config.optimizer.name=adamw"
        )
    if optimizer.warmup_epochs and optimizer.schedule == "constant":
        raise errors.UserError(
            "config.optimizer.warmup_epochs has no effect with the constant schedule; choose "
            "--config.optimizer.schedule=cosine"
        )
    if optimizer.warmup_epochs >= config.epochs > 0 and optimizer.schedule != "constant":
        raise errors.UserError(
            f"config.optimizer.warmup_epochs is {optimizer.warmup_epochs}; it must be below "
            f"config.epochs, {config.epochs}"
        )


def _fields(config: ml_collections.ConfigDict) -> str:
    fields = {"optimizer": config.optimizer.to_dict(), "epochs": config.epochs}
    return json.dumps(fields, sort_keys=True)


@functools.lru_cache(64)
def _make_optimizer(fields: str, steps_per_epoch: int) -> optax.GradientTransformation:
    """Returns the same object for the same fields, so that compiled programs are reused."""
    config = ml_collections.ConfigDict(json.loads(fields))
    schedule = SCHEDULES[config.optimizer.schedule](config, steps_per_epoch)
    return OPTIMIZERS[config.optimizer.name](schedule, config.optimizer)

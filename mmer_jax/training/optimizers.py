"""Optimizers and their learning rates over time, by name."""

import functools
import json

import jax
import ml_collections
import optax

from mmer_jax import errors


def _adam(rate, config) -> optax.GradientTransformation:
    if config.weight_decay:
        raise errors.UserError(
            "config.optimizer.weight_decay is for adamw; choose --config.optimizer.name=adamw"
        )
    # Keras's epsilon, since Keras is what the paper used.
    return optax.adam(rate, eps=1e-7)


def _adamw(rate, config) -> optax.GradientTransformation:
    # Kernels decay; biases, scales and offsets do not.
    return optax.adamw(
        rate,
        eps=1e-7,
        weight_decay=config.weight_decay,
        mask=lambda params: jax.tree.map(lambda x: x.ndim > 1, params),
    )


OPTIMIZERS = {"adam": _adam, "adamw": _adamw}


def _constant(config, steps_per_epoch: int):
    del steps_per_epoch
    return config.optimizer.learning_rate


def _cosine(config, steps_per_epoch: int) -> optax.Schedule:
    """Linear warm-up to the learning rate, then half a cosine down to zero at the last step.

    Loshchilov and Hutter (2017), arXiv:1608.03983, without restarts.
    """
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=config.optimizer.learning_rate,
        warmup_steps=config.optimizer.warmup_epochs * steps_per_epoch,
        decay_steps=config.epochs * steps_per_epoch,
    )


SCHEDULES = {"constant": _constant, "cosine": _cosine}


def make_optimizer(config, steps_per_epoch: int) -> optax.GradientTransformation:
    """The optimizer that `config.optimizer` names, with its rate over the run's steps.

    Args:
      config: of one row; `optimizer` and `epochs` are read.
      steps_per_epoch: batches of one epoch.

    Raises:
      UserError: an unknown optimizer or schedule, or values that do not fit together.
    """
    chosen = config.optimizer
    if chosen.name not in OPTIMIZERS:
        raise errors.unknown("optimizer", chosen.name, OPTIMIZERS)
    if chosen.schedule not in SCHEDULES:
        raise errors.unknown("schedule", chosen.schedule, SCHEDULES)
    if chosen.warmup_epochs and chosen.schedule == "constant":
        raise errors.UserError(
            "config.optimizer.warmup_epochs needs a schedule; choose "
            "--config.optimizer.schedule=cosine"
        )
    if chosen.warmup_epochs >= config.epochs > 0 and chosen.schedule != "constant":
        raise errors.UserError(
            f"config.optimizer.warmup_epochs is {chosen.warmup_epochs}; it must be below "
            f"config.epochs, {config.epochs}"
        )
    about = {"optimizer": chosen.to_dict(), "epochs": config.epochs}
    return _make(json.dumps(about, sort_keys=True), steps_per_epoch)


@functools.lru_cache(64)
def _make(about: str, steps_per_epoch: int) -> optax.GradientTransformation:
    """The same object for the same fields: what was compiled with it serves again."""
    config = ml_collections.ConfigDict(json.loads(about))
    chosen = config.optimizer
    return OPTIMIZERS[chosen.name](SCHEDULES[chosen.schedule](config, steps_per_epoch), chosen)

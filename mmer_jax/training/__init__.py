"""State, the jitted step, devices, checkpoints and the loop. Needs no TensorFlow."""

from mmer_jax.training.loop import (
    Interrupted,
    Outcome,
    TrainingDivergedError,
    check,
    predict,
    train,
)

__all__ = ["Interrupted", "Outcome", "TrainingDivergedError", "check", "predict", "train"]

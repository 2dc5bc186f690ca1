"""State, the jitted step, devices, checkpoints and the loop. Needs no TensorFlow."""

from mmer_jax.training.loop import (
    DeviceMemoryError,
    Outcome,
    TrainingDivergedError,
    check,
    predict,
    train,
)
from mmer_jax.training.preemption import Interrupted

__all__ = [
    "DeviceMemoryError",
    "Interrupted",
    "Outcome",
    "TrainingDivergedError",
    "check",
    "predict",
    "train",
]

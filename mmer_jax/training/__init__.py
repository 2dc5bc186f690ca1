"""Training of one network: loop, step, input pipeline, checkpoints. Needs no TensorFlow."""

from mmer_jax.training.loop import (
    DeviceMemoryError,
    Evaluation,
    TrainingDivergedError,
    TrainResult,
    check,
    train,
)
from mmer_jax.training.preemption import Interrupted, Preemption

__all__ = [
    "DeviceMemoryError",
    "Evaluation",
    "Interrupted",
    "Preemption",
    "TrainResult",
    "TrainingDivergedError",
    "check",
    "train",
]

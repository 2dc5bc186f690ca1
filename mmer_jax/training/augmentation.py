"""Random changes of training batches; all off in the paper's configs."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import ml_collections

from mmer_jax import errors, modalities
from mmer_jax.models import tower

Inputs = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of a batch in training; zeros change nothing.

    Attributes:
      time_shift, frequency_shift: Largest shift of a spectrogram, as a fraction of its side.
      time_masks, frequency_masks: Number of SpecAugment masks.
      time_width, frequency_width: Largest width of a mask, as a fraction of the side.
      mixup: Alpha of mixup's Beta(alpha, alpha).
      modality_dropout: Rate at which an input of an example is zeroed.
    """

    time_shift: float = 0.0
    frequency_shift: float = 0.0
    time_masks: int = 0
    time_width: float = 0.0
    frequency_masks: int = 0
    frequency_width: float = 0.0
    mixup: float = 0.0
    modality_dropout: float = 0.0

    @classmethod
    def from_config(cls, config: ml_collections.ConfigDict) -> "Augmentation":
        """Returns the augmentation of a config (of one row).

        Raises:
          UserError: An amount is out of its range.
        """
        augment = config.augment
        fractions = ("time_shift", "frequency_shift", "time_width", "frequency_width")
        for field in (*fractions, "modality_dropout"):
            if not 0 <= augment[field] < 1:
                raise errors.UserError(
                    f"config.augment.{field} is {augment[field]}; it must be at least 0 and below 1"
                )
        for field in ("time_masks", "frequency_masks", "mixup"):
            if augment[field] < 0:
                raise errors.UserError(
                    f"config.augment.{field} is {augment[field]}; it must be at least 0"
                )
        return cls(**{f.name: augment[f.name] for f in dataclasses.fields(cls)})

    @property
    def is_active(self) -> bool:
        """Whether anything is changed."""
        masks = self.time_masks * self.time_width + self.frequency_masks * self.frequency_width
        shifts = self.time_shift + self.frequency_shift
        return bool(masks + shifts + self.mixup + self.modality_dropout)

    def __call__(
        self, key: jax.Array, inputs: Inputs, targets: jax.Array
    ) -> tuple[Inputs, jax.Array]:
        """Changes a batch.

        Args:
          key: Random key of the step.
          inputs: For each modality uint8 or normalized float32 [b, h, w, c].
          targets: float32 [b, classes], the weight of each class in an example.

        Returns:
          Inputs as float32, and targets.
        """
        if not self.is_active:
            return inputs, targets
        mask_key, mixup_key, dropout_key, shift_key = jax.random.split(key, 4)
        inputs = {name: tower.to_unit_range(x) for name, x in inputs.items()}
        for i, m in enumerate(modalities.get(inputs)):
            if m.stream == "audio":
                x = self._shift(jax.random.fold_in(shift_key, i), inputs[m.name])
                inputs[m.name] = self._mask(jax.random.fold_in(mask_key, i), x)
        if self.mixup:
            inputs, targets = _mixup(mixup_key, inputs, targets, self.mixup)
        if self.modality_dropout and len(inputs) > 1:
            inputs = _drop_modalities(dropout_key, inputs, self.modality_dropout)
        return inputs, targets

    def _shift(self, key, x):
        """Shifts spectrograms along their axes and fills with their mean.

        A shift along a mel axis roughly changes the voice; vocal tract length perturbation, Jaitly
        and Hinton (2013), warps the axis instead.
        """
        mean = x.mean((1, 2, 3), keepdims=True)
        for axis, largest in ((2, self.time_shift), (1, self.frequency_shift)):
            key, draw = jax.random.split(key)
            if largest:
                length = x.shape[axis]
                shift = jax.random.uniform(draw, (len(x),), minval=-largest, maxval=largest)
                shift = jnp.round(shift * length).astype(int)
                source = jnp.arange(length) - shift[:, None]
                inside = (source >= 0) & (source < length)
                others = tuple(a for a in (1, 2, 3) if a != axis)
                source, inside = (jnp.expand_dims(v, others) for v in (source, inside))
                shifted = jnp.take_along_axis(x, jnp.clip(source, 0, length - 1), axis)
                x = jnp.where(inside, shifted, mean)
        return x

    def _mask(self, key, x):
        """Replaces strips of spectrograms, in time and in frequency, by their mean.

        SpecAugment, Park et al. (2019), arXiv:1904.08779, without time warping.
        """
        mean = x.mean((1, 2, 3), keepdims=True)
        for axis, count, width in (
            (2, self.time_masks, self.time_width),
            (1, self.frequency_masks, self.frequency_width),
        ):
            for _ in range(count):
                key, draw = jax.random.split(key)
                x = jnp.where(_strip(draw, x.shape, axis, width), mean, x)
        return x


NO_AUGMENTATION = Augmentation()


def _strip(key, shape, axis: int, width: float) -> jax.Array:
    """Draws for each example a strip across an axis, up to `width` of its length, as a mask.

    Returns:
      bool, broadcastable to `shape`.
    """
    size, start = jax.random.uniform(key, (2, shape[0], 1))
    size = size * width
    position = (jnp.arange(shape[axis]) + 0.5) / shape[axis]
    start = start * (1 - size)
    inside = (position >= start) & (position < start + size)
    return jnp.expand_dims(inside, tuple(a for a in (1, 2, 3) if a != axis))


def _mixup(key, inputs, targets, alpha: float):
    """Mixes each example with another of its batch. Zhang et al. (2018), arXiv:1710.09412.

    The weight of the example itself is drawn from Beta(alpha, alpha) and is at least a half.
    """
    b = len(targets)
    weight_key, order_key = jax.random.split(key)
    weight = jax.random.beta(weight_key, alpha, alpha, (b, 1))
    weight = jnp.maximum(weight, 1 - weight)
    order = jax.random.permutation(order_key, b)
    mixed = {
        name: weight[..., None, None] * x + (1 - weight[..., None, None]) * x[order]
        for name, x in inputs.items()
    }
    return mixed, weight * targets + (1 - weight) * targets[order]


def _drop_modalities(key, inputs, rate: float):
    """Zeroes modalities of examples at a rate, independently, but never all of an example.

    ModDrop, Neverova et al. (2016), arXiv:1501.00102.
    """
    b = len(next(iter(inputs.values())))
    kept = jax.random.bernoulli(key, 1 - rate, (len(inputs), b))
    kept = kept | ~kept.any(0)
    return {
        name: jnp.where(keep[:, None, None, None], x, 0.0)
        for (name, x), keep in zip(inputs.items(), kept, strict=True)
    }

"""From stored images to what a network sees: normalization, and random changes in training.

All of it is off in the paper's configs: networks then see uint8 images and scale them to 0..1.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from mmer_jax import errors, modalities
from mmer_jax.models import tower

Images = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Augment:
    """Random changes of a batch in training; see configs/base.py. Zeros change nothing."""

    time_shift: float = 0.0
    frequency_shift: float = 0.0
    time_masks: int = 0
    time_width: float = 0.0
    frequency_masks: int = 0
    frequency_width: float = 0.0
    mixup: float = 0.0
    modality_dropout: float = 0.0

    @classmethod
    def of(cls, config) -> "Augment":
        """The changes that a config (of one row) asks for.

        Raises:
          UserError: an amount out of its range, or changes that the row's modalities cannot have.
        """
        asked = config.augment
        shares = ("time_shift", "frequency_shift", "time_width", "frequency_width")
        for field in (*shares, "modality_dropout"):
            if not 0 <= asked[field] < 1:
                raise errors.UserError(
                    f"config.augment.{field} is {asked[field]}; it must be at least 0 and below 1"
                )
        for field in ("time_masks", "frequency_masks", "mixup"):
            if asked[field] < 0:
                raise errors.UserError(
                    f"config.augment.{field} is {asked[field]}; it must be at least 0"
                )
        return cls(**{f.name: asked[f.name] for f in dataclasses.fields(cls)})

    @property
    def changes_images(self) -> bool:
        """Whether anything is changed at all."""
        masks = self.time_masks * self.time_width + self.frequency_masks * self.frequency_width
        moves = self.time_shift + self.frequency_shift
        return bool(masks + moves + self.mixup + self.modality_dropout)

    def __call__(
        self, key: jax.Array, images: Images, targets: jax.Array
    ) -> tuple[Images, jax.Array]:
        """Changes a batch.

        Args:
          key: of the step.
          images: for each modality uint8 or normalized float32 [b, h, w, c].
          targets: float32 [b, classes], the share of each class in an example.

        Returns:
          images as float32, and targets.
        """
        if not self.changes_images:
            return images, targets
        masks, mix, absence, moves = jax.random.split(key, 4)
        images = {name: tower.to_unit_range(x) for name, x in images.items()}
        for i, m in enumerate(modalities.get(images)):
            if m.stream == "audio":
                x = self._moved(jax.random.fold_in(moves, i), images[m.name])
                images[m.name] = self._masked(jax.random.fold_in(masks, i), x)
        if self.mixup:
            images, targets = _mixed(mix, images, targets, self.mixup)
        if self.modality_dropout and len(images) > 1:
            images = _some_absent(absence, images, self.modality_dropout)
        return images, targets

    def _moved(self, key, x):
        """A spectrogram moves along its axes; what comes into view is its mean.

        Along a mel axis this is roughly another voice: Jaitly and Hinton (2013), vocal tract length
        perturbation, bend the axis instead.
        """
        mean = x.mean((1, 2, 3), keepdims=True)
        for axis, most in ((2, self.time_shift), (1, self.frequency_shift)):
            key, now = jax.random.split(key)
            if most:
                length = x.shape[axis]
                by = jax.random.uniform(now, (len(x),), minval=-most, maxval=most) * length
                source = jnp.arange(length) - jnp.round(by).astype(int)[:, None]
                inside = (source >= 0) & (source < length)
                others = tuple(a for a in (1, 2, 3) if a != axis)
                source, inside = (jnp.expand_dims(v, others) for v in (source, inside))
                moved = jnp.take_along_axis(x, jnp.clip(source, 0, length - 1), axis)
                x = jnp.where(inside, moved, mean)
        return x

    def _masked(self, key, x):
        """Strips of a spectrogram, in time and in frequency, take its mean.

        SpecAugment, Park et al. (2019), arXiv:1904.08779, without time warping.
        """
        mean = x.mean((1, 2, 3), keepdims=True)
        for axis, count, width in (
            (2, self.time_masks, self.time_width),
            (1, self.frequency_masks, self.frequency_width),
        ):
            for _ in range(count):
                key, now = jax.random.split(key)
                x = jnp.where(_strip(now, x.shape, axis, width), mean, x)
        return x


NO_CHANGE = Augment()


def _strip(key, shape, axis: int, width: float) -> jax.Array:
    """For each example a strip across an axis, up to `width` of its length: bool, broadcastable."""
    size, start = jax.random.uniform(key, (2, shape[0], 1))
    size = size * width
    place = (jnp.arange(shape[axis]) + 0.5) / shape[axis]
    start = start * (1 - size)
    inside = (place >= start) & (place < start + size)
    return jnp.expand_dims(inside, tuple(a for a in (1, 2, 3) if a != axis))


def _mixed(key, images, targets, alpha: float):
    """Mixup, Zhang et al. (2018), arXiv:1710.09412: each example with one of its batch.

    The share is Beta(alpha, alpha)'s, at least a half: an example stays mostly itself.
    """
    b = len(targets)
    share, order = jax.random.split(key)
    share = jax.random.beta(share, alpha, alpha, (b, 1))
    share = jnp.maximum(share, 1 - share)
    order = jax.random.permutation(order, b)
    mixed = {
        name: share[..., None, None] * x + (1 - share[..., None, None]) * x[order]
        for name, x in images.items()
    }
    return mixed, share * targets + (1 - share) * targets[order]


def _some_absent(key, images, rate: float):
    """Modalities of an example become zeros at a rate, each by itself, but never all of them.

    Neverova et al. (2016), ModDrop, arXiv:1501.00102.
    """
    b = len(next(iter(images.values())))
    present = jax.random.bernoulli(key, 1 - rate, (len(images), b))
    present = present | ~present.any(0)
    return {
        name: jnp.where(there[:, None, None, None], x, 0.0)
        for (name, x), there in zip(images.items(), present, strict=True)
    }

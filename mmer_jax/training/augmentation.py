"""Random changes of training batches; all off in the paper's configs.

Each example draws from a key of its own, which is folded from the key of the step, the position of
the example in the batch, and the name of the augmentation. What happens to an example therefore
depends neither on the padding of its batch nor on the number of devices, and an augmentation that
is added changes none of the draws of the others.
"""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import ml_collections

from mmer_jax import errors, modalities
from mmer_jax.models import tower
from mmer_jax.training import distortion

Inputs = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of a batch in training; zeros change nothing.

    Attributes:
      time_stretch, frequency_stretch: Largest stretch of a spectrogram: 0.2 draws a factor between
        1 / 1.2 and 1.2.
      gain: Largest change of a spectrogram's level, as a fraction of the range of values.
      equalization: Largest change of a frequency's level, as a fraction of the range of values.
      noise_floor: Largest value below which a spectrogram is filled with noise, in 0..1.
      time_shift, frequency_shift: Largest shift of a spectrogram, as a fraction of its side.
      time_masks, frequency_masks: Number of SpecAugment masks.
      time_width, frequency_width: Largest width of a mask, as a fraction of the side.
      mixup: Alpha of mixup's Beta(alpha, alpha).
      modality_dropout: Rate at which an input of an example is zeroed.
    """

    time_stretch: float = 0.0
    frequency_stretch: float = 0.0
    gain: float = 0.0
    equalization: float = 0.0
    noise_floor: float = 0.0
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
        counts = ("time_masks", "frequency_masks", "mixup")
        for field in (f.name for f in dataclasses.fields(cls) if f.name not in counts):
            if not 0 <= augment[field] < 1:
                raise errors.UserError(
                    f"config.augment.{field} is {augment[field]}; it must be at least 0 and below 1"
                )
        for field in counts:
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
        others = self.mixup + self.modality_dropout
        return self._distorts or bool(masks + shifts + others)

    @property
    def _distorts(self) -> bool:
        stretches = self.time_stretch + self.frequency_stretch
        return bool(stretches + self.gain + self.equalization + self.noise_floor)

    def distort(self, key: jax.Array, inputs: Inputs) -> Inputs:
        """Distorts the spectrograms of a batch, before they are normalized.

        Args:
          key: Random key of the step.
          inputs: For each modality uint8 [b, h, w, c].

        Returns:
          The inputs; spectrograms as float32 in 0..1 if there is any distortion.
        """
        if not self._distorts:
            return inputs
        distorted = dict(inputs)
        for i, m in enumerate(modalities.get(inputs)):
            if m.stream == "audio":
                image = tower.to_unit_range(inputs[m.name])
                change = functools.partial(self._distort_one, number=i)
                distorted[m.name] = jax.vmap(change)(_example_keys(key, len(image)), image)
        return distorted

    def _distort_one(self, key, image, number: int):
        if self.time_stretch or self.frequency_stretch:
            draw = _fold_in(key, "stretch", number)
            image = distortion.stretch(draw, image, self.time_stretch, self.frequency_stretch)
        if self.gain or self.equalization:
            draw = _fold_in(key, "equalize", number)
            image = distortion.equalize(draw, image, self.gain, self.equalization)
        if self.noise_floor:
            draw = _fold_in(key, "noise_floor", number)
            image = distortion.raise_noise_floor(draw, image, self.noise_floor)
        return image

    def __call__(
        self, key: jax.Array, inputs: Inputs, targets: jax.Array, mask: jax.Array
    ) -> tuple[Inputs, jax.Array]:
        """Changes a batch, after normalization.

        Args:
          key: Random key of the step.
          inputs: For each modality uint8 or normalized float32 [b, h, w, c].
          targets: float32 [b, classes], the weight of each class in an example.
          mask: float32 [b], 1 for an example and 0 for padding, which comes last.

        Returns:
          Inputs as float32, and targets.
        """
        if not self.is_active:
            return inputs, targets
        inputs = {name: tower.to_unit_range(x) for name, x in inputs.items()}
        keys = _example_keys(key, len(mask))
        inputs = jax.vmap(self._change_images)(keys, inputs)
        if self.mixup:
            inputs, targets = _mixup(keys, inputs, targets, mask, self.mixup)
        if self.modality_dropout and len(inputs) > 1:
            drop = functools.partial(_drop_modalities, rate=self.modality_dropout)
            inputs = jax.vmap(drop)(keys, inputs)
        return inputs, targets

    def _change_images(self, key, images):
        """Changes the images of one example, modality -> float32 [h, w, c], each by itself."""
        images = dict(images)
        for i, m in enumerate(modalities.get(images)):
            if m.stream == "audio":
                image = self._shift(_fold_in(key, "shift", i), images[m.name])
                images[m.name] = self._mask(_fold_in(key, "mask", i), image)
        return images

    def _shift(self, key, image):
        """Shifts a spectrogram along its axes and fills with its mean.

        A shift along a mel axis roughly changes the voice; vocal tract length perturbation, Jaitly
        and Hinton (2013), warps the axis instead.
        """
        mean = image.mean()
        for axis, largest in ((_TIME, self.time_shift), (_FREQUENCY, self.frequency_shift)):
            key, draw = jax.random.split(key)
            if largest:
                length = image.shape[axis]
                shift = jax.random.uniform(draw, minval=-largest, maxval=largest)
                source = jnp.arange(length) - jnp.round(shift * length).astype(int)
                inside = (source >= 0) & (source < length)
                shifted = jnp.take(image, source, axis, mode="clip")
                image = jnp.where(_along(axis, inside), shifted, mean)
        return image

    def _mask(self, key, image):
        """Replaces strips of a spectrogram, in time and in frequency, by its mean.

        SpecAugment, Park et al. (2019), arXiv:1904.08779, without time warping.
        """
        mean = image.mean()
        for axis, count, width in (
            (_TIME, self.time_masks, self.time_width),
            (_FREQUENCY, self.frequency_masks, self.frequency_width),
        ):
            for _ in range(count):
                key, draw = jax.random.split(key)
                strip = _along(axis, _draw_strip(draw, image.shape[axis], width))
                image = jnp.where(strip, mean, image)
        return image


NO_AUGMENTATION = Augmentation()


# Axes of the spectrogram of one example, [h, w, c].
_FREQUENCY, _TIME = 0, 1

# The numbers are part of the results of configs with augmentation.
_STREAMS = {
    **{"mask": 0, "mixup": 1, "modality_dropout": 2, "shift": 3},
    **{"stretch": 4, "equalize": 5, "noise_floor": 6},
}


def _example_keys(key, size: int):
    """Returns the key of each example of a batch, [size]."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(size))


def _fold_in(key, stream: str, number: int = 0):
    """Returns the key of an augmentation of one example, or of its part of the given number."""
    return jax.random.fold_in(jax.random.fold_in(key, _STREAMS[stream]), number)


def _along(axis: int, values):
    """Reshapes [n] to broadcast along an axis of an image, [h, w, c]."""
    return jnp.expand_dims(values, [other for other in range(3) if other != axis])


def _draw_strip(key, length: int, width: float):
    """Draws a strip of an axis, up to `width` of its length, as a mask: bool [length]."""
    size, start = jax.random.uniform(key, (2,))
    size = size * width
    start = start * (1 - size)
    position = (jnp.arange(length) + 0.5) / length
    return (position >= start) & (position < start + size)


def _mixup(keys, inputs, targets, mask, alpha: float):
    """Mixes each example with another of its batch. Zhang et al. (2018), arXiv:1710.09412.

    The partner is drawn uniformly from the other examples, never from padding. It is never the
    example itself, as it is at times in a permutation of the batch, so that a short last batch is
    mixed as much as a full one; an example that is alone in its batch is not changed. The weight of
    the example itself is drawn from Beta(alpha, alpha) and is at least a half.
    """
    count = mask.sum().astype(int)

    def draw(key, position):
        weight_key, partner_key = jax.random.split(_fold_in(key, "mixup"))
        weight = jax.random.beta(weight_key, alpha, alpha)
        # For a single example the range is empty, and JAX returns its lower end.
        partner = (position + jax.random.randint(partner_key, (), 1, count)) % count
        return jnp.maximum(weight, 1 - weight), partner

    weight, partner = jax.vmap(draw)(keys, jnp.arange(len(mask)))

    def mix(x):
        own = jnp.expand_dims(weight, range(1, x.ndim))
        return own * x + (1 - own) * x[partner]

    return jax.tree.map(mix, (inputs, targets))


def _drop_modalities(key, images, rate: float):
    """Zeroes modalities of one example at a rate, independently, but never all of them.

    ModDrop, Neverova et al. (2016), arXiv:1501.00102.
    """
    key = _fold_in(key, "modality_dropout")
    kept = jax.random.bernoulli(key, 1 - rate, (len(images),))
    kept = kept | ~kept.any()
    return {
        name: jnp.where(keep, image, 0.0)
        for (name, image), keep in zip(images.items(), kept, strict=True)
    }

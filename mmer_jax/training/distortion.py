"""Random distortions of spectrograms, as if another voice, room or microphone had been recorded.

A spectrogram here is float32 [h, w, c] with values in 0..1 that are proportional to decibels, low
frequencies in the last line and time to the right. Distortions come before the normalization of
inputs, where a value still means a level.
"""

import jax
import jax.numpy as jnp

# Number of cosines of which an equalization is made: the finest has two periods over all
# frequencies.
_COSINES = 4

# Standard deviation of the noise in a raised noise floor, of values in 0..1: 2 dB of 100.
_NOISE_STD = 0.02


def stretch(key: jax.Array, image: jax.Array, time: float, frequency: float) -> jax.Array:
    """Stretches a spectrogram along its axes by random factors, with linear interpolation.

    In time it changes the speaking rate, about the center of the image. In frequency it changes the
    length of the vocal tract and the pitch (VTLP, Jaitly and Hinton, 2013), about the lowest
    frequency. Beyond its edges the spectrogram continues with its edge values.

    Args:
      key: Random key.
      image: Spectrogram, float32 [h, w, c].
      time: Largest stretch in time, at least 0: the logarithm of the factor is drawn uniformly from
        ±log(1 + time).
      frequency: Largest stretch in frequency, likewise.
    """
    height, width, _ = image.shape
    time_key, frequency_key = jax.random.split(key)
    if time:
        center = (width - 1) / 2
        factor = _draw_factor(time_key, time)
        columns = _interpolation((jnp.arange(width) - center) * factor + center, width)
        image = jnp.einsum("vw,hwc->hvc", columns, image)
    if frequency:
        lowest = height - 1
        factor = _draw_factor(frequency_key, frequency)
        lines = _interpolation((jnp.arange(height) - lowest) * factor + lowest, height)
        image = jnp.einsum("gh,hwc->gwc", lines, image)
    return image


def _draw_factor(key: jax.Array, largest: float) -> jax.Array:
    return jnp.exp(jax.random.uniform(key, minval=-1.0) * jnp.log1p(largest))


def _interpolation(positions: jax.Array, size: int) -> jax.Array:
    """Returns the matrix [n, size] that interpolates linearly at positions, float [n]."""
    positions = jnp.clip(positions, 0, size - 1)
    return jnp.maximum(0.0, 1.0 - jnp.abs(positions[:, None] - jnp.arange(size)))


def equalize(key: jax.Array, image: jax.Array, gain: float, equalization: float) -> jax.Array:
    """Changes the level of a spectrogram: as a whole, and by a smooth random curve over frequency.

    Args:
      key: Random key.
      image: Spectrogram, float32 [h, w, c].
      gain: Largest change of the whole, drawn uniformly from ±gain.
      equalization: Largest change of a frequency by the curve, a mean of cosines with weights drawn
        uniformly from -1..1.

    Returns:
      float32 [h, w, c] in 0..1.
    """
    gain_key, curve_key = jax.random.split(key)
    position = (jnp.arange(image.shape[0]) + 0.5) / image.shape[0]
    cosines = jnp.cos(jnp.pi * jnp.arange(1, _COSINES + 1)[:, None] * position)
    weights = jax.random.uniform(curve_key, (_COSINES,), minval=-1.0)
    curve = equalization * (weights @ cosines) / _COSINES
    change = jax.random.uniform(gain_key, minval=-1.0) * gain + curve
    return jnp.clip(image + change[:, None, None], 0.0, 1.0)


def raise_noise_floor(key: jax.Array, image: jax.Array, largest: float) -> jax.Array:
    """Fills a spectrogram with noise up to a random level.

    Args:
      key: Random key.
      image: Spectrogram, float32 [h, w, c].
      largest: The level is drawn uniformly from 0 to this value.

    Returns:
      float32 [h, w, c] in 0..1.
    """
    level_key, noise_key = jax.random.split(key)
    level = jax.random.uniform(level_key, maxval=largest)
    noise = level + _NOISE_STD * jax.random.normal(noise_key, image.shape)
    return jnp.clip(jnp.maximum(image, noise), 0.0, 1.0)

"""Normalization of inputs: statistics of the examples that a cell may use, and their use."""

import math
from collections.abc import Mapping

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.datasets import pack, selection

# Images of a group whose values hardly differ are not blown up.
_LEAST_DEVIATION = 1e-3

# Bytes of a group's images that are measured as one array, and of the parts in which more are.
_AT_ONCE, _PART = 2**29, 2**24


@flax.struct.dataclass
class Standard:
    """What the images of one modality are normalized by.

    Attributes:
      mean, deviation: float32 [groups, h, 1, c] of values in 0..1; h is 1 for images of light,
        and the number of rows for images of audio, of which each row is a frequency.
      group: int32 [m], the group of each image.
    """

    mean: jax.Array
    deviation: jax.Array
    group: jax.Array


def measure_standard(
    images: np.ndarray, rows: np.ndarray, group_of_row: np.ndarray, by_row: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each group's images.

    Args:
      images: uint8 [m, h, w, c]; may be memory-mapped.
      rows: int [n], the images to measure; each counts once however often it is named.
      group_of_row: int [n], 0 and up; every group has an image.
      by_row: whether each row of the image is measured by itself, as frequencies are.

    Returns:
      mean and deviation, float32 [groups, h or 1, 1, c], of values in 0..1.
    """
    rows, first = np.unique(rows, return_index=True)
    group_of_row = np.asarray(group_of_row)[first]
    axes = (0, 2) if by_row else (0, 1, 2)
    means, deviations = [], []
    for group in range(int(group_of_row.max()) + 1):
        mean, deviation = _mean_and_deviation(images, rows[group_of_row == group], axes)
        means.append(mean[0])
        deviations.append(deviation[0])
    deviation = np.maximum(deviations, _LEAST_DEVIATION)
    return np.asarray(means, np.float32), deviation.astype(np.float32)


def _mean_and_deviation(images, rows, axes) -> tuple[np.ndarray, np.ndarray]:
    """Of values in 0..1, float64; those of more images than memory may hold from sums of parts.

    The two ways differ by rounding. The first one stays, since results were made with it.
    """
    nbytes = len(rows) * math.prod(images.shape[1:])
    if nbytes <= _AT_ONCE:
        values = np.asarray(images[rows]) / np.float32(255)
        mean = values.mean(axes, dtype=np.float64, keepdims=True)
        return mean, values.std(axes, dtype=np.float64, keepdims=True)
    total = squares = count = 0
    for part in np.array_split(rows, -(-nbytes // _PART)):
        values = np.asarray(images[part]).astype(np.int64)
        total = total + values.sum(axes, keepdims=True)
        squares = squares + (values**2).sum(axes, keepdims=True)
        count += math.prod(values.shape[axis] for axis in axes)
    mean = total / count
    return mean / 255, np.sqrt(np.maximum(squares / count - mean**2, 0)) / 255


def normalize(image: jax.Array, standard: Standard, rows: jax.Array) -> jax.Array:
    """uint8 [b, h, w, c], images of the given rows -> float32, their group's mean 0 and deviation
    1."""
    group = standard.group[rows]
    values = image.astype(jnp.float32) / 255.0
    return (values - standard.mean[group]) / standard.deviation[group]


def of(
    config,
    data: pack.Pack,
    trained_on: selection.Examples,
    parts: Mapping[str, selection.Examples],
) -> dict[str, Standard]:
    """For each modality its standard; none where images are only scaled to 0..1.

    `global`: mean and deviation of the training part. `per_speaker`: of each person's own images,
    whoever is tested included; their labels are not read. With it a network needs several
    recordings of a person before it can judge one: those of all emotions here, as many of each as
    the data set has. Altered audio are not measured.

    Args:
      config: of one row; `input.normalization` and `modalities` are read.
      data: the pack.
      trained_on: the training part.
      parts: name -> the measured parts.

    Raises:
      UserError: an unknown way to normalize.
    """
    check(config)
    return WAYS[config.input.normalization](config, data, trained_on, parts)


def check(config) -> None:
    """UserError for an unknown way to normalize."""
    if config.input.normalization not in WAYS:
        raise errors.unknown("normalization", config.input.normalization, WAYS)


def _unit(config, data, trained_on, parts) -> dict:
    del config, data, trained_on, parts
    return {}


def _global(config, data, trained_on, parts) -> dict[str, Standard]:
    del parts
    found = {}
    for m in modalities.get(config.modalities):
        rows = trained_on.indices[m.name]
        mean, deviation = measure_standard(
            data.arrays[m.name], rows, np.zeros(len(rows), int), by_row=m.stream == "audio"
        )
        group = np.zeros(len(data.arrays[m.name]), np.int32)
        found[m.name] = Standard(mean, deviation, group)
    return found


def _per_speaker(config, data, trained_on, parts) -> dict[str, Standard]:
    found = {}
    for m in modalities.get(config.modalities):
        used = np.unique(np.concatenate([p.indices[m.name] for p in (trained_on, *parts.values())]))
        speakers, group = np.unique(data.table["subject"], return_inverse=True)
        rows = used
        if m.stream == "audio":
            rows = used[data.table["audio_variant"][used] == selection.ORIGINAL_AUDIO]
        lacking = np.setdiff1d(group[used], group[rows])
        if len(lacking):
            raise errors.UserError(
                f"{len(lacking)} people have no unaltered audio in their part, "
                f"{speakers[lacking[0]]} first: config.input.normalization cannot be per_speaker"
            )
        there, dense = np.unique(group[rows], return_inverse=True)
        mean, deviation = measure_standard(
            data.arrays[m.name], rows, dense, by_row=m.stream == "audio"
        )
        # People who take no part have no group; theirs is never looked up.
        place = np.zeros(len(speakers), np.int32)
        place[there] = np.arange(len(there))
        found[m.name] = Standard(mean, deviation, place[group].astype(np.int32))
    return found


WAYS = {"unit": _unit, "global": _global, "per_speaker": _per_speaker}

"""Normalization of inputs: statistics of the examples that a cell may use, and their application.

The paper only scales images to 0..1, which is the default: networks then get uint8 images.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import ml_collections
import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.datasets import pack, selection
from mmer_jax.models import tower

# The smallest standard deviation to divide by, so that constant images are not amplified.
_MIN_STD = 1e-3

# A group with more bytes of images than the first is measured in chunks of the second.
_LARGE, _CHUNK = 2**29, 2**24


@flax.struct.dataclass
class NormStats:
    """Normalization statistics of one modality, by group.

    Attributes:
      mean: float32 [groups, h, 1, c], of values in 0..1. h is the height for images of audio, whose
        rows are frequencies, and 1 for images of video.
      std: Standard deviation, of the same shape.
    """

    mean: jax.Array | np.ndarray
    std: jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class Normalization:
    """How the images of a cell are normalized; empty where they are only scaled to 0..1.

    Attributes:
      stats: Modality -> statistics.
      groups: Modality -> int32 [m], the group of each image of the pack.
    """

    stats: Mapping[str, NormStats] = dataclasses.field(default_factory=dict)
    groups: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


NO_NORMALIZATION = Normalization()


def normalize(image: jax.Array, stats: NormStats, group: jax.Array) -> jax.Array:
    """Normalizes images to mean 0 and standard deviation 1 of their group.

    Args:
      image: uint8 [b, h, w, c], or float32 in 0..1.
      stats: Statistics of the modality.
      group: int32 [b], the group of each image.

    Returns:
      float32 [b, h, w, c].
    """
    values = tower.to_unit_range(image)
    return (values - stats.mean[group]) / stats.std[group]


def normalize_inputs(batch: Mapping, norm_stats: Mapping[str, NormStats]) -> dict[str, jax.Array]:
    """Returns the inputs of a batch, normalized where there are statistics.

    Args:
      batch: A batch of the input pipeline.
      norm_stats: Modality -> statistics; modalities that are absent stay uint8.
    """
    return {
        name: normalize(image, norm_stats[name], batch["group"][name])
        if name in norm_stats
        else image
        for name, image in batch["inputs"].items()
    }


def compute(
    config: ml_collections.ConfigDict,
    data: pack.Pack,
    subsets: Mapping[str, selection.Examples],
) -> Normalization:
    """Computes the normalization of a cell.

    With `global` the statistics are computed from the training subset. With `per_speaker` they are
    computed from each speaker's own images, those of test speakers included, without their labels
    (see `list_speaker_images`): the evaluation is transductive (`evaluation.settings`). The
    classification of a speaker's recording then requires several recordings of the speaker: here
    all that the dataset has, of all emotions.

    Args:
      config: Config of one row; `input.normalization` and `modalities` are read.
      data: The pack.
      subsets: The subsets of the split by name; "train" is the training subset.

    Raises:
      UserError: An unknown normalization, or a speaker without original audio.
    """
    check(config)
    return NORMALIZATIONS[config.input.normalization](config, data, subsets)


def check(config: ml_collections.ConfigDict) -> None:
    """Raises a UserError for an unknown normalization."""
    if config.input.normalization not in NORMALIZATIONS:
        raise errors.unknown("normalization", config.input.normalization, NORMALIZATIONS)


def _unit(config, data, subsets) -> Normalization:
    del config, data, subsets
    return Normalization()


def _global(config, data, subsets) -> Normalization:
    stats, groups = {}, {}
    for m in modalities.get(config.modalities):
        indices = subsets["train"].indices[m.name]
        zeros = np.zeros(len(indices), int)
        stats[m.name] = measure(data.arrays[m.name], indices, zeros, by_row=m.stream == "audio")
        groups[m.name] = np.zeros(len(data.arrays[m.name]), np.int32)
    return Normalization(stats, groups)


def _per_speaker(config, data, subsets) -> Normalization:
    stats, groups = {}, {}
    speakers, speaker = np.unique(data.table["subject"], return_inverse=True)
    for m in modalities.get(config.modalities):
        measured = list_speaker_images(config, data, subsets, m)
        present, group = np.unique(speaker[measured], return_inverse=True)
        stats[m.name] = measure(data.arrays[m.name], measured, group, by_row=m.stream == "audio")
        # The group of a speaker of no subset is never looked up.
        group_of_speaker = np.zeros(len(speakers), np.int32)
        group_of_speaker[present] = np.arange(len(present))
        groups[m.name] = group_of_speaker[speaker].astype(np.int32)
    return Normalization(stats, groups)


def list_speaker_images(
    config: ml_collections.ConfigDict,
    data: pack.Pack,
    subsets: Mapping[str, selection.Examples],
    modality: modalities.Modality,
) -> np.ndarray:
    """Returns the images that the statistics of speakers are computed from with `per_speaker`.

    These are the images of all subsets. A learning-rate search chooses among networks that were
    trained and validated before the test subset is read, and the chosen one is tested with the
    statistics that it was trained with: the test images of a speaker who also trains or validates
    are then excluded.

    Args:
      config: Config of one row.
      data: The pack.
      subsets: The subsets of the split by name.
      modality: One of the config's modalities. Images of altered audio are excluded.

    Returns:
      Indices into the pack's array, int [n], ascending.

    Raises:
      UserError: A speaker has no original audio.
    """
    by_subset = {name: examples.indices[modality.name] for name, examples in subsets.items()}
    subject = data.table["subject"]
    used = np.unique(np.concatenate(list(by_subset.values())))
    measured = used
    if modality.stream == "audio":
        measured = used[data.table["audio_variant"][used] == selection.ORIGINAL_AUDIO]
    if config.optimizer.learning_rate_search:
        seen = np.concatenate([index for name, index in by_subset.items() if name != "test"])
        is_seen, is_known = np.isin(measured, seen), np.isin(subject[measured], subject[seen])
        measured = measured[is_seen | ~is_known]
    missing = np.setdiff1d(subject[used], subject[measured])
    if len(missing):
        raise errors.UserError(
            f"{len(missing)} speakers have no original audio in their subset, {missing[0]} first: "
            "config.input.normalization cannot be per_speaker"
        )
    return measured


NORMALIZATIONS = {"unit": _unit, "global": _global, "per_speaker": _per_speaker}


def measure(images: np.ndarray, indices: np.ndarray, group: np.ndarray, by_row: bool) -> NormStats:
    """Measures mean and standard deviation of the images of each group.

    Args:
      images: uint8 [m, h, w, c]; may be memory-mapped.
      indices: int [n], the images to measure; an index that repeats counts once.
      group: int [n], the group of each, from 0; no group is empty.
      by_row: Whether each row of the images has statistics of its own, as frequencies have.

    Returns:
      Statistics of values in 0..1, as NumPy arrays.
    """
    indices, first = np.unique(indices, return_index=True)
    group = np.asarray(group)[first]
    axes = (0, 2) if by_row else (0, 1, 2)
    moments = [
        _mean_and_std(images, indices[group == g], axes) for g in range(int(group.max()) + 1)
    ]
    mean = np.asarray([mean[0] for mean, _ in moments], np.float32)
    std = np.maximum([std[0] for _, std in moments], _MIN_STD).astype(np.float32)
    return NormStats(mean, std)


def _mean_and_std(images, indices, axes) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of values in 0..1, float64.

    Images that may not fit into memory are summed in chunks. The two ways differ by rounding; the
    first one stays, since results were made with it.
    """
    nbytes = len(indices) * math.prod(images.shape[1:])
    if nbytes <= _LARGE:
        values = np.asarray(images[indices]) / np.float32(255)
        mean = values.mean(axes, dtype=np.float64, keepdims=True)
        return mean, values.std(axes, dtype=np.float64, keepdims=True)
    return _mean_and_std_of_sums(*_sum(images, indices, axes))


def _sum(images, indices, axes) -> tuple[int, np.ndarray, np.ndarray]:
    """Returns the number, the sum and the sum of squares of values in 0..255, int64."""
    total: Any = 0
    squares: Any = 0
    count = 0
    nbytes = len(indices) * math.prod(images.shape[1:])
    for chunk in np.array_split(indices, -(-nbytes // _CHUNK)):
        values = np.asarray(images[chunk]).astype(np.int64)
        total = total + values.sum(axes, keepdims=True)
        squares = squares + (values**2).sum(axes, keepdims=True)
        count += math.prod(values.shape[axis] for axis in axes)
    return count, total, squares


def _mean_and_std_of_sums(count, total, squares) -> tuple[np.ndarray, np.ndarray]:
    mean = total / count
    return mean / 255, np.sqrt(np.maximum(squares / count - mean**2, 0)) / 255


@dataclasses.dataclass(frozen=True)
class Sums:
    """Sums over the images of each group, from which statistics of any union of groups follow.

    Attributes:
      count: Number of values per statistic, float64 [groups, 1, 1, 1].
      total: Sum of the values in 0..255, float64 [groups, h, 1, c], with h as in NormStats.
      squares: Sum of the squared values, of the same shape.
    """

    count: np.ndarray
    total: np.ndarray
    squares: np.ndarray

    def unite(self, members: np.ndarray) -> NormStats:
        """Returns the statistics of unions of groups.

        Args:
          members: bool [unions, groups], which groups a union has; at least one each.
        """
        mean, std = _mean_and_std_of_sums(
            *(
                np.tensordot(members.astype(np.float64), sums, axes=1)
                for sums in (self.count, self.total, self.squares)
            )
        )
        return NormStats(mean.astype(np.float32), np.maximum(std, _MIN_STD).astype(np.float32))


def sum_images(images: np.ndarray, indices: np.ndarray, group: np.ndarray, by_row: bool) -> Sums:
    """Sums the images of each group; the arguments are those of `measure`, without repetition."""
    axes = (0, 2) if by_row else (0, 1, 2)
    sums = [_sum(images, indices[group == g], axes) for g in range(int(group.max()) + 1)]
    count = np.array([n for n, _, _ in sums], np.float64)[:, None, None, None]
    return Sums(
        count,
        *(np.concatenate([s[i] for s in sums]).astype(np.float64) for i in (1, 2)),
    )

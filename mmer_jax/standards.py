"""What a cell's pictures are normalised by, measured on the examples that it may use."""

from collections.abc import Mapping

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.datasets import pack, selection
from mmer_jax.training import inputs


def of(
    config,
    data: pack.Pack,
    trained_on: selection.Examples,
    parts: Mapping[str, selection.Examples],
) -> dict[str, inputs.Standard]:
    """For each modality its standard; none where pictures are only scaled to 0..1.

    `global`: mean and deviation of the training part. `per_speaker`: of each person's own pictures,
    whoever is tested included; their labels are not read. With it a network needs several
    recordings of a person before it can judge one: those of all emotions here, as many of each as
    the data set has. Altered sounds are not measured.

    Args:
      config: of one row; `input.normalisation` and `modalities` are read.
      data: the pack.
      trained_on: the training part.
      parts: name -> the measured parts.

    Raises:
      UserError: an unknown way to normalise.
    """
    check(config)
    return WAYS[config.input.normalisation](config, data, trained_on, parts)


def check(config) -> None:
    """UserError for an unknown way to normalise."""
    if config.input.normalisation not in WAYS:
        raise errors.unknown("normalisation", config.input.normalisation, WAYS)


def _unit(config, data, trained_on, parts) -> dict:
    del config, data, trained_on, parts
    return {}


def _global(config, data, trained_on, parts) -> dict[str, inputs.Standard]:
    del parts
    found = {}
    for m in modalities.get(config.modalities):
        rows = trained_on.rows[m.name]
        mean, deviation = inputs.measure_standard(
            data.arrays[m.name], rows, np.zeros(len(rows), int), by_row=m.stream == "sound"
        )
        group = np.zeros(len(data.arrays[m.name]), np.int32)
        found[m.name] = inputs.Standard(mean, deviation, group)
    return found


def _per_speaker(config, data, trained_on, parts) -> dict[str, inputs.Standard]:
    found = {}
    for m in modalities.get(config.modalities):
        used = np.unique(np.concatenate([p.rows[m.name] for p in (trained_on, *parts.values())]))
        speakers, group = np.unique(data.table["subject"], return_inverse=True)
        rows = used
        if m.stream == "sound":
            rows = used[data.table["audio_variant"][used] == selection.ORIGINAL_SOUND]
        lacking = np.setdiff1d(group[used], group[rows])
        if len(lacking):
            raise errors.UserError(
                f"{len(lacking)} people have no unaltered sound in their part, "
                f"{speakers[lacking[0]]} first: config.input.normalisation cannot be per_speaker"
            )
        there, dense = np.unique(group[rows], return_inverse=True)
        mean, deviation = inputs.measure_standard(
            data.arrays[m.name], rows, dense, by_row=m.stream == "sound"
        )
        # People who take no part have no group; theirs is never looked up.
        place = np.zeros(len(speakers), np.int32)
        place[there] = np.arange(len(there))
        found[m.name] = inputs.Standard(mean, deviation, place[group].astype(np.int32))
    return found


WAYS = {"unit": _unit, "global": _global, "per_speaker": _per_speaker}

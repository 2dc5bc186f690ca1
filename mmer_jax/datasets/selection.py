"""Selects labeled examples from a pack's table."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mmer_jax import errors, modalities

ORIGINAL_AUDIO = "original"


@dataclasses.dataclass(frozen=True)
class Examples:
    """Labeled examples, as indices into a pack's arrays.

    Attributes:
      indices: Modality -> int32 [n], index of each example's image.
      label: Class labels, int32 [n], positions in the config's emotions.
      clip: Names of the clips, str [n].
      view: Numbers of the views, int32 [n].
    """

    indices: Mapping[str, np.ndarray]
    label: np.ndarray
    clip: np.ndarray
    view: np.ndarray

    def __len__(self) -> int:
        return len(self.label)


def select_indices(
    table: Mapping[str, np.ndarray],
    *,
    emotions: Sequence[str],
    intensities: Sequence[str] = (),
    audio_variants: Sequence[str] = (),
) -> np.ndarray:
    """Returns the indices of examples by emotion, intensity and audio variant.

    Args:
      table: Table of a pack.
      emotions: Canonical names.
      intensities: Names as the dataset has them; empty for all.
      audio_variants: Names of media.augment.AUDIO_VARIANTS; empty for all.

    Returns:
      Indices into the table, int64 [n], ascending.

    Raises:
      UserError: The table has no example with a requested emotion, intensity or audio variant, or
        none of an emotion at the requested intensities.
    """
    requested = {"emotion": emotions, "intensity": intensities, "audio_variant": audio_variants}
    requested = {column: values for column, values in requested.items() if len(values)}
    for column, values in requested.items():
        available = sorted(set(table[column].tolist()))
        missing = [value for value in values if value not in available]
        if missing:
            raise errors.UserError(
                f"the data have no example with {column.replace('_', ' ')} {', '.join(missing)}; "
                f"available: {', '.join(available)}"
            )
    selected = np.ones(len(table["emotion"]), bool)
    for column, values in requested.items():
        selected &= np.isin(table[column], list(values))
    indices = np.flatnonzero(selected)
    missing = sorted(set(emotions) - set(table["emotion"][indices].tolist()))
    if missing:  # RAVDESS's neutral has no strong intensity
        raise errors.UserError(
            f"the data have no {', '.join(missing)} at the intensity {' or '.join(intensities)}"
        )
    return indices


def make_examples(
    table: Mapping[str, np.ndarray],
    indices: np.ndarray,
    *,
    names: Sequence[str],
    emotions: Sequence[str],
    original_audio: bool,
) -> Examples:
    """Makes labeled examples of the given indices.

    Args:
      table: Table of a pack.
      indices: Indices into the table of one subset of a split, int [n].
      names: Modalities.
      emotions: Classes in order.
      original_audio: Whether each image is paired with its clip's original audio. Of examples
        that then have the same images in every modality, one is kept.

    Raises:
      UserError: `original_audio` is set and a clip has no original audio.
    """
    indices = np.asarray(indices)
    by_modality = {}
    for modality in modalities.get(names):
        if modality.stream == "audio" and original_audio:
            by_modality[modality.name] = _original_audio_indices(table, indices)
        else:
            by_modality[modality.name] = indices
    stacked = np.stack(list(by_modality.values()))
    _, first = np.unique(stacked, axis=1, return_index=True)
    first = np.sort(first)
    indices = indices[first]
    classes = {emotion: i for i, emotion in enumerate(emotions)}
    return Examples(
        indices={name: array[first].astype(np.int32) for name, array in by_modality.items()},
        label=np.array([classes[e] for e in table["emotion"][indices].tolist()], np.int32),
        clip=table["clip"][indices],
        view=table["view"][indices].astype(np.int32),
    )


def _original_audio_indices(table: Mapping[str, np.ndarray], indices: np.ndarray) -> np.ndarray:
    """Returns, for each example, the index of the original audio of its clip, int64 [n]."""
    originals = np.flatnonzero(table["audio_variant"] == ORIGINAL_AUDIO)
    by_clip = dict(zip(table["clip"][originals].tolist(), originals.tolist(), strict=True))
    clips = table["clip"][indices].tolist()
    missing = sorted({clip for clip in clips if clip not in by_clip})
    if missing:
        raise errors.UserError(
            f"{len(missing)} clips have no original audio, the first is {missing[0]}; "
            "build the dataset again with the audio variant 'original' first"
        )
    return np.array([by_clip[clip] for clip in clips])

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
      indices: Modality -> int32 [n], index of the image of each example in the pack's array.
      label: int32 [n], class of each example: index into the emotions of the config.
      clip: str [n], name of the clip of each example.
      view: int32 [n], number of each example in its clip.
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
    """Selects examples by emotion, intensity and audio variant.

    Args:
      table: Table of a pack: column -> array [n_table].
      emotions: Canonical names of emotions (corpora.emotions).
      intensities: Names of intensities in the dataset's own vocabulary; empty for all.
      audio_variants: Keys of media.augment.AUDIO_VARIANTS; empty for all.

    Returns:
      Indices into the table, int64 [n], ascending.

    Raises:
      UserError: The table has no example with a requested emotion, intensity or audio variant, or
        no example of a requested emotion at the requested intensities.
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
    """Makes labeled examples from rows of a pack's table.

    Args:
      table: Table of a pack: column -> array [n_table].
      indices: Indices into the table, int [n], such as those of one subset of a split.
      names: Names of the modalities.
      emotions: Emotions in the order of the classes.
      original_audio: Whether each example gets the original audio of its clip in place of its own
        audio variant.

    Returns:
      Examples in the order of `indices`. Of several with the same images in every modality, only
      the first is kept: with `original_audio`, an audio-only network has one example per clip.

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
    """Returns the index of the original audio of each example's clip, int64 [n].

    Raises:
      UserError: A clip has no original audio.
    """
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

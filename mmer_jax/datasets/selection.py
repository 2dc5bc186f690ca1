"""From a pack's table to labeled examples: which rows, which label, which images."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mmer_jax import errors, modalities

ORIGINAL_AUDIO = "original"


@dataclasses.dataclass(frozen=True)
class Examples:
    """Labeled examples, as row numbers into a pack's arrays.

    Attributes:
      indices: for each modality int32 [n], the row of its image.
      label: int32 [n], position in the config's emotions.
      clip: text [n].
      view: int32 [n].
    """

    indices: Mapping[str, np.ndarray]
    label: np.ndarray
    clip: np.ndarray
    view: np.ndarray

    def __len__(self) -> int:
        return len(self.label)


def wanted_rows(
    table: Mapping[str, np.ndarray],
    *,
    emotions: Sequence[str],
    intensities: Sequence[str] = (),
    audio_variants: Sequence[str] = (),
) -> np.ndarray:
    """Row numbers of the wanted emotions, intensities and versions of the audio, int64 [n].

    Args:
      table: a pack's table.
      emotions: canonical names.
      intensities: as the data set has them; none for all.
      audio_variants: of media.augment.AUDIO_VARIANTS; none for all.

    Raises:
      UserError: an emotion, intensity or version of which the pack has no example.
    """
    choices = {"emotion": emotions, "intensity": intensities, "audio_variant": audio_variants}
    choices = {column: wanted for column, wanted in choices.items() if len(wanted)}
    for column, wanted in choices.items():
        there = sorted(set(table[column].tolist()))
        missing = [name for name in wanted if name not in there]
        if missing:
            raise errors.UserError(
                f"the data hold no example of {column.replace('_', ' ')} {', '.join(missing)}; "
                f"they have {', '.join(there)}"
            )
    keep = np.ones(len(table["emotion"]), bool)
    for column, wanted in choices.items():
        keep &= np.isin(table[column], list(wanted))
    rows = np.flatnonzero(keep)
    missing = sorted(set(emotions) - set(table["emotion"][rows].tolist()))
    if missing:  # RAVDESS's neutral has no strong intensity
        raise errors.UserError(
            f"the data hold no {', '.join(missing)} at the intensity {' or '.join(intensities)}"
        )
    return rows


def make_examples(
    table: Mapping[str, np.ndarray],
    rows: np.ndarray,
    *,
    names: Sequence[str],
    emotions: Sequence[str],
    original_audio: bool,
) -> Examples:
    """Examples of the given rows.

    Args:
      table: a pack's table.
      rows: int [n], the rows that one part of a split holds.
      names: the modalities.
      emotions: the classes in order.
      original_audio: pair each image with its clip's unaltered audio. Examples that then have
        the same image in every modality count once.

    Raises:
      UserError: a clip has no unaltered audio although one is wanted.
    """
    rows = np.asarray(rows)
    by_modality = {}
    for modality in modalities.get(names):
        altered = modality.stream == "audio" and original_audio
        by_modality[modality.name] = _original_rows(table, rows) if altered else rows
    stacked = np.stack(list(by_modality.values()))
    _, first = np.unique(stacked, axis=1, return_index=True)
    first = np.sort(first)
    rows = rows[first]
    order = {emotion: i for i, emotion in enumerate(emotions)}
    return Examples(
        indices={name: r[first].astype(np.int32) for name, r in by_modality.items()},
        label=np.array([order[e] for e in table["emotion"][rows].tolist()], np.int32),
        clip=table["clip"][rows],
        view=table["view"][rows].astype(np.int32),
    )


def _original_rows(table, rows):
    original = np.flatnonzero(table["audio_variant"] == ORIGINAL_AUDIO)
    where = dict(zip(table["clip"][original].tolist(), original.tolist(), strict=True))
    clips = table["clip"][rows].tolist()
    missing = sorted({clip for clip in clips if clip not in where})
    if missing:
        raise errors.UserError(
            f"{len(missing)} clips have no unaltered audio, {missing[0]} first; "
            "build the data set again with the variant 'original' first"
        )
    return np.array([where[clip] for clip in clips])

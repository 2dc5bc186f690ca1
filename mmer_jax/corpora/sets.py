"""The registry of datasets: names, and what differs between them."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence

from mmer_jax import errors
from mmer_jax.corpora import baum1, baum1_recordings, ravdess, recordings


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A dataset of recordings.

    Attributes:
      emotions: Canonical names of the emotions in the order of the dataset's codes, which is the
        order of the classes in a built dataset.
      intensities: Values of `intensity` in the metadata of the clips.
      select: Function that finds recordings: (folder, alternatives) -> recordings.Selection, where
        `alternatives` are sets of channels in order of preference (see recordings.select).
      channel: Function of the name of a clip that returns "audio_video", "video_only" or
        "audio_only".
      how_to_get: The beginning of a sentence that says how to obtain the recordings.
      downloadable: Whether the recordings can be downloaded automatically.
    """

    emotions: tuple[str, ...]
    intensities: tuple[str, ...]
    select: Callable[[str | os.PathLike, Sequence[Sequence[str]]], recordings.Selection]
    channel: Callable[[str], str]
    how_to_get: str
    downloadable: bool


def _baum1(subset: baum1.Subset) -> DataSet:
    return DataSet(
        emotions=tuple(subset.codes.values()),
        intensities=(subset.name,),
        select=functools.partial(baum1_recordings.select, subset=subset.name),
        channel=lambda name: baum1_recordings.CHANNEL,
        how_to_get=subset.how_to_get,
        downloadable=False,
    )


SETS = {
    "ravdess": DataSet(
        emotions=tuple(ravdess.EMOTIONS.values()),
        intensities=tuple(ravdess.INTENSITIES.values()),
        select=recordings.select,
        channel=lambda name: ravdess.parse_name(name).channel,
        how_to_get=recordings.HOW_TO_GET,
        downloadable=True,
    ),
    "baum1_acted": _baum1(baum1.SUBSETS["acted"]),
    "baum1_spontaneous": _baum1(baum1.SUBSETS["spontaneous"]),
}


def get(name: str) -> DataSet:
    """Returns the dataset with the given name.

    Raises:
      UserError: If `name` is unknown; the message lists the known names.
    """
    if name not in SETS:
        raise errors.unknown("dataset", name, SETS)
    return SETS[name]

"""The data sets by the names that people use, and what differs between them."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence

from mmer_jax import errors
from mmer_jax.corpora import baum1, baum1_recordings, ravdess, recordings


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes:
      emotions: canonical names, in the order of its codes: the classes of its built sets.
      intensities: how strongly, or how, they are shown.
      select: (folder, choices of channels) -> recordings.Selection.
      channel: a clip's name -> "audio_video", "video_only" or "audio_only".
      how_to_get: the beginning of a sentence on where recordings come from.
      downloadable: whether the program can do that itself.
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
    """The data set of that name; an unknown one is a UserError that lists the known ones."""
    if name not in SETS:
        raise errors.unknown("data set", name, SETS)
    return SETS[name]

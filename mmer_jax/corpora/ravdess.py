"""RAVDESS file names and codes.

A name consists of seven two-digit codes, such as `01-01-05-02-01-02-07`: channel, vocal channel,
emotion, intensity, statement, repetition, actor (Livingstone and Russo, 2018,
doi:10.1371/journal.pone.0196391).
"""

import dataclasses
import re

from mmer_jax import errors

CHANNELS = {"01": "audio_video", "02": "video_only", "03": "audio_only"}
VOCAL_CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
INTENSITIES = {"01": "normal", "02": "strong"}
GENDERS = ("male", "female")
ACTORS = range(1, 25)

_NAME = re.compile(r"\d\d(-\d\d){6}")


@dataclasses.dataclass(frozen=True)
class Take:
    """The contents of a parsed file name.

    Attributes:
      channel: "audio_video", "video_only" or "audio_only".
      vocal_channel: "speech" or "song".
      emotion: Canonical name (mmer_jax.corpora.emotions).
      intensity: "normal" or "strong".
      statement: 1 for "Kids are talking by the door", 2 for "Dogs are sitting by the door".
      repetition: 1 or 2.
      subject: "actor_01" to "actor_24".
      gender: "male" (odd actors) or "female".
    """

    channel: str
    vocal_channel: str
    emotion: str
    intensity: str
    statement: int
    repetition: int
    subject: str
    gender: str


def parse_name(name: str) -> Take:
    """Parses the name of a clip.

    Args:
      name: File name without its extension, such as "01-01-05-02-01-02-07".

    Raises:
      ClipError: "bad name", if `name` does not consist of seven valid codes.
    """
    if not _NAME.fullmatch(name):
        raise errors.ClipError(
            "bad name", f"{name!r} is not seven two-digit codes, as in 01-01-05-02-01-02-07"
        )
    codes = name.split("-")
    tables = (CHANNELS, VOCAL_CHANNELS, EMOTIONS, INTENSITIES, _ONE_TWO, _ONE_TWO, _ACTORS)
    values = []
    for field, code, table in zip(_FIELDS, codes, tables, strict=True):
        if code not in table:
            raise errors.ClipError("bad name", f"{name!r}: RAVDESS has no {field} {code}")
        values.append(table[code])
    *others, actor = values
    return Take(*others, subject=f"actor_{actor:02d}", gender=GENDERS[(actor + 1) % 2])


def facts(name: str) -> dict:
    """Returns the metadata of a clip, as described in `Recording.facts`, from its name.

    Args:
      name: File name without its extension.

    Raises:
      ClipError: "bad name", if `name` does not consist of seven valid codes.
    """
    take = parse_name(name)
    return {
        "label": take.emotion,
        "clip": name,
        "subject": take.subject,
        "gender": take.gender,
        "intensity": take.intensity,
        "statement": take.statement,
        "repetition": take.repetition,
        "channel": take.channel,
    }


def is_name(name: str) -> bool:
    """Returns whether a string is the name of a RAVDESS clip, i.e. `parse_name` accepts it."""
    try:
        parse_name(name)
    except errors.ClipError:
        return False
    return True


_ONE_TWO = {"01": 1, "02": 2}
_ACTORS = {f"{number:02d}": number for number in ACTORS}
_FIELDS = (
    "channel",
    "vocal channel",
    "emotion",
    "intensity",
    "statement",
    "repetition",
    "actor",
)

"""BAUM-1 clip names and emotion codes.

BAUM-1 (Zhalehpour et al., 2017, doi:10.1109/TAFFC.2016.2553038) consists of two sets of clips,
acted (1a) and spontaneous (1s), of the same people. A clip has a name like `S001_001`: subject and
clip number. The emotion is not in the name but in the list of labels of the set (annotations.py).
"""

import dataclasses
import re
from pathlib import PurePath

from mmer_jax import errors

SUBJECTS = tuple(number for number in range(1, 32) if number != 5)


@dataclasses.dataclass(frozen=True)
class Subset:
    """One of the two sets of BAUM-1.

    Attributes:
      name: "acted" or "spontaneous".
      short: Prefix in the names of files and folders, "BAUM1a" or "BAUM1s".
      codes: Emotion code -> canonical name (mmer_jax.corpora.emotions). The codes differ between
        the two sets.
    """

    name: str
    short: str
    codes: dict[int, str]

    @property
    def how_to_get(self) -> str:
        """The beginning of a sentence that says how to obtain and where to put the recordings."""
        return (
            "BAUM-1 may not be downloaded or redistributed: ask the authors of "
            "doi:10.1109/TAFFC.2016.2553038 for it and sign the end user license. Put the folder "
            f"{self.short}_MP4_all (or {self.short}_MP4 - All), which contains s001/S001_001.mp4 "
            f"and so on, and the list of labels, Annotations_{self.short}.xlsx or .csv, into one "
            "folder"
        )


SUBSETS = {
    subset.name: subset
    for subset in (
        Subset(
            "acted",
            "BAUM1a",
            {
                1: "anger",
                2: "boredom",
                3: "disgust",
                4: "fear",
                5: "happiness",
                6: "interest",
                7: "sadness",
                8: "surprise",
                9: "unsure",
            },
        ),
        Subset(
            "spontaneous",
            "BAUM1s",
            {
                1: "anger",
                2: "boredom",
                3: "bothered",
                4: "concentrating",
                5: "contempt",
                6: "disgust",
                7: "fear",
                8: "happiness",
                9: "neutral",
                10: "sadness",
                11: "surprise",
                12: "thinking",
                13: "unsure",
            },
        ),
    )
}

_NAME = re.compile(r"s(\d{1,3})_(\d{1,3})", re.IGNORECASE)
_SET_NAME = re.compile(r"baum[ _-]?1([as])(?![a-z])", re.IGNORECASE)


def clip_name(subject: int, number: int) -> str:
    """Returns the name of a clip, such as "S001_001", from its subject and clip number."""
    return f"{subject_name(subject)}_{number:03d}"


def subject_name(subject: int) -> str:
    """Returns the name of a subject, such as "S001", from the number of the subject."""
    return f"S{subject:03d}"


def parse_name(name: str) -> tuple[int, int]:
    """Parses the name of a clip.

    Args:
      name: File name without its extension, such as "S001_001", in upper or lower case.

    Returns:
      The number of the subject and the number of the clip.

    Raises:
      ClipError: "bad name", if `name` has another form or BAUM-1 has no such subject.
    """
    match = _NAME.fullmatch(name.strip())
    if not match:
        raise errors.ClipError(
            "bad name", f"{name!r} is not a subject and a number, as in S001_001"
        )
    subject, number = map(int, match.groups())
    if subject not in SUBJECTS:
        raise errors.ClipError("bad name", f"{name!r}: BAUM-1 has no subject {subject}")
    return subject, number


def subset_from_path(path: PurePath) -> str | None:
    """Returns the set whose name occurs in a path: "acted", "spontaneous", or None for neither.

    Args:
      path: Path of a file or folder. A component names a set by "BAUM1a" or "BAUM1s", in any case.
        If several components name a set, the last one counts.
    """
    for component in reversed(path.parts):
        if match := _SET_NAME.search(component):
            return {"a": "acted", "s": "spontaneous"}[match[1].lower()]
    return None


def get(name: str) -> Subset:
    """Returns the set with the given name, "acted" or "spontaneous".

    Raises:
      UserError: If `name` is unknown; the message lists the known names.
    """
    if name not in SUBSETS:
        raise errors.unknown("set of BAUM-1", name, SUBSETS)
    return SUBSETS[name]

"""What BAUM-1's names and codes say.

BAUM-1 (Zhalehpour et al., 2017, doi:10.1109/TAFFC.2016.2553038) is two sets of clips, acted (1a)
and spontaneous (1s), of the same people. A clip is called `S001_001`: subject and number. What it
shows is not in its name but in the set's list of labels (annotations.py).
"""

import dataclasses
import re
from pathlib import PurePath

from mmer_jax import errors

SUBJECTS = tuple(number for number in range(1, 32) if number != 5)


@dataclasses.dataclass(frozen=True)
class Subset:
    """One of the two sets.

    Attributes:
      name: "acted" or "spontaneous".
      short: as files and folders are called, "BAUM1a" or "BAUM1s".
      codes: code of an emotion -> canonical name (mmer_jax.corpora.emotions). They differ between
        the sets.
    """

    name: str
    short: str
    codes: dict[int, str]

    @property
    def how_to_get(self) -> str:
        """Where the recordings come from, and how they are to lie; the beginning of a sentence."""
        return (
            "BAUM-1 may be neither downloaded nor passed on: ask the authors of "
            "doi:10.1109/TAFFC.2016.2553038 for it, signing the end user license. Put the folder "
            f"{self.short}_MP4_all (or {self.short}_MP4 - All), which holds s001/S001_001.mp4 and "
            f"so on, and beside it the list of labels, Annotations_{self.short}.xlsx or .csv, into "
            "one folder"
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
_MARK = re.compile(r"baum[ _-]?1([as])(?![a-z])", re.IGNORECASE)


def clip_name(subject: int, number: int) -> str:
    """The name of a subject's clip, e.g. "S001_001"."""
    return f"{subject_name(subject)}_{number:03d}"


def subject_name(subject: int) -> str:
    """E.g. "S001"."""
    return f"S{subject:03d}"


def parse_name(name: str) -> tuple[int, int]:
    """Reads a file name without its ending, in any case: (subject, number of the clip).

    Raises:
      ClipError: "bad name", if it is not such a name, or BAUM-1 has no such subject.
    """
    parts = _NAME.fullmatch(name.strip())
    if not parts:
        raise errors.ClipError(
            "bad name", f"{name!r} is not a subject and a number, as in S001_001"
        )
    subject, number = map(int, parts.groups())
    if subject not in SUBJECTS:
        raise errors.ClipError("bad name", f"{name!r}: BAUM-1 has no subject {subject}")
    return subject, number


def subset_of(path: PurePath) -> str | None:
    """The set that a path names, "acted" or "spontaneous": its last part that names one decides."""
    for part in reversed(path.parts):
        if mark := _MARK.search(part):
            return {"a": "acted", "s": "spontaneous"}[mark[1].lower()]
    return None


def get(name: str) -> Subset:
    """The set of that name; an unknown one is a UserError that lists the known ones."""
    if name not in SUBSETS:
        raise errors.unknown("set of BAUM-1", name, SUBSETS)
    return SUBSETS[name]

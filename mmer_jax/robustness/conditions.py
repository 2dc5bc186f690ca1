"""What is wrong with a network's inputs when it is tested, and which inputs that alters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.media import corruptions

NONE, MISSING = "none", "missing"
NAMES = (*corruptions.CORRUPTIONS, MISSING)


class Condition(NamedTuple):
    """One way of testing a network.

    Attributes:
      corruption: NONE, MISSING or a name in media.corruptions.CORRUPTIONS.
      level: of the corruption; of MISSING the modality that is absent; of NONE nothing.
    """

    corruption: str
    level: float | str | None

    @property
    def name(self) -> str:
        """For file names and messages: "blur-4", "missing-face"."""
        if self.level is None:
            return self.corruption
        level = self.level if isinstance(self.level, str) else f"{self.level:g}"
        return f"{self.corruption}-{level}"


UNTOUCHED = Condition(NONE, None)


def altered(condition: Condition, names: Iterable[str]) -> list[str]:
    """Which of some modalities a condition alters.

    A corrupted image is the face frame's alone: flow is not computed again from it.
    """
    inputs = modalities.get(names)
    if condition.corruption == NONE:
        return []
    if condition.corruption == MISSING:
        return [m.name for m in inputs if m.name == condition.level]
    if corruptions.CORRUPTIONS[condition.corruption].stream == "audio":
        return [m.name for m in inputs if m.stream == "audio"]
    return [m.name for m in inputs if m.is_photograph]


def applicable(
    names: Sequence[str],
    wanted: Iterable[str] = NAMES,
    levels: Mapping[str, Sequence[float]] | None = None,
) -> list[Condition]:
    """The conditions under which a network of some modalities can be tested.

    Args:
      names: the modalities. Of one alone none can be missing.
      wanted: corruptions, of NAMES.
      levels: by corruption; its own default levels where there are none.

    Raises:
      UserError: an unknown corruption, or a level that it does not have.
    """
    found = []
    for corruption in wanted:
        if corruption not in NAMES:
            raise errors.unknown("corruption", corruption, NAMES)
        if corruption == MISSING:
            found += [Condition(MISSING, name) for name in names if len(names) > 1]
            continue
        known = corruptions.CORRUPTIONS[corruption]
        for level in (levels or {}).get(corruption) or known.levels:
            known.check(level)
            found.append(Condition(corruption, float(level)))
    return [condition for condition in dict.fromkeys(found) if altered(condition, names)]


def corrupt(condition: Condition, images: np.ndarray, clips: Sequence[str]) -> np.ndarray:
    """Photographs as a condition has them.

    Args:
      condition: of a corruption of images.
      images: uint8 [n, s, s, c].
      clips: the clip of each: what is random depends on the clip and the corruption alone.

    Returns:
      uint8 [n, s, s, c].
    """
    apply = corruptions.CORRUPTIONS[condition.corruption].apply
    return np.stack(
        [
            apply(image, condition.level, random_of(clip, condition.corruption))
            for image, clip in zip(images, clips, strict=True)
        ]
    )


def random_of(clip: str, purpose: str) -> np.random.Generator:
    """Random numbers that depend on the clip and on what they are for, and on nothing else."""
    return np.random.default_rng(list(f"{clip} {purpose}".encode()))

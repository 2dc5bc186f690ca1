"""Test conditions: corruptions of a network's inputs, and the modalities that each one alters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.media import corruptions

NONE, MISSING = "none", "missing"
NAMES = (*corruptions.CORRUPTIONS, MISSING)


class Condition(NamedTuple):
    """A corruption at one level.

    Attributes:
      corruption: NONE, MISSING or a name in `media.corruptions.CORRUPTIONS`.
      level: Level of the corruption; the name of the absent modality for MISSING; None for NONE.
    """

    corruption: str
    level: float | str | None

    @property
    def name(self) -> str:
        """Name for files and messages, such as "blur-4" or "missing-face"."""
        if self.level is None:
            return self.corruption
        level = self.level if isinstance(self.level, str) else f"{self.level:g}"
        return f"{self.corruption}-{level}"


UNTOUCHED = Condition(NONE, None)


def altered_modalities(condition: Condition, names: Iterable[str]) -> list[str]:
    """Returns the modalities among `names` that a condition alters, in joining order.

    Corruptions of images alter face frames only: optical flow is not computed again from the
    corrupted frames.

    Args:
      condition: The test condition.
      names: Names of the modalities of a network.

    Raises:
      UserError: A name in `names` is unknown or repeated, or `names` is empty.
    """
    inputs = modalities.get(names)
    if condition.corruption == NONE:
        return []
    if condition.corruption == MISSING:
        return [m.name for m in inputs if m.name == condition.level]
    if corruptions.CORRUPTIONS[condition.corruption].stream == "audio":
        return [m.name for m in inputs if m.stream == "audio"]
    return [m.name for m in inputs if m.is_photograph]


def list_conditions(
    names: Sequence[str],
    requested: Iterable[str] = NAMES,
    levels: Mapping[str, Sequence[float]] | None = None,
) -> list[Condition]:
    """Lists the conditions that alter some input of a network.

    Args:
      names: Names of the network's modalities. A network with one modality is never
        tested with this modality missing.
      requested: Names of corruptions, out of NAMES.
      levels: Name of a corruption -> its levels; the default levels for corruptions that are
        absent.

    Returns:
      Conditions without repetition, in the order of `requested`.

    Raises:
      UserError: A corruption in `requested` is unknown, or a level is out of the corruption's
        range.
    """
    conditions = []
    for corruption in requested:
        if corruption not in NAMES:
            raise errors.unknown("corruption", corruption, NAMES)
        if corruption == MISSING:
            conditions += [Condition(MISSING, name) for name in names if len(names) > 1]
            continue
        definition = corruptions.CORRUPTIONS[corruption]
        for level in (levels or {}).get(corruption) or definition.levels:
            definition.check(level)
            conditions.append(Condition(corruption, float(level)))
    return [c for c in dict.fromkeys(conditions) if altered_modalities(c, names)]


def corrupt(condition: Condition, images: np.ndarray, clips: Sequence[str]) -> np.ndarray:
    """Applies a corruption of images to face frames.

    Args:
      condition: A corruption whose stream is "image", with its level.
      images: uint8 [n, s, s, c].
      clips: Names of the clips, one per image. Random choices depend on the clip and the corruption
        alone, so that all frames of a clip, all levels and all networks share them.

    Returns:
      The corrupted images, uint8 [n, s, s, c].
    """
    apply = corruptions.CORRUPTIONS[condition.corruption].apply
    return np.stack(
        [
            apply(image, condition.level, make_rng(clip, condition.corruption))
            for image, clip in zip(images, clips, strict=True)
        ]
    )


def make_rng(clip: str, purpose: str) -> np.random.Generator:
    """Returns a random generator whose seed depends on its two arguments alone.

    Args:
      clip: Name of the clip.
      purpose: What the random numbers are for, such as the name of a corruption.
    """
    return np.random.default_rng(list(f"{clip} {purpose}".encode()))

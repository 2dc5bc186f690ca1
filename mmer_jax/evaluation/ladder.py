"""The leakage ladder: one row's accuracy under each protocol, from the paper's split to strangers.

Rungs that configs/leakage_ladder.py makes differ in nothing but what may be on both sides.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmer_jax import errors
from mmer_jax.evaluation import comparable, intervals
from mmer_jax.protocols import registry


@dataclasses.dataclass(frozen=True)
class Published:
    """A figure of others, to be seen beside a ladder and not compared with it.

    Attributes:
      title: whose, and on what.
      low, high: accuracy in 0..1; one number twice, or a range.
    """

    title: str
    low: float
    high: float


# Churaev and Savchenko 2021 print the first and how much less an actor split gave; the second
# follows from it. Human listeners: Livingstone and Russo 2018, speech, audio alone.
PUBLISHED = (
    Published("Churaev and Savchenko 2021, conventional split", 0.99, 0.99),
    Published("the same, split by actor: 20 to 30 points less", 0.69, 0.79),
    Published("people who listen, 8 emotions, audio alone", 0.62, 0.62),
)


@dataclasses.dataclass(frozen=True)
class Rung:
    """A protocol's place on the ladder.

    Attributes:
      protocol: its name.
      accuracy: in 0..1 with the interval over subjects, per clip.
      chance: the accuracy of always naming the commonest emotion.
      trained_on: examples, the fewest and the most of any network.
      networks, seeds: how many.
      epochs: trained.
    """

    protocol: str
    accuracy: intervals.Interval
    chance: float
    trained_on: tuple[int, int]
    networks: int
    seeds: int
    epochs: int


def rungs(
    workdirs: Sequence[Path], row: str, epochs: int | None = None, per: str = "clip"
) -> list[Rung]:
    """A row's rungs, in the order of the ladder.

    Args:
      workdirs: of run.py; a ladder may be spread over several.
      row: its name.
      epochs: after how many; None: the most.
      per: of clips.PER.

    Raises:
      UserError: as comparable.read, or a protocol is there twice.
    """
    found = {}
    for one in comparable.read(workdirs, rows=[row], epochs=epochs, per=per):
        if one.protocol in found:
            raise errors.UserError(
                f"row {row} was measured under {one.protocol} in {found[one.protocol].workdir} and "
                f"in {one.workdir}: one of them is a ladder's"
            )
        found[one.protocol] = one
    known = [name for name in registry.LADDER if name in found]
    return [_rung(found[name]) for name in (*known, *sorted(set(found) - set(known)))]


def _rung(row: comparable.Row) -> Rung:
    trained = [record["n_train"] for record in row.records]
    labels = np.concatenate([test.label for test in row.tests.values()])
    return Rung(
        row.protocol,
        row.figure("accuracy"),
        float(np.bincount(labels).max() / len(labels)),
        (min(trained), max(trained)),
        len(row.records),
        len(row.tests),
        row.epochs,
    )

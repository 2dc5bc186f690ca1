"""The leakage ladder: accuracy of a config row under each protocol, down to unseen speakers.

The ladder begins with the paper's own protocol. The protocols of configs/leakage_ladder.py train on
equal numbers of speakers, recordings and examples (protocols.equal_training), so that they differ
in what training and test examples may share.

Accuracies are per test example, without averaging over the views of a clip: the number of views per
test clip differs between protocols, and averaging raises the accuracy by itself.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.evaluation import aggregation, comparable, intervals, settings
from mmer_jax.protocols import registry
from mmer_jax.results.records import Record


@dataclasses.dataclass(frozen=True)
class Published:
    """A published accuracy, shown beside a ladder for orientation.

    Attributes:
      title: Source and setting.
      low: Accuracy in 0..1, or the lower end of a range.
      high: Accuracy in 0..1, or the upper end of a range.
    """

    title: str
    low: float
    high: float


# The first accuracy is given by Churaev and Savchenko 2021. The second follows from the drop that
# they give for a split by actor. Human listeners: Livingstone and Russo 2018, speech, audio only.
PUBLISHED = (
    Published("Churaev and Savchenko 2021, conventional split", 0.99, 0.99),
    Published("the same, split by actor: 20 to 30 points lower", 0.69, 0.79),
    Published("human listeners, 8 emotions, audio only", 0.62, 0.62),
)


@dataclasses.dataclass(frozen=True)
class Rung:
    """Results of a config row under one protocol.

    Attributes:
      protocol: Name of the protocol.
      accuracy: Accuracy in 0..1 per test example, with its interval over `groups`.
      groups: Groups that the interval is over.
      chance: Accuracy in 0..1 of always predicting the most frequent emotion of the test examples.
      train_sizes: Smallest and largest number of training examples over all networks.
      train_clips: The same of the recordings that these are made from; None if a record lacks it.
      train_subjects: The same of the speakers of these recordings; None if a record lacks it.
      test_views: Mean number of test examples per test clip.
      altered_audio: Whether altered versions of the audio are tested.
      networks: Number of networks, one per fold and seed.
      seeds: Number of seeds.
      folds: Number of folds, such as "5", or "2 of 5" if some are missing.
      incomplete: Description of the folds that are missing; "" if none is.
      epochs: Number of epochs trained.
      name: Name of the protocol, labeled if the result is transductive or of validation examples.
      caveats: Caveats of a transductive or validation result.
    """

    protocol: str
    accuracy: intervals.Interval
    groups: aggregation.Groups
    chance: float
    train_sizes: tuple[int, int]
    train_clips: tuple[int, int] | None
    train_subjects: tuple[int, int] | None
    test_views: float
    altered_audio: bool
    networks: int
    seeds: int
    folds: str
    incomplete: str
    epochs: int
    name: str
    caveats: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name, with everything that the result must not be shown without."""
        mark = f"{self.folds} folds" if " of " in self.folds else "incomplete"
        return f"{self.name} ({mark})" if self.incomplete else self.name


def rungs(workdirs: Sequence[Path], row: str, epochs: int | None = None) -> list[Rung]:
    """Reads the results of a config row under each protocol.

    Args:
      workdirs: Workdirs of runs. The protocols of one ladder may be in several workdirs.
      row: Name of the config row.
      epochs: Number of epochs after which to take the results; None for the largest measured one.

    Returns:
      The rungs in the order of registry.LADDER, then those of other protocols sorted by name.

    Raises:
      UserError: The results cannot be read (see `comparable.read`), or two workdirs have results
        under one protocol.
    """
    by_protocol: dict[str, comparable.Row] = {}
    for measured in comparable.read(workdirs, rows=[row], epochs=epochs, per="triplet"):
        protocol = measured.protocol
        if protocol in by_protocol:
            raise errors.UserError(
                f"row {row} was measured under {protocol} in {by_protocol[protocol].workdir} and "
                f"in {measured.workdir}: a ladder takes one of them"
            )
        by_protocol[protocol] = measured
    known = [name for name in registry.LADDER if name in by_protocol]
    others = sorted(set(by_protocol) - set(known))
    return [_make_rung(by_protocol[name]) for name in (*known, *others)]


def _make_rung(row: comparable.Row) -> Rung:
    labels = np.concatenate([test.label for test in row.tests.values()])
    return Rung(
        row.protocol,
        row.metric("accuracy"),
        row.groups,
        float(np.bincount(labels).max() / len(labels)),
        _range(row, "n_train") or (0, 0),
        _range(row, "n_train_clips"),
        _range(row, "n_train_subjects"),
        sum(r["n_test"] for r in row.records) / sum(r["n_test_clips"] for r in row.records),
        any(map(_tests_altered_audio, row.records)),
        len(row.records),
        len(row.tests),
        row.folds,
        row.incomplete,
        row.epochs,
        settings.add_labels(row.protocol, row.setting, row.tested),
        tuple(comparable.describe_settings([row])),
    )


def _range(row: comparable.Row, field: str) -> tuple[int, int] | None:
    """Returns the smallest and largest value of a field; None if a record lacks the field."""
    values = [record.get(field) for record in row.records]
    return None if None in values else (min(values), max(values))


def _tests_altered_audio(record: Record) -> bool:
    protocol = registry.PROTOCOLS.get(record["protocol"])
    streams = [m.stream for m in map(modalities.MODALITIES.get, record["modalities"]) if m]
    return (
        protocol is not None
        and not protocol.original_audio_at_test
        and "audio" in streams
        and not record["config"].get("data", {}).get("one_spectrogram", False)
    )

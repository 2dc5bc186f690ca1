"""What a reader has to know before believing a number: each caveat appears where the records call
for it, and only there."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mmer_jax.evaluation import summary
from mmer_jax.protocols import registry

# Test parts smaller than this make one clip worth a percentage point or more.
FEW_CLIPS = 100


class Caveat(NamedTuple):
    """A short title and a few sentences."""

    title: str
    text: str


def caveats(blocks: Sequence[summary.Block]) -> list[Caveat]:
    """The caveats that these results call for, the gravest first."""
    rows = [row for block in blocks for row in block.rows]
    found = [record for row in rows for m in row.by_epochs.values() for record in m.records]
    result = []
    if any(row.rendered for row in rows):
        result.append(
            Caveat(
                "Rendered clips",
                summary.RENDERED_NOTE
                + " They show that every part of the software works, from the "
                "video file to this page, and nothing else.",
            )
        )
    for block in blocks:
        protocol = registry.PROTOCOLS.get(block.protocol)
        if protocol and protocol.caveat:
            result.append(Caveat(*protocol.caveat))
    if any(_subjects(record["dataset"]) == 1 for record in found):
        result.append(
            Caveat(
                "One speaker",
                "All clips are of one person: the accuracy tells whether the data flow through "
                "everything, and nothing about other people.",
            )
        )
    clips = min((record["n_test_clips"] for record in found), default=0)
    if clips < FEW_CLIPS:
        result.append(
            Caveat(
                "A small test part",
                f"The smallest test part holds {clips} clips: one clip more or less right moves "
                f"its accuracy by {100 / max(clips, 1):.1f} percentage points.",
            )
        )
    without = [m for row in rows for m in _all(row) if m.interval and not m.bootstrap]
    if any(_siblings(m.records) for m in without):
        result.append(
            Caveat(
                "The intervals are too narrow",
                "Wilson's interval takes test examples as independent. Several of them come from "
                "one clip here and tend to be right or wrong together, so the true uncertainty is "
                "larger. (With the predictions at hand intervals resample people instead.)",
            )
        )
    if any(m.bootstrap for row in rows for m in _all(row)):
        result.append(
            Caveat(
                "Intervals are over people",
                "95% intervals are a bootstrap's that resamples subjects with all that was tested "
                "of each: how the number would move with other people, not with other training. "
                "With few subjects they are too narrow.",
            )
        )
    if any(record["config"].get("split", {}).get("tested") == "validation" for record in found):
        result.append(
            Caveat(
                "These are validation figures",
                "The test part was put away unread (config.split.tested is validation): numbers "
                "are of the validation part, to choose by. They are not results.",
            )
        )
    if any(m.spread is not None for row in rows for m in _all(row)):
        result.append(
            Caveat(
                "± is the spread over seeds",
                "It is the sample standard deviation over repeated runs: how much training, and "
                "the split where the seed draws it, move the number. It is no confidence interval.",
            )
        )
    else:
        result.append(
            Caveat(
                "One seed",
                "Each row was trained once. Another seed gives another number; differences between "
                "rows smaller than the intervals may be luck.",
            )
        )
    if any(block.has_paper for block in blocks):
        result.append(
            Caveat(
                "The paper's numbers",
                "They are printed test accuracies without seeds, intervals or split ratio; "
                "learning rate, image size and several other choices are not in the paper and "
                "are ours.",
            )
        )
    if any(len(row.by_epochs) > 1 for row in rows):
        result.append(
            Caveat(
                "No best epoch is picked",
                "Each row is one run, measured at the epochs shown. Taking the best of them would "
                "be choosing on test data: read the last column, or one fixed beforehand.",
            )
        )
    return result


def _all(row: summary.Row) -> Iterable[summary.Measured]:
    return row.by_epochs.values()


def _siblings(records: Iterable[dict]) -> bool:
    return any(record["n_test"] > record["n_test_clips"] for record in records)


def _subjects(dataset: dict) -> int | None:
    """How many people a data set holds, where the record says so (a count or their names)."""
    subjects = dataset.get("subjects")
    return len(subjects) if isinstance(subjects, list) else subjects

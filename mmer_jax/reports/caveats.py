"""Caveats of results. Each caveat is shown only if it applies to the records."""

from collections.abc import Sequence
from typing import NamedTuple

from mmer_jax.evaluation import settings, summary
from mmer_jax.protocols import registry
from mmer_jax.reports import interval_notes

# In a test split with fewer clips, one clip changes the accuracy by a percentage point or more.
FEW_CLIPS = 100


class Caveat(NamedTuple):
    """A caveat of results.

    Attributes:
      title: Short title.
      text: A few sentences.
    """

    title: str
    text: str


def list_caveats(blocks: Sequence[summary.Block]) -> list[Caveat]:
    """Returns the caveats that apply to results, the most important first.

    Args:
      blocks: The results, as returned by `summary.blocks`.
    """
    rows = [row for block in blocks for row in block.rows]
    results = [measured for row in rows for measured in row.by_epochs.values()]
    records = [record for measured in results for record in measured.records]
    caveats = []
    if any(row.rendered for row in rows):
        caveats.append(
            Caveat(
                "Rendered clips",
                summary.RENDERED_NOTE
                + " Rendered clips show only that every step of the software works, from the video "
                "file to this page.",
            )
        )
    transductive = [row for row in rows if row.setting == "transductive"]
    if transductive:
        names = ", ".join(dict.fromkeys(row.name for row in transductive))
        text = settings.describe_transductive(r for row in transductive for r in row.last.records)
        caveats.append(Caveat(f"Transductive rows: {names}", text))
    if any(row.tested == "validation" for row in rows):
        caveats.append(Caveat("These are validation results", settings.VALIDATION_NOTE))
    for block in blocks:
        protocol = registry.PROTOCOLS.get(block.protocol)
        if protocol and protocol.caveat:
            caveats.append(Caveat(*protocol.caveat))
    if any(measured.incomplete for measured in results):
        caveats.append(
            Caveat(
                "Folds are missing",
                "Some results pool only some folds of their protocol, or more folds of one seed "
                "than of another (config.folds, or a run that is not finished). They are marked. "
                "Other speakers or sentences are tested in the missing folds, so such a result may "
                "differ from that of all folds by more than its interval.",
            )
        )
    if any(_subject_count(record["dataset"]) == 1 for record in records):
        caveats.append(
            Caveat(
                "One speaker",
                "All clips show one person: the accuracy tells whether the pipeline works, and "
                "nothing about other people.",
            )
        )
    clips = min((record["n_test_clips"] for record in records), default=0)
    if clips < FEW_CLIPS:
        caveats.append(
            Caveat(
                "A small test split",
                f"The smallest test split has {clips} clips, so a single clip changes its accuracy "
                f"by {100 / max(clips, 1):.1f} percentage points.",
            )
        )
    groups = [measured.groups for measured in results if measured.groups]
    over_subjects = [entry.count for entry in groups if entry.name == "subject"]
    if over_subjects:
        caveats.append(
            Caveat(
                "Intervals describe the choice of subjects",
                "95% intervals are over subjects, each with all its test examples: they describe "
                "how the result would vary with other test subjects, not with another training "
                "run.",
            )
        )
    if over_subjects and min(over_subjects) < interval_notes.FEW_SUBJECTS:
        caveats.append(Caveat("Few subjects", interval_notes.warn_of_few(min(over_subjects))))
    if any(entry.name == "clip" for entry in groups):
        caveats.append(
            Caveat(
                "Intervals over the clips of one subject",
                "Where one subject was tested, 95% intervals are over that subject's clips. They "
                "say nothing about other people.",
            )
        )
    if any(measured.scores.spread is not None for measured in results):
        caveats.append(
            Caveat(
                "± is the standard deviation over seeds",
                "The standard deviation describes how much the result varies between training "
                "runs, and between splits if the seed draws the split. It is not a confidence "
                "interval.",
            )
        )
    else:
        caveats.append(
            Caveat(
                "One seed",
                "Each row was trained once. Another seed gives another result; differences between "
                "rows that are smaller than the intervals may be due to chance.",
            )
        )
    if any(block.has_paper for block in blocks):
        caveats.append(
            Caveat(
                "The paper's numbers",
                "The paper prints test accuracies without seeds, confidence intervals or split "
                "ratio. It does not give the learning rate, the image size and several other "
                "choices, which are ours.",
            )
        )
    if any(len(row.by_epochs) > 1 for row in rows):
        caveats.append(
            Caveat(
                "No best epoch is selected",
                "Each row is one training run, measured after the numbers of epochs shown. "
                "Selecting the best of these results would be a choice on test data: read the last "
                "column, or one that is fixed beforehand.",
            )
        )
    return caveats


def _subject_count(dataset: dict) -> int | None:
    """Returns the number of subjects of a record's field `dataset`; None if it is unknown."""
    subjects = dataset.get("subjects")
    return len(subjects) if isinstance(subjects, list) else subjects

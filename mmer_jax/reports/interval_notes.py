"""Sentences that explain intervals and paired tests, from the groups that these are over."""

from collections.abc import Iterable, Mapping, Sequence

from mmer_jax.evaluation.aggregation import Groups
from mmer_jax.evaluation.comparable import Pair

FEW_SUBJECTS = 10  # With fewer subjects, a note warns that the intervals rest on few people.


def describe_intervals(groups: Mapping[str, Groups]) -> list[str]:
    """Returns the sentences that explain the intervals of some rows.

    Args:
      groups: Name of a row -> groups that the row's intervals are over.
    """
    over_subjects = [entry for entry in groups.values() if entry.name == "subject"]
    over_clips = {name: entry for name, entry in groups.items() if entry.name != "subject"}
    notes = []
    if over_subjects:
        notes.append(
            f"95% interval: jackknife over {count_groups(over_subjects)} with Student's t. It "
            "describes how the result would vary with other subjects, not with another training "
            "run. There is none where all subjects have the same result."
        )
        fewest = min(entry.count for entry in over_subjects)
        if fewest < FEW_SUBJECTS:
            notes.append(warn_of_few(fewest))
    if over_clips:
        notes.append(
            f"One subject in {', '.join(over_clips)}: the 95% interval is a jackknife over "
            f"{count_groups(over_clips.values())} and says nothing about other people."
        )
    return notes


def warn_of_few(subjects: int) -> str:
    """Returns a warning that intervals are over few subjects."""
    return (
        f"Only {subjects} subjects were tested. The interval allows for that and is wide, but it "
        f"takes them for a random sample of people, which {subjects} subjects cannot confirm."
    )


def count_groups(groups: Iterable[Groups]) -> str:
    """Formats the number of groups, as in "18 subjects" or "5-18 subjects"."""
    groups = list(groups)
    counts = [entry.count for entry in groups]
    ends = dict.fromkeys(str(end) for end in (min(counts), max(counts)))
    return f"{'-'.join(ends)} {groups[0].name}{'s' * (max(counts) > 1)}"


def describe_pairs(pairs: Sequence[Pair], per: str) -> list[str]:
    """Returns the sentences that explain a table of paired comparisons.

    Args:
      pairs: The comparisons, at least one.
      per: Unit of evaluation, a key of `aggregation.AGGREGATIONS`.
    """
    exchanged = " or ".join(dict.fromkeys(f"{pair.groups.name}s" for pair in pairs))
    notes = [
        "Difference: accuracy of the first row minus that of the second, in percentage points, "
        "over the seeds that both rows have, with the 95% interval of the difference over "
        f"{exchanged}. McNemar: exact test on the mean probabilities of all seeds; it assumes "
        f"independent {per}s, which {per}s of one {'clip' if per == 'triplet' else 'subject'} are "
        f"not. Permutation: paired test that exchanges the two rows for whole {exchanged}. Both p "
        f"are corrected by Holm's method for the number of pairs here ({len(pairs)})."
    ]
    fewest = min((pair.groups for pair in pairs), key=lambda groups: groups.count)
    smallest_p = 2.0 ** (1 - fewest.count)  # Two-sided.
    if smallest_p > 0.01:
        notes.append(
            f"With {fewest} no permutation p can be below {smallest_p:.2g} before "
            "the correction, whatever the difference."
        )
    return notes

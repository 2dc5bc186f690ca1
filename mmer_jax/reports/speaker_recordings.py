"""Report section: accuracy of transductive networks by the number of recordings of the speaker."""

from collections.abc import Sequence
from pathlib import Path

from mmer_jax.evaluation import intervals, settings, summary
from mmer_jax.evaluation.summary import percent
from mmer_jax.reports import interval_notes
from mmer_jax.reports.sections import Section
from mmer_jax.robustness import speaker_results
from mmer_jax.robustness.speaker_results import ONE_EMOTION, Curve, Point

HEADINGS = ("row", "recordings", "accuracy", "over draws", "less than all", "draws", "networks")


def make_sections(workdir: Path) -> list[Section]:
    """Makes a report section for each protocol that `mmer speakers` has tested in a workdir.

    Args:
      workdir: Workdir of a run.
    """
    grouped: dict[tuple[str, str], list[Curve]] = {}
    for curve in speaker_results.compute_curves(workdir):
        grouped.setdefault((curve.table, curve.protocol), []).append(curve)
    return [
        Section(
            f"Recordings of a tested speaker under {protocol}",
            (*make_notes(curves), f"Protocol {protocol}: {summary.describe_guarantee(protocol)}"),
            table=tuple(make_table(curves)),
        )
        for (_, protocol), curves in grouped.items()
    ]


def make_table(curves: Sequence[Curve]) -> list[tuple[str, ...]]:
    """Returns the points of curves as table rows of strings with the columns HEADINGS.

    Args:
      curves: Curves as returned by `speaker_results.compute_curves`, of one protocol.

    Returns:
      Table rows, header first. Accuracies are in percent, and differences in percentage points.
    """
    return [
        HEADINGS,
        *(
            (
                settings.add_labels(curve.row, "transductive", curve.results[0]["tested"]),
                format_recordings(point),
                _format_percent(point.accuracy),
                "" if point.spread is None else f"±{percent(point.spread)}",
                _format_points(point.drop),
                str(point.draws),
                str(point.networks),
            )
            for curve in curves
            for point in curve.points
        ),
    ]


def format_recordings(point: Point) -> str:
    """Formats the recordings of a point, as in "4", "all (60)" or "4 of one emotion"."""
    text = str(point.recordings)
    if point.recordings is None:
        text = f"all ({'-'.join(str(n) for n in dict.fromkeys(point.used))})"
    return f"{text} of one emotion" if point.kind == ONE_EMOTION else text


def make_notes(curves: Sequence[Curve]) -> list[str]:
    """Returns the sentences that explain how to read the table of some curves.

    Args:
      curves: At least one curve, all under the same protocol.
    """
    results = [result for curve in curves for result in curve.results]
    subset = "Validation" if results[0]["tested"] == "validation" else "Test"
    seeds = ", ".join(map(str, sorted({result["seed"] for result in results})))
    notes = [
        "How many recordings of a speaker a transductive network needs. The statistics that "
        "normalize a clip are computed from this many recordings of its speaker: the clip itself "
        "and others, drawn at random among all that the data have, without their labels. With "
        "1 it is the clip alone; a speaker who has fewer recordings counts with all of them. The "
        "networks were trained with statistics of all recordings, and nothing was trained for "
        "these tests.",
        f"{subset} accuracy per clip in %: mean over draws and seeds ({seeds}), folds pooled, with "
        "the 95% interval in brackets. Over draws: standard deviation over draws. Less than all: "
        "the accuracy with all recordings minus this accuracy, in percentage points, with the "
        "interval of the difference.",
        *interval_notes.describe_intervals({curve.row: curve.groups for curve in curves}),
    ]
    if any(point.kind == ONE_EMOTION for curve in curves for point in curve.points):
        notes.append(
            "Of one emotion: the others have the emotion of the clip, as if the speaker were in "
            "one mood. Their labels are read for this choice only."
        )
    if any(len({point.networks for point in curve.points}) > 1 for curve in curves):
        notes.append("The measurements are incomplete: the number of networks differs.")
    if subset == "Validation":
        notes.append(settings.VALIDATION_NOTE)
    if any(result["dataset"]["origin"] != "recorded" for result in results):
        notes.append(summary.RENDERED_NOTE)
    return notes


def _format_percent(interval: intervals.Interval) -> str:
    return f"{percent(interval.mean)} ({interval.format_ends(percent)})"


def _format_points(interval: intervals.Interval) -> str:
    return f"{100 * interval.mean:.1f} ({interval.format_ends(_format_point, ' to ')})"


def _format_point(difference: float) -> str:
    return f"{100 * difference:.1f}"

"""Tests transductive networks with statistics from few recordings of each tested speaker.

    mmer speakers runs/ravdess_unseen_speakers
    mmer speakers runs/ravdess_unseen_speakers --recordings 1 3 10 --draws 20 --one_emotion

Nothing is trained: the parameters that the run saved are used. Results are appended to
WORKDIR/speaker_recordings.jsonl, and finished ones are not measured again. The HTML report has the
same table: run `mmer report WORKDIR` to update the report.
"""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from mmer_jax import errors
from mmer_jax.cli import workdir_tests
from mmer_jax.evaluation import summary
from mmer_jax.reports import speaker_recordings as tables
from mmer_jax.robustness import speaker_recordings, speaker_results
from mmer_jax.robustness.speaker_results import Curve
from mmer_jax.utils import columns

NOTE_WIDTH = 100  # characters


def format_curves(curves: Sequence[Curve], markdown: bool = False) -> str:
    """Formats curves as one table for each protocol, followed by notes.

    Args:
      curves: Curves returned by `speaker_results.compute_curves`.
      markdown: Whether to format tables in Markdown; if false, for a terminal.

    Returns:
      Text without a trailing newline.
    """
    format_table = columns.markdown if markdown else columns.aligned
    blocks = []
    for protocol in dict.fromkeys(curve.protocol for curve in curves):
        members = [curve for curve in curves if curve.protocol == protocol]
        title = f"{protocol}, recordings of the tested speaker"
        blocks.append(f"### {title}" if markdown else title)
        blocks.append("\n".join(format_table(tables.make_table(members))))
        notes = tables.make_notes(members)
        notes.append(f"Protocol {protocol}: {summary.describe_guarantee(protocol)}")
        blocks += notes if markdown else [textwrap.fill(note, NOTE_WIDTH) for note in notes]
    return "\n\n".join(blocks)


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Arguments after `mmer speakers`; None for the arguments of the process.

    Returns:
      The exit status: 0 on success; 2 if something could not be tested, or after an error of the
      user; 130 if interrupted with Ctrl-C.
    """
    options = _parser().parse_args(arguments)

    def test(workdir: Path) -> Sequence[str]:
        return speaker_recordings.run(
            workdir,
            protocols=options.protocol,
            rows=options.rows,
            recordings=options.recordings,
            draws=options.draws,
            one_emotion=options.one_emotion,
            pack_folder=options.pack,
        )

    return workdir_tests.run(options, test, speaker_results.compute_curves, format_curves)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmer speakers",
        description="Tests the transductive networks of a workdir (config.input.normalization is "
        "per_speaker) with normalization statistics from few recordings of each tested speaker. "
        "Nothing is trained.",
    )
    workdir_tests.add_arguments(parser, "all that are transductive")
    parser.add_argument(
        "--recordings",
        nargs="+",
        type=int,
        default=speaker_recordings.RECORDINGS,
        metavar="N",
        help="numbers of recordings of a speaker, the tested clip included (default: "
        f"{' '.join(map(str, speaker_recordings.RECORDINGS))}); all are always tested too",
    )
    parser.add_argument(
        "--draws",
        type=int,
        default=speaker_recordings.DRAWS,
        metavar="N",
        help="number of random draws for each number of recordings (default: %(default)s)",
    )
    parser.add_argument(
        "--one_emotion",
        action="store_true",
        help="also draw recordings with the emotion of the tested clip only",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

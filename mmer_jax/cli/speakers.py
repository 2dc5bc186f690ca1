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
    workdir = options.workdir.expanduser()
    try:
        problems = []
        if not options.stored:
            problems = speaker_recordings.run(
                workdir,
                protocols=options.protocol,
                rows=options.rows,
                recordings=options.recordings,
                draws=options.draws,
                one_emotion=options.one_emotion,
                pack_folder=options.pack,
            )
        curves = speaker_results.compute_curves(workdir, options.protocol, options.rows)
        if not curves:
            raise errors.UserError(f"{workdir} has no results yet: leave out --stored")
        print(format_curves(curves, options.markdown))
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        return 130
    for problem in problems:
        print(f"not tested: {problem}", file=sys.stderr)
    return 2 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmer speakers",
        description="Tests the transductive networks of a workdir (config.input.normalization is "
        "per_speaker) with normalization statistics from few recordings of each tested speaker. "
        "Nothing is trained.",
    )
    parser.add_argument("workdir", metavar="WORKDIR", type=Path, help="workdir of a finished run")
    parser.add_argument(
        "--protocol",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names of evaluation protocols to test (default: all)",
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names of config rows (models) to test (default: all that are transductive)",
    )
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
    parser.add_argument(
        "--pack",
        metavar="DIR",
        type=Path,
        help="new location of the training data (pack folder), if it has been moved",
    )
    parser.add_argument(
        "--stored",
        action="store_true",
        help="print the results that the workdir has; test nothing",
    )
    parser.add_argument("--markdown", action="store_true", help="format tables in Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Tests trained networks on missing modalities, noisy audio and degraded face images.

    mmer robustness runs/ravdess_strong
    mmer robustness runs/ravdess_strong --rows face_mel --corruptions blur missing --blur 2 4

Nothing is trained: the parameters that the run saved are used. Results are appended to
WORKDIR/robustness.jsonl. Conditions that have already been measured are skipped. The HTML report
plots all results: run `mmer report WORKDIR` to update the report.
"""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from mmer_jax import errors
from mmer_jax.cli import workdir_tests
from mmer_jax.evaluation import summary
from mmer_jax.media import corruptions
from mmer_jax.reports import robustness
from mmer_jax.robustness import conditions, measure, results
from mmer_jax.robustness.results import Curve
from mmer_jax.utils import columns

NOTE_WIDTH = 100  # characters


def format_curves(curves: Sequence[Curve], markdown: bool = False) -> str:
    """Formats curves as tables, one for each protocol and corruption, followed by notes.

    Args:
      curves: Curves returned by `results.compute_curves`.
      markdown: Whether to format tables in Markdown; if false, for a terminal.

    Returns:
      Text without a trailing newline.
    """
    format_table = columns.markdown if markdown else columns.aligned
    blocks, notes = [], []
    for protocol in dict.fromkeys(curve.protocol for curve in curves):
        of_protocol = [curve for curve in curves if curve.protocol == protocol]
        for corruption in conditions.NAMES:
            tested = [curve for curve in of_protocol if curve.get_points(corruption)]
            if tested:
                title = f"{protocol}, {robustness.get_corruption_title(corruption)}"
                blocks.append(f"### {title}" if markdown else title)
                blocks.append("\n".join(format_table(robustness.make_table(tested, corruption))))
                notes += robustness.describe_corruption(corruption)
        notes += robustness.make_notes(of_protocol)
        notes.append(f"Protocol {protocol}: {summary.describe_guarantee(protocol)}")
    notes = dict.fromkeys(notes)
    return "\n\n".join([*blocks, *(n if markdown else textwrap.fill(n, NOTE_WIDTH) for n in notes)])


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Arguments after `mmer robustness`; None for the arguments of the process.

    Returns:
      The exit status: 0 on success; 2 if something could not be tested, or after an error of the
      user; 130 if interrupted with Ctrl-C.
    """
    options = _parser().parse_args(arguments)

    def test(workdir: Path) -> Sequence[str]:
        return measure.run(
            workdir,
            protocols=options.protocol,
            rows=options.rows,
            requested=options.corruptions,
            levels={name: getattr(options, name) for name in corruptions.CORRUPTIONS},
            pack_folder=options.pack,
            manual_dir=options.manual_dir,
        )

    return workdir_tests.run(options, test, results.compute_curves, format_curves)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmer robustness",
        description="Tests the trained networks of a workdir with missing modalities, noisy audio "
        "and degraded face images. Nothing is trained.",
    )
    workdir_tests.add_arguments(parser)
    parser.add_argument(
        "--corruptions",
        nargs="+",
        default=conditions.NAMES,
        metavar="NAME",
        help=f"names of corruptions to test, out of {', '.join(conditions.NAMES)} (default: all)",
    )
    for corruption in corruptions.CORRUPTIONS.values():
        parser.add_argument(
            f"--{corruption.name}",
            nargs="+",
            type=float,
            metavar="LEVEL",
            help=f"levels of {corruption.name} in{corruption.unit.replace('%', '%%')} "
            f"(default: {' '.join(f'{level:g}' for level in corruption.levels)})",
        )
    parser.add_argument(
        "--manual_dir",
        metavar="DIR",
        type=Path,
        help="new location of the original recordings, if they have been moved; used only for "
        "audio noise",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Tests trained networks on missing modalities, noisy audio and degraded face images.

    mmer robustness runs/honest
    mmer robustness runs/honest --rows face_mel --corruptions blur missing --blur 2 4

Nothing is trained: the parameters that the run saved are used. Results are appended to
WORKDIR/robustness.jsonl, and existing ones are not measured again. The report shows them as curves.
"""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from mmer_jax import errors
from mmer_jax.evaluation import summary
from mmer_jax.media import corruptions
from mmer_jax.reports import robustness
from mmer_jax.robustness import conditions, measure, results
from mmer_jax.robustness.results import Curve
from mmer_jax.utils import columns

WIDTH = 100  # of the notes, in characters


def format_curves(curves: Sequence[Curve], in_markdown: bool = False) -> str:
    """Formats curves as tables, one for each protocol and corruption, followed by notes.

    Args:
      curves: As `results.compute_curves` returns them.
      in_markdown: Whether to write Markdown; otherwise text for a terminal.

    Returns:
      Lines without a final newline.
    """
    format_table = columns.markdown if in_markdown else columns.aligned
    blocks, notes = [], []
    for protocol in dict.fromkeys(curve.protocol for curve in curves):
        of_protocol = [curve for curve in curves if curve.protocol == protocol]
        for corruption in conditions.NAMES:
            tested = [curve for curve in of_protocol if curve.get_points(corruption)]
            if tested:
                title = f"{protocol}, {robustness.corruption_title(corruption)}"
                blocks.append(f"### {title}" if in_markdown else title)
                blocks.append("\n".join(format_table(robustness.table_lines(tested, corruption))))
                notes += robustness.describe_corruption(corruption)
        notes += robustness.reading_notes(of_protocol)
        notes.append(f"Protocol {protocol}: {summary.promise(protocol)}")
    notes = dict.fromkeys(notes)
    return "\n\n".join([*blocks, *(n if in_markdown else textwrap.fill(n, WIDTH) for n in notes)])


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    options = _parser().parse_args(arguments)
    workdir = options.workdir.expanduser()
    try:
        problems = measure.run(
            workdir,
            protocols=options.protocol,
            rows=options.rows,
            requested=options.corruptions,
            levels={name: getattr(options, name) for name in corruptions.CORRUPTIONS},
            pack_folder=options.pack,
            manual_dir=options.manual_dir,
        )
        curves = results.compute_curves(workdir, options.protocol, options.rows)
        print(format_curves(curves, options.markdown))
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        return 130
    for problem in problems:
        print(f"not tested: {problem}", file=sys.stderr)
    return 2 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmer robustness",
        description="Tests the trained networks of a workdir with missing modalities, noisy audio "
        "and degraded face images. Nothing is trained.",
    )
    parser.add_argument("workdir", metavar="WORKDIR", type=Path, help="workdir of a finished run")
    parser.add_argument(
        "--protocol", nargs="+", default=[], metavar="NAME", help="protocols; default: all"
    )
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="rows; default: all")
    parser.add_argument(
        "--corruptions",
        nargs="+",
        default=conditions.NAMES,
        metavar="NAME",
        help=f"out of {', '.join(conditions.NAMES)}; default: all",
    )
    for corruption in corruptions.CORRUPTIONS.values():
        parser.add_argument(
            f"--{corruption.name}",
            nargs="+",
            type=float,
            metavar="LEVEL",
            help=f"levels of {corruption.name} in{corruption.unit.replace('%', '%%')}; "
            f"default: {' '.join(f'{level:g}' for level in corruption.levels)}",
        )
    parser.add_argument(
        "--pack", metavar="DIR", type=Path, help="pack that was trained from, if it was moved"
    )
    parser.add_argument(
        "--manual_dir",
        metavar="DIR",
        type=Path,
        help="folder of the recordings, if it was moved; needed to add noise to their audio",
    )
    parser.add_argument("--markdown", action="store_true", help="print tables in Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())

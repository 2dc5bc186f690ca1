"""Tests the networks of a work folder with inputs missing, noisy audio and faces hard to see.

    mmer robustness runs/honest
    mmer robustness runs/honest --rows face_mel --corruptions blur missing --blur 2 4

Nothing is trained: the parameters that the run has kept are used. Results are added to
WORKDIR/robustness.jsonl; what is there is not measured again. The report shows them as curves.
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


def text(curves: Sequence[Curve], in_markdown: bool = False) -> str:
    """Curves as tables, one for each protocol and corruption; lines without a last newline."""
    lines = columns.markdown if in_markdown else columns.aligned
    parts, notes = [], []
    for protocol in dict.fromkeys(curve.protocol for curve in curves):
        members = [curve for curve in curves if curve.protocol == protocol]
        for corruption in conditions.NAMES:
            touched = [curve for curve in members if curve.of(corruption)]
            if touched:
                title = f"{protocol}, {robustness.title(corruption)}"
                parts.append(f"### {title}" if in_markdown else title)
                parts.append("\n".join(lines(robustness.lines(touched, corruption))))
                notes += robustness.how(corruption)
        notes += [*robustness.reading(members), f"Protocol {protocol}: {summary.promise(protocol)}"]
    notes = dict.fromkeys(notes)
    return "\n\n".join([*parts, *(n if in_markdown else textwrap.fill(n, WIDTH) for n in notes)])


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    workdir = options.workdir.expanduser()
    try:
        problems = measure.run(
            workdir,
            protocols=options.protocol,
            rows=options.rows,
            wanted=options.corruptions,
            levels={name: getattr(options, name) for name in corruptions.CORRUPTIONS},
            pack_folder=options.pack,
            manual_dir=options.manual_dir,
        )
        print(text(results.curves(workdir, options.protocol, options.rows), options.markdown))
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        return 130
    for problem in problems:
        print(f"not tested: {problem}", file=sys.stderr)
    return 2 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmer robustness",
        description="Tests the trained networks of a work folder with an input missing, with noisy "
        "audio and with faces that are hard to see. Trains nothing.",
    )
    parser.add_argument("workdir", metavar="WORKDIR", type=Path, help="of run.py")
    parser.add_argument("--protocol", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument(
        "--corruptions",
        nargs="+",
        default=conditions.NAMES,
        metavar="NAME",
        help=f"of {', '.join(conditions.NAMES)}; default: all",
    )
    for known in corruptions.CORRUPTIONS.values():
        parser.add_argument(
            f"--{known.name}",
            nargs="+",
            type=float,
            metavar="LEVEL",
            help=f"levels of {known.name} in{known.unit.replace('%', '%%')}; "
            f"default: {' '.join(f'{level:g}' for level in known.levels)}",
        )
    parser.add_argument(
        "--pack", metavar="DIR", type=Path, help="the pack that was trained from, if it was moved"
    )
    parser.add_argument(
        "--manual_dir",
        metavar="DIR",
        type=Path,
        help="folder of the recordings, if they were moved: noise is added to the audio itself",
    )
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())

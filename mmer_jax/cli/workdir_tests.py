"""What the commands that test the trained networks of a workdir share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmer_jax import errors


def add_arguments(parser: argparse.ArgumentParser, default_rows: str = "all") -> None:
    """Adds the workdir, and the arguments that select and print its results.

    Args:
      parser: The parser of the command.
      default_rows: Description of the rows that are tested without --rows.
    """
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
        help=f"names of config rows (models) to test (default: {default_rows})",
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


def run(
    options: argparse.Namespace,
    test: Callable[[Path], Sequence[str]],
    compute_curves: Callable[[Path, Sequence[str], Sequence[str]], Sequence[Any]],
    format_curves: Callable[[Sequence[Any], bool], str],
) -> int:
    """Tests the networks of a workdir, unless --stored is given, and prints all results.

    Args:
      options: The parsed arguments of `add_arguments`.
      test: Function of the workdir that tests its networks; returns what could not be tested.
      compute_curves: Function of the workdir, protocols and rows that returns the stored results.
      format_curves: Function of the results, and of whether to format in Markdown.

    Returns:
      The exit status: 0 on success, 2 if something could not be tested, 130 if interrupted.

    Raises:
      UserError: With --stored: there are no results.
    """
    workdir = options.workdir.expanduser()
    try:
        problems = [] if options.stored else test(workdir)
        curves = compute_curves(workdir, options.protocol, options.rows)
        if not curves:
            raise errors.UserError(f"{workdir} has no results yet: leave out --stored")
        print(format_curves(curves, options.markdown))
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        return 130
    for problem in problems:
        print(f"not tested: {problem}", file=sys.stderr)
    return 2 if problems else 0

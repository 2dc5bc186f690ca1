"""Prints the paper's tables 9 and 10 (results of the literature) with the rows measured here.

mmer literature --workdir runs/ravdess_strong runs/ravdess_normal
"""

import argparse
import sys
from pathlib import Path

from mmer_jax import errors
from mmer_jax.evaluation import measured_rows
from mmer_jax.reports import literature


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="mmer literature",
        description="Prints the paper's tables 9 and 10 (results of the literature) with the rows "
        "measured here, and states which of them are comparable.",
    )
    parser.add_argument(
        "--workdir",
        action="extend",
        nargs="+",
        default=[],
        metavar="WORKDIR",
        type=Path,
        help="workdirs of runs",
    )
    parser.add_argument(
        "--best",
        action="store_true",
        help="show only the best of the rows with the same recordings, emotions and protocol",
    )
    parser.add_argument("--markdown", action="store_true", help="print tables in Markdown")
    options = parser.parse_args(arguments)
    print(
        literature.compare(measured_rows.read_rows(options.workdir), options.best, options.markdown)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Prints the paper's tables 9 and 10 with the rows measured here beside them.

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
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="mmer literature",
        description="Prints the paper's tables 9 and 10 with the rows measured here beside them.",
    )
    parser.add_argument(
        "--workdir",
        action="extend",
        nargs="+",
        default=[],
        metavar="WORKDIR",
        type=Path,
        help="of run.py; several",
    )
    parser.add_argument("--best", action="store_true", help="of rows measured alike, the best")
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    options = parser.parse_args(arguments)
    print(
        literature.compare(measured_rows.read_rows(options.workdir), options.best, options.markdown)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Prints tables 9 and 10 of the paper (results of the literature) with the rows measured here.

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
    """Runs the command.

    Args:
      arguments: Arguments after `mmer literature`; None for the arguments of the process.

    Returns:
      The exit status: 0 on success, 2 after an error of the user.
    """
    parser = argparse.ArgumentParser(
        prog="mmer literature",
        description="Prints the paper's tables 9 and 10 (results of the literature) with the "
        "config rows (models) measured here, and states which rows compare with which entries.",
    )
    parser.add_argument(
        "--workdir",
        action="extend",
        nargs="+",
        default=[],
        metavar="WORKDIR",
        type=Path,
        help="workdirs of the runs whose rows are shown (default: none)",
    )
    parser.add_argument(
        "--best",
        action="store_true",
        help="show only the best of the rows with the same recordings, emotions and protocol",
    )
    parser.add_argument("--markdown", action="store_true", help="format tables in Markdown")
    options = parser.parse_args(arguments)
    print(
        literature.format_tables(
            measured_rows.read_rows(options.workdir, per_clip=True),
            options.best,
            options.markdown,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

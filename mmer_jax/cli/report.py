"""Writes the report of a workdir again, or a page that compares several workdirs.

mmer report runs/unseen_speakers
mmer report runs/unseen_speakers runs/paper
"""

import argparse
import sys
from pathlib import Path

from mmer_jax import errors
from mmer_jax.reports import comparison, report


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Arguments after `mmer report`; None for the arguments of the process.

    Returns:
      The exit status: 0 on success, 2 after an error of the user.
    """
    parser = argparse.ArgumentParser(
        prog="mmer report",
        description="Writes the HTML report of a workdir again from the records and "
        "predictions. For several workdirs, writes a page that compares the workdirs.",
    )
    parser.add_argument(
        "workdirs", nargs="+", metavar="WORKDIR", type=Path, help="workdirs of runs"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("report-compare.html"),
        help="path of the comparison page, for several workdirs (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    if len(options.workdirs) == 1:
        print(report.write_report(options.workdirs[0]))
    else:
        print(comparison.write_comparison(options.workdirs, options.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes the report of a workdir again; of several workdirs, a page that compares them.

mmer report runs/honest
mmer report runs/honest runs/paper
"""

import argparse
import sys
from pathlib import Path

from mmer_jax import errors
from mmer_jax.reports import comparison, report


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="mmer report",
        description="Writes the report of a work folder again, from what is in it; of several, a "
        "page that compares them.",
    )
    parser.add_argument("workdirs", nargs="+", metavar="WORKDIR", type=Path, help="of run.py")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("report-compare.html"),
        help="file of the page that compares; default: %(default)s",
    )
    options = parser.parse_args(arguments)
    if len(options.workdirs) == 1:
        print(report.write_report(options.workdirs[0]))
    else:
        print(comparison.write(options.workdirs, options.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Compares rows of workdirs under each protocol, with intervals and paired tests.

mmer compare runs/honest runs/paper --protocol actor_kfold
"""

import argparse
import sys
from pathlib import Path

from mmer_jax import errors
from mmer_jax.evaluation import aggregation, comparable
from mmer_jax.reports import compare


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="mmer compare",
        description="Prints the rows of work folders under each protocol with 95% intervals over "
        "subjects, and paired tests of those that were tested on the same clips.",
    )
    parser.add_argument("workdirs", nargs="+", metavar="WORKDIR", type=Path, help="of run.py")
    parser.add_argument("--protocol", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--epochs", type=int, help="after how many; default: each row's most")
    parser.add_argument(
        "--per", choices=aggregation.PER, default="clip", help="what is counted; default: clip"
    )
    parser.add_argument(
        "--temperature",
        action="store_true",
        help="take probabilities at the temperature fitted on each cell's validation part",
    )
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    options = parser.parse_args(arguments)
    rows = comparable.read(
        options.workdirs,
        protocols=options.protocol,
        rows=options.rows,
        epochs=options.epochs,
        per=options.per,
        temperature=options.temperature,
    )
    print(compare.text(rows, options.per, options.markdown))
    return 0


if __name__ == "__main__":
    sys.exit(main())

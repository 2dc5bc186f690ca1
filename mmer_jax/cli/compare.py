"""Compares the config rows of workdirs, with confidence intervals and paired significance tests.

mmer compare runs/unseen_speakers runs/paper --protocol actor_kfold
"""

import argparse
import sys
from pathlib import Path

from mmer_jax import errors
from mmer_jax.evaluation import aggregation, comparable
from mmer_jax.reports import compare


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Arguments after `mmer compare`; None for the arguments of the process.

    Returns:
      The exit status: 0 on success, 2 after an error of the user.
    """
    parser = argparse.ArgumentParser(
        prog="mmer compare",
        description="Prints the results of workdirs for each protocol: metrics with 95% confidence "
        "intervals over subjects, and paired significance tests between config "
        "rows (models) that were tested on the same clips.",
    )
    parser.add_argument(
        "workdirs", nargs="+", metavar="WORKDIR", type=Path, help="workdirs of runs"
    )
    parser.add_argument(
        "--protocol",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names of evaluation protocols to compare (default: all)",
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names of config rows (models) to compare (default: all)",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="number of training epochs after which to compare (default: the largest of each row)",
    )
    parser.add_argument(
        "--per",
        choices=aggregation.AGGREGATIONS,
        default="clip",
        help="compute metrics per clip, from the mean probabilities of its examples, or per "
        "triplet (default: %(default)s)",
    )
    parser.add_argument(
        "--temperature",
        action="store_true",
        help="scale probabilities with a temperature fitted on each cell's validation split",
    )
    parser.add_argument("--markdown", action="store_true", help="format tables in Markdown")
    options = parser.parse_args(arguments)
    rows = comparable.read(
        options.workdirs,
        protocols=options.protocol,
        rows=options.rows,
        epochs=options.epochs,
        per=options.per,
        temperature=options.temperature,
    )
    print(compare.format_comparison(rows, options.per, options.markdown))
    return 0


if __name__ == "__main__":
    sys.exit(main())

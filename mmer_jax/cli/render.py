"""Renders synthetic talking-head clips.

    mmer render DEST --actors 8 --seed 0
    mmer render DEST --dataset baum1_acted

Clips of baum1_acted and baum1_spontaneous are in BAUM-1's layout, with a table of labels.
"""

import argparse
import sys

from mmer_jax import errors
from mmer_jax.synthetic import RENDERERS, expression, ravdess
from mmer_jax.synthetic.clip import Look


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Arguments after `mmer render`; None for the arguments of the process.

    Returns:
      The exit status: 0 on success, 2 after an error of the user.
    """
    parser = argparse.ArgumentParser(
        prog="mmer render",
        description="Renders small talking-head clips (.mp4) in the layout of a dataset.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "dest",
        metavar="DEST",
        help="output folder, for Actor_XX/01-01-....mp4, or BAUM1a_MP4_all/s001/... and labels",
    )
    parser.add_argument(
        "--dataset", choices=RENDERERS, default="ravdess", help="dataset whose layout is used"
    )
    parser.add_argument("--actors", type=int, default=8, help="number of actors")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of the random differences between actors and takes",
    )
    parser.add_argument(
        "--emotions",
        default=",".join(ravdess.EMOTIONS),
        help=f"names of emotions, separated by commas, out of {', '.join(expression.EMOTIONS)}",
    )
    parser.add_argument(
        "--seconds", type=float, default=Look.seconds, help="length of a clip in seconds"
    )
    parser.add_argument("--fps", type=int, default=Look.fps, help="frames per second")
    parser.add_argument(
        "--variation",
        type=float,
        default=Look.variation,
        help="how much the takes of an emotion differ, 0 to 3; larger is harder to recognize",
    )
    parser.add_argument(
        "--workers", type=int, default=None, help="number of processes; None for one per core"
    )
    parser.add_argument(
        "--traps",
        action="store_true",
        help="BAUM-1: also render the original's irregularities: misspellings, missing labels, ...",
    )
    options = vars(parser.parse_args(arguments))
    dest, dataset = options.pop("dest"), options.pop("dataset")
    if not options["traps"]:
        del options["traps"]
    elif dataset == "ravdess":
        parser.error("--traps is for BAUM-1 only: choose it with --dataset")
    options["emotions"] = [name for name in options["emotions"].split(",") if name]

    def print_progress(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        print(f"\r{done} of {total} clips", end=end, file=sys.stderr, flush=True)

    progress = print_progress if sys.stderr.isatty() else None
    RENDERERS[dataset](dest, **options, intensities=(), progress=progress)
    print(f"rendered into {dest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

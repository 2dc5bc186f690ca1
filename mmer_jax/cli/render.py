"""Renders clips from the command line: mmer render DEST --actors 8 --seed 0.

With --dataset baum1_acted or baum1_spontaneous in BAUM-1's layout, with a list of labels.
"""

import argparse
import sys

from mmer_jax import errors
from mmer_jax.synthetic import RENDERERS, expression, ravdess
from mmer_jax.synthetic.clip import Look


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="mmer render",
        description="Renders small talking-head clips (.mp4) in a data set's layout and names.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "dest",
        metavar="DEST",
        help="folder for Actor_XX/01-01-....mp4, or BAUM1a_MP4_all/s001/... and its list of labels",
    )
    parser.add_argument("--dataset", choices=RENDERERS, default="ravdess", help="whose layout")
    parser.add_argument("--actors", type=int, default=8, help="render the first N people")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other actors and takes")
    parser.add_argument(
        "--emotions",
        default=",".join(ravdess.EMOTIONS),
        help=f"comma-separated, of {', '.join(expression.EMOTIONS)}",
    )
    parser.add_argument("--seconds", type=float, default=Look.seconds, help="of a clip")
    parser.add_argument("--fps", type=int, default=Look.fps, help="frames per second")
    parser.add_argument(
        "--variation",
        type=float,
        default=Look.variation,
        help="0 to 3: how much takes of one emotion differ; more makes them harder to tell",
    )
    parser.add_argument("--workers", type=int, default=None, help="processes; None: one a core")
    parser.add_argument(
        "--traps",
        action="store_true",
        help="BAUM-1: also the original's misspellings, missing labels and so on",
    )
    options = vars(parser.parse_args(arguments))
    dest, dataset = options.pop("dest"), options.pop("dataset")
    if not options["traps"]:
        del options["traps"]
    elif dataset == "ravdess":
        parser.error("--traps are of BAUM-1: name it with --dataset")
    options["emotions"] = [name for name in options["emotions"].split(",") if name]

    def progress(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        print(f"\r{done} of {total} clips", end=end, file=sys.stderr, flush=True)

    shown = progress if sys.stderr.isatty() else None
    RENDERERS[dataset](dest, **options, intensities=(), progress=shown)
    print(f"rendered into {dest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

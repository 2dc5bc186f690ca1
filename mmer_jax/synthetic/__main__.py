"""Renders clips from the command line: python -m mmer_jax.synthetic DEST --actors 8 --seed 0."""

import argparse
import sys

from mmer_jax import errors
from mmer_jax.synthetic import expression, ravdess


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m mmer_jax.synthetic",
        description="Renders small talking-head clips (.mp4) in RAVDESS's layout and names.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("dest", metavar="DEST", help="folder for Actor_XX/01-01-....mp4")
    parser.add_argument("--actors", type=int, default=8, help="render the first N actors, up to 24")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other actors and takes")
    parser.add_argument(
        "--emotions",
        default=",".join(ravdess.EMOTIONS),
        help=f"comma-separated, of {', '.join(expression.EMOTIONS)}",
    )
    parser.add_argument("--seconds", type=float, default=ravdess.Look.seconds, help="of a clip")
    parser.add_argument("--fps", type=int, default=ravdess.Look.fps, help="frames per second")
    parser.add_argument(
        "--variation",
        type=float,
        default=ravdess.Look.variation,
        help="0 to 3: how much takes of one emotion differ; more makes them harder to tell",
    )
    parser.add_argument("--workers", type=int, default=None, help="processes; None: one a core")
    options = vars(parser.parse_args(arguments))
    options["emotions"] = [name for name in options["emotions"].split(",") if name]

    def progress(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        print(f"\r{done} of {total} clips", end=end, file=sys.stderr, flush=True)

    try:
        ravdess.render_ravdess(**options, progress=progress if sys.stderr.isatty() else None)
    except errors.UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"rendered into {options['dest']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

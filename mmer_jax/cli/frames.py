"""Picks frames of clips, and ranks all of them (docs/frame_selection.md has the whole way).

mmer frames sheets --manual_dir DIR --out FOLDER       # pages to pick on
mmer frames automatic --manual_dir DIR --out picks.csv # picks without you
mmer frames score --workdir W --out scores.csv         # ranks all frames
"""

import argparse
import sys
from pathlib import Path

from mmer_jax import errors

# Modules are imported by the commands that use them: pages need no JAX.

DATASETS = ("baum1_acted", "baum1_spontaneous", "ravdess")


def _sheets(options: argparse.Namespace) -> None:
    from mmer_jax.frame_selection import recordings_of, sheets

    found = recordings_of.select(options.dataset, options.manual_dir, options.clips)
    page = sheets.write(
        found, options.out, options.dataset, options.every, _build_options(options), options.workers
    )
    print(f"open {page} in a browser")


def _automatic(options: argparse.Namespace) -> None:
    from mmer_jax.frame_selection import automatic, recordings_of

    found = recordings_of.select(options.dataset, options.manual_dir, options.clips)
    count = automatic.pick(
        found,
        options.out,
        options.per_clip,
        options.apart,
        _build_options(options),
        options.workers,
    )
    print(f"{count} frames of {len(found)} clips: {options.out}")


def _score(options: argparse.Namespace) -> None:
    from mmer_jax.frame_selection import scores

    places = {name: getattr(options, name) for name in _PLACES}
    done = scores.score_workdir(
        options.workdir,
        options.out,
        row=options.row,
        in_sample=options.in_sample,
        places={name: place for name, place in places.items() if place is not None},
    )
    print(f"{done}: {options.out}")


# Fields of config.data that may differ from those of the training.
_PLACES = {
    "manual_dir": "folder of the recordings",
    "data_dir": "where built data sets live",
    "pack": "the pack itself",
    "picked": "the list of picked frames",
}


def _build_options(options: argparse.Namespace):
    from mmer_jax.datasets import clips

    return clips.Options(
        detector=options.detector,
        detector_model=options.detector_model,
        face_margin=options.face_margin,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmer frames",
        description="Picks frames of clips, and ranks all by networks trained on the picked.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def reading(name: str, run, summary: str, out: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        added.add_argument("clips", nargs="*", metavar="CLIP", help="names; all if none is given")
        added.add_argument("--dataset", choices=DATASETS, default=DATASETS[0])
        added.add_argument("--manual_dir", required=True, help="folder of the recordings")
        added.add_argument("--out", required=True, type=Path, help=out)
        added.add_argument("--detector", default="haar", help="haar, yunet or none")
        added.add_argument("--detector_model", help="file of yunet's model")
        added.add_argument("--face_margin", type=float, default=0.15, help="part of the width")
        added.add_argument("--workers", type=int, help="processes; one a core if not given")
        return added

    added = reading("sheets", _sheets, "writes pages on which frames are picked", "a folder")
    added.add_argument("--every", type=int, default=3, help="show each so-manieth frame")

    added = reading(
        "automatic", _automatic, "picks the frames farthest from how clips begin", "a CSV file"
    )
    added.add_argument("--per_clip", type=int, default=7, help="frames of a clip")
    added.add_argument("--apart", type=int, default=3, help="least distance in frames")

    summary = "scores all frames by the networks of a workdir"
    added = commands.add_parser("score", help=summary, description=summary)
    added.set_defaults(run=_score)
    added.add_argument("--workdir", required=True, type=Path, help="of run.py")
    added.add_argument("--out", required=True, type=Path, help="a CSV file")
    added.add_argument("--row", help="of the config, where the workdir has several")
    added.add_argument(
        "--in_sample",
        action="store_true",
        help="the paper's way: by networks that were trained on the subjects that they rank",
    )
    for name, meaning in _PLACES.items():
        added.add_argument(f"--{name}", help=f"{meaning}, if not where it was")
    return parser


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Selects frames of clips: contact sheets to pick frames on, automatic picks, scores of networks.

    mmer frames sheets --manual_dir DIR --out FOLDER        # pages to pick frames on
    mmer frames automatic --manual_dir DIR --out picks.csv  # picks frames automatically
    mmer frames score --workdir W --out scores.csv          # scores all frames

docs/frame_selection.md describes the whole procedure.
"""

import argparse
import sys
from pathlib import Path

from mmer_jax import errors
from mmer_jax.cli import shared_arguments

# Modules are imported by the commands that use them, since contact sheets need no JAX.

DATASETS = ("baum1_acted", "baum1_spontaneous", "ravdess")


def _sheets(options: argparse.Namespace) -> None:
    from mmer_jax.frame_selection import processing, sheets

    page = sheets.write(
        processing.select_recordings(options.dataset, options.manual_dir, options.clips),
        options.out,
        options.dataset,
        options.every,
        _build_options(options),
        options.workers,
    )
    print(f"open {page} in a browser")


def _automatic(options: argparse.Namespace) -> None:
    from mmer_jax.frame_selection import automatic, processing

    recordings = processing.select_recordings(options.dataset, options.manual_dir, options.clips)
    count = automatic.pick(
        recordings,
        options.out,
        options.per_clip,
        options.apart,
        _build_options(options),
        options.workers,
    )
    print(f"{count} frames of {len(recordings)} clips: {options.out}")


def _score(options: argparse.Namespace) -> None:
    from mmer_jax.frame_selection import scores

    places = {name: getattr(options, name) for name in _PLACES}
    summary = scores.score_workdir(
        options.workdir,
        options.out,
        row=options.row,
        in_sample=options.in_sample,
        places={name: place for name, place in places.items() if place is not None},
    )
    print(f"{summary}: {options.out}")


# Field of config.data -> description of what the field is the path of.
_PLACES = {
    "manual_dir": "location of the recordings",
    "data_dir": "location of the built datasets",
    "pack": "location of the training data (pack folder)",
    "picked": "location of the list of picked frames",
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
        description="Selects frames of clips: picks them by hand or automatically, and scores all "
        "frames with networks trained on picked frames.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add_picking(name: str, run, summary: str, out: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary)
        command.set_defaults(run=run)
        command.add_argument(
            "clips", nargs="*", metavar="CLIP", help="names of clips (default: all)"
        )
        command.add_argument(
            "--dataset",
            choices=DATASETS,
            default=DATASETS[0],
            help="dataset of the recordings (default: %(default)s)",
        )
        command.add_argument("--manual_dir", required=True, help="folder of the recordings")
        command.add_argument("--out", required=True, type=Path, help=out)
        shared_arguments.add_face_arguments(command)
        command.add_argument(
            "--workers", type=int, help="number of processes (default: one per core)"
        )
        return command

    command = add_picking(
        "sheets", _sheets, "write contact sheets, HTML pages to pick frames on", "output folder"
    )
    command.add_argument(
        "--every",
        type=int,
        default=3,
        metavar="N",
        help="show every Nth frame (default: %(default)s)",
    )

    command = add_picking(
        "automatic",
        _automatic,
        "pick the frames that differ most from the beginning of their clip",
        "CSV file to write",
    )
    command.add_argument(
        "--per_clip",
        type=int,
        default=7,
        metavar="N",
        help="maximum number of frames per clip (default: %(default)s)",
    )
    command.add_argument(
        "--apart",
        type=int,
        default=3,
        metavar="N",
        help="smallest distance between two picks of a clip, in frames (default: %(default)s)",
    )

    summary = "score all frames with the trained networks of a workdir"
    command = commands.add_parser("score", help=summary, description=summary)
    command.set_defaults(run=_score)
    command.add_argument("--workdir", required=True, type=Path, help="workdir of a finished run")
    command.add_argument("--out", required=True, type=Path, help="CSV file to write")
    command.add_argument(
        "--row", help="name of the config row (model); required if the workdir has several rows"
    )
    command.add_argument(
        "--in_sample",
        action="store_true",
        help="score frames with the networks that were trained on their subject, as in the paper",
    )
    for name, meaning in _PLACES.items():
        command.add_argument(
            f"--{name}", help=f"new {meaning}, if this has changed since the training"
        )
    return parser


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Arguments after `mmer frames`; None for the arguments of the process.

    Returns:
      The exit status: 0 on success, 2 after an error of the user.
    """
    options = _parser().parse_args(arguments)
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Draws the paper's figures and the leakage ladder from the user's own recordings and results.

    mmer figure frames CLIP.mp4 --out FOLDER             # figure 4
    mmer figure flow CLIP.mp4 --out FOLDER               # figure 7
    mmer figure representations CLIP.wav --out FOLDER    # figure 9
    mmer figure alterations CLIP.wav --out FOLDER        # figure 10
    mmer figure confusion WORKDIR:ROW ... --out FOLDER   # figure 11
    mmer figure ladder WORKDIR ... --row mel --out FOLDER
    mmer figure layers configs/ravdess_strong.py:face,face_flow --out FOLDER

--out takes a folder, or the path of one .png or .svg file. --workdir WORKDIR is short for
--out WORKDIR/figures.
"""

import argparse
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from mmer_jax import errors
from mmer_jax.cli import shared_arguments

# Modules are imported by the commands that use them, so that a machine without OpenCV, librosa or
# Matplotlib can still print layer tables.


def _frames(options: argparse.Namespace) -> None:
    from mmer_jax.figures import images

    build_options = _build_options(options)
    count = options.count or 2 * images.COLUMNS
    _draw_each(
        options, "figure4_frames", lambda clip: images.draw_frames(clip, count, build_options)
    )


def _flow(options: argparse.Namespace) -> None:
    from mmer_jax.figures import images

    build_options = _build_options(options)
    count = options.count or images.COLUMNS - 1
    _draw_each(options, "figure7_flow", lambda clip: images.draw_flow(clip, count, build_options))


def _representations(options: argparse.Namespace) -> None:
    from mmer_jax.figures import audio

    def draw(clip: Path):
        return audio.draw_representations(audio.read_audio(clip), clip.stem, options.plots)

    _draw_each(options, "figure9_representations", draw)


def _alterations(options: argparse.Namespace) -> None:
    from mmer_jax.figures import audio
    from mmer_jax.media import augment

    given = {name: getattr(options, name) for name in _AMOUNTS}
    amounts = augment.AudioAmounts(**{k: v for k, v in given.items() if v is not None})
    _draw_each(
        options,
        "figure10_alterations",
        lambda clip: audio.draw_alterations(audio.read_audio(clip), clip.stem, amounts),
    )


def _confusion(options: argparse.Namespace) -> None:
    from mmer_jax.figures import canvas, confusion

    rows = [confusion.parse_row(text) for text in options.rows]
    if options.protocol:
        protocols = [options.protocol]
    else:
        protocols = _common_protocols(confusion.list_protocols, rows)
    for protocol in protocols:
        path = canvas.choose_path(options.out, f"figure11_confusion_{protocol}", len(protocols))
        panels = [confusion.count(*row, protocol, options.epochs) for row in rows]
        print(canvas.save(confusion.draw(panels), path))


def _ladder(options: argparse.Namespace) -> None:
    from mmer_jax.evaluation import ladder
    from mmer_jax.figures import canvas
    from mmer_jax.figures import ladder as figure
    from mmer_jax.reports import ladder as report_ladder
    from mmer_jax.utils import columns

    rungs = ladder.rungs(options.workdirs, options.row, options.epochs)
    print("\n".join(columns.markdown(report_ladder.make_table(rungs))))
    for paragraph in report_ladder.explain(rungs):
        print(f"\n{textwrap.fill(paragraph, _NOTE_WIDTH)}")
    for caveat in dict.fromkeys(caveat for rung in rungs for caveat in rung.caveats):
        print(f"\n{caveat}")
    print()
    path = canvas.choose_path(options.out, f"leakage_ladder_{options.row}")
    print(canvas.save(figure.draw(rungs, options.title or f"Leakage ladder: {options.row}"), path))


def _layers(options: argparse.Namespace) -> None:
    from mmer_jax.figures import layers
    from mmer_jax.utils import files

    config = layers.load_config(options.config)
    print(layers.format_tables(config, options.size))
    path = options.out if options.out.suffix == ".md" else options.out / "figure6_8_layers.md"
    try:
        with files.atomic_write(path) as file:
            file.write(layers.format_tables(config, options.size, markdown=True) + "\n")
    except OSError as e:
        raise errors.UserError(f"cannot write {path}: {e.strerror}") from e
    print(f"\n{path}")


_AMOUNTS = {
    "noise_snr_db": "signal-to-noise ratio in dB",
    "pitch_semitones": "pitch shift in semitones; positive is higher",
    "shift_seconds": "time shift in seconds; positive is later",
    "stretch_factor": "tempo factor; above 1 is faster and shorter",
}


def _draw_each(options: argparse.Namespace, name: str, draw: Callable) -> None:
    """Draws a figure of each clip into a file of its own, and prints the paths of the files."""
    from mmer_jax.figures import canvas

    stems = [clip.stem for clip in options.clips]
    if repeated := [clip for clip in options.clips if stems.count(clip.stem) > 1]:
        raise errors.UserError(
            f"{repeated[0]} and {repeated[-1]} would be drawn into the same file: rename one of "
            "the clips, or draw each with an --out of its own"
        )
    for clip in options.clips:
        path = canvas.choose_path(options.out, f"{name}_{clip.stem}", len(stems))
        print(canvas.save(draw(clip), path), flush=True)


def _common_protocols(
    list_protocols: Callable[[Path, str], list[str]], rows: Sequence[tuple[Path, str]]
) -> list[str]:
    """Returns the names of the protocols that all config rows were measured under."""
    by_row = [list_protocols(*row) for row in rows]
    common = [name for name in by_row[0] if all(name in protocols for protocols in by_row)]
    if not common:
        listing = "; ".join(
            f"{workdir}:{row} {', '.join(protocols)}"
            for (workdir, row), protocols in zip(rows, by_row, strict=True)
        )
        raise errors.UserError(f"these rows have no protocol in common: {listing}")
    return common


def _build_options(options: argparse.Namespace):
    from mmer_jax.datasets import clips

    build_options = clips.Options(
        detector=options.detector,
        detector_model=options.detector_model,
        face_margin=options.face_margin,
        flow_scale=options.flow_scale,
    )
    build_options.check()
    return build_options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmer figure",
        description="Draws the paper's figures from your own recordings and results.",
    )
    commands = parser.add_subparsers(required=True, metavar="NAME")

    def add_command(name: str, run: Callable, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary)
        command.set_defaults(run=run)
        output = command.add_mutually_exclusive_group(required=True)
        output.add_argument("--out", type=Path, help="output folder, or path of the output file")
        output.add_argument("--workdir", type=Path, help="short for --out WORKDIR/figures")
        return command

    for name, run, summary in (
        ("frames", _frames, "figure 4: a sequence of face frames of a clip"),
        ("flow", _flow, "figure 7: face frames, and the optical flow into each frame"),
    ):
        command = add_command(name, run, summary)
        command.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="video files")
        command.add_argument(
            "--count",
            type=_positive,
            metavar="N",
            help="maximum number of frames; short clips give fewer",
        )
        shared_arguments.add_face_arguments(command)
        command.add_argument(
            "--flow_scale",
            type=float,
            help="flow magnitude that is drawn brightest, in pixels per frame (default: the "
            "largest magnitude in the image)",
        )

    command = add_command(
        "representations", _representations, "figure 9: six image representations of a waveform"
    )
    command.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="video or audio files")
    command.add_argument(
        "--plots", action="store_true", help="draw plots without axes, as in the paper"
    )

    command = add_command(
        "alterations", _alterations, "figure 10: mel spectrograms of a waveform and its alterations"
    )
    command.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="video or audio files")
    for name, meaning in _AMOUNTS.items():
        command.add_argument(f"--{name}", type=float, help=meaning)

    command = add_command(
        "confusion", _confusion, "figure 11: confusion matrices of config rows, side by side"
    )
    command.add_argument(
        "rows",
        nargs="*",
        default=_PAPER_ROWS,
        metavar="WORKDIR:ROW",
        help="workdirs of finished runs and names of their config rows (default, as in the paper: "
        f"{' '.join(_PAPER_ROWS)})",
    )
    command.add_argument(
        "--protocol",
        metavar="NAME",
        help="name of an evaluation protocol (default: a figure for each protocol that all rows "
        "were measured under)",
    )
    command.add_argument("--epochs", type=_positive, help=_EPOCHS_HELP)

    command = add_command(
        "ladder", _ladder, "leakage ladder: accuracy of a config row under each evaluation protocol"
    )
    command.add_argument(
        "workdirs", nargs="+", type=Path, metavar="WORKDIR", help="workdirs of finished runs"
    )
    command.add_argument(
        "--row", default="mel", help="name of the config row (default: %(default)s)"
    )
    command.add_argument("--epochs", type=_positive, help=_EPOCHS_HELP)
    command.add_argument("--title", help="title of the figure (default: Leakage ladder: ROW)")

    command = add_command("layers", _layers, "figures 6 and 8: layer tables of a config's networks")
    command.add_argument(
        "config",
        metavar="FILE[:ROW,ROW]",
        help="config file and names of its rows, the same as for run.py's flag --config",
    )
    command.add_argument(
        "--size",
        type=_positive,
        metavar="N",
        help="side of the inputs in pixels (default: config.data.size)",
    )
    return parser


_NOTE_WIDTH = 100  # characters
_EPOCHS_HELP = "number of training epochs after which results are taken (default: the largest)"

# The rows of the paper's figure: the initial model, the model after change 3, and training with two
# alterations of each waveform.
_PAPER_ROWS = (
    "runs/audio_model_changes:start",
    "runs/audio_model_changes:change3",
    "runs/audio_augmentation:augmented_x2",
)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a positive integer, found {text!r}")
    return int(text)


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Arguments after `mmer figure`; None for the arguments of the process.

    Returns:
      The exit status: 0 on success, 2 after an error of the user.
    """
    options = _parser().parse_args(arguments)
    if options.workdir:
        options.out = options.workdir / "figures"
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())

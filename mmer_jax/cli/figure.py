"""Draws the paper's figures, and the leakage ladder, from one's own recordings and results.

    mmer figure frames CLIP.mp4 --out FOLDER             # figure 4
    mmer figure flow CLIP.mp4 --out FOLDER               # figure 7
    mmer figure representations CLIP.wav --out FOLDER    # figure 9
    mmer figure alterations CLIP.wav --out FOLDER        # figure 10
    mmer figure confusion WORKDIR:ROW ... --out FOLDER   # figure 11
    mmer figure ladder WORKDIR ... --row mel --out FOLDER
    mmer figure layers configs/ravdess_strong.py:face,face_flow --out FOLDER

In place of a folder --out takes the name of one .png or .svg file. --workdir WORKDIR is the same as
--out WORKDIR/figures.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mmer_jax import errors

# Modules are imported by the commands that use them: a machine without OpenCV, librosa or
# matplotlib can still print layer tables.


def _frames(options: argparse.Namespace) -> None:
    from mmer_jax.figures import images

    built = _build_options(options)
    count = options.count or 2 * images.COLUMNS
    _each(options, "figure4_frames", lambda clip: images.frames(clip, count, built))


def _flow(options: argparse.Namespace) -> None:
    from mmer_jax.figures import images

    built = _build_options(options)
    count = options.count or images.COLUMNS - 1
    _each(options, "figure7_flow", lambda clip: images.flows(clip, count, built))


def _representations(options: argparse.Namespace) -> None:
    from mmer_jax.figures import audio

    def draw(clip: Path):
        return audio.representations(audio.read(clip), clip.stem, options.plots)

    _each(options, "figure9_representations", draw)


def _alterations(options: argparse.Namespace) -> None:
    from mmer_jax.figures import audio
    from mmer_jax.media import augment

    given = {name: getattr(options, name) for name in _AMOUNTS}
    amounts = augment.AudioAmounts(**{k: v for k, v in given.items() if v is not None})
    _each(
        options,
        "figure10_alterations",
        lambda clip: audio.alterations(audio.read(clip), clip.stem, amounts),
    )


def _confusion(options: argparse.Namespace) -> None:
    from mmer_jax.figures import canvas, confusion

    rows = [confusion.parse(text) for text in options.rows]
    shared = [options.protocol] if options.protocol else _shared(confusion.protocols, rows)
    for protocol in shared:
        path = canvas.path_for(options.out, f"figure11_confusion_{protocol}", len(shared))
        panels = [confusion.count(*row, protocol, options.epochs) for row in rows]
        print(canvas.save(confusion.draw(panels), path))


def _ladder(options: argparse.Namespace) -> None:
    from mmer_jax.evaluation import ladder
    from mmer_jax.figures import canvas
    from mmer_jax.figures import ladder as figure
    from mmer_jax.reports import ladder as report_ladder
    from mmer_jax.utils import columns

    found = ladder.rungs(options.workdirs, options.row, options.epochs)
    print("\n".join(columns.markdown(report_ladder.lines(found))))
    path = canvas.path_for(options.out, f"leakage_ladder_{options.row}")
    print(canvas.save(figure.draw(found, options.title or f"Leakage ladder: {options.row}"), path))


def _layers(options: argparse.Namespace) -> None:
    from mmer_jax.figures import layers

    config = layers.load(options.config)
    print(layers.tables(config, options.size))
    path = options.out if options.out.suffix == ".md" else options.out / "figure6_8_layers.md"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(layers.tables(config, options.size, in_markdown=True) + "\n")
    except OSError as e:
        raise errors.UserError(f"cannot write {path}: {e.strerror}") from e
    print(f"\n{path}")


_AMOUNTS = {
    "noise_snr_db": "mean power of the audio over that of the noise, in dB",
    "pitch_semitones": "positive is higher",
    "shift_seconds": "positive is later",
    "stretch_factor": "tempo; above 1 is faster and shorter",
}


def _each(options: argparse.Namespace, name: str, draw: Callable) -> None:
    """Draws each clip into a file of its own and prints the file's name."""
    from mmer_jax.figures import canvas

    stems = [clip.stem for clip in options.clips]
    if twice := [clip for clip in options.clips if stems.count(clip.stem) > 1]:
        raise errors.UserError(f"{twice[0]} and {twice[-1]} would be drawn into the same file")
    for clip in options.clips:
        path = canvas.path_for(options.out, f"{name}_{clip.stem}", len(stems))
        print(canvas.save(draw(clip), path), flush=True)


def _shared(protocols: Callable, rows: Sequence[tuple[Path, str]]) -> list[str]:
    """The protocols under which all rows were measured."""
    known = [protocols(*row) for row in rows]
    shared = [name for name in known[0] if all(name in names for names in known)]
    if not shared:
        each = "; ".join(
            f"{workdir}:{row} {', '.join(names)}"
            for (workdir, row), names in zip(rows, known, strict=True)
        )
        raise errors.UserError(f"these rows have no protocol in common: {each}")
    return shared


def _build_options(options: argparse.Namespace):
    from mmer_jax.datasets import clips

    built = clips.Options(
        detector=options.detector,
        detector_model=options.detector_model,
        face_margin=options.face_margin,
        flow_scale=options.flow_scale,
    )
    built.check()
    return built


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmer figure",
        description="Draws the paper's figures from one's own recordings and results.",
    )
    commands = parser.add_subparsers(required=True, metavar="NAME")

    def command(name: str, run: Callable, summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        where = added.add_mutually_exclusive_group(required=True)
        where.add_argument("--out", type=Path, help="a folder, or the name of one file")
        where.add_argument("--workdir", type=Path, help="of run.py: into WORKDIR/figures")
        return added

    for name, run, summary in (
        ("frames", _frames, "figure 4: a sequence of face frames of a clip"),
        ("flow", _flow, "figure 7: face frames and the optical flow into them"),
    ):
        added = command(name, run, summary)
        added.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="a video")
        added.add_argument("--count", type=_positive, help="of frames")
        added.add_argument("--detector", default="haar", help="haar, yunet or none")
        added.add_argument("--detector_model", help="file of yunet's model")
        added.add_argument("--face_margin", type=float, default=0.15, help="part of the width")
        added.add_argument("--flow_scale", type=float, help="pixels a frame of the brightest flow")

    added = command("representations", _representations, "figure 9: six images of one waveform")
    added.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="video or audio")
    added.add_argument("--plots", action="store_true", help="plots without axes, as the paper's")

    added = command("alterations", _alterations, "figure 10: a mel spectrogram and four altered")
    added.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="video or audio")
    for name, meaning in _AMOUNTS.items():
        added.add_argument(f"--{name}", type=float, help=meaning)

    added = command("confusion", _confusion, "figure 11: confusion matrices side by side")
    added.add_argument(
        "rows",
        nargs="*",
        default=_PAPER_ROWS,
        metavar="WORKDIR:ROW",
        help=f"of run.py; the paper's three are {' '.join(_PAPER_ROWS)}",
    )
    added.add_argument("--protocol", help="one; else a figure for each that the rows share")
    added.add_argument("--epochs", type=_positive, help="how long trained; else the most")

    added = command(
        "ladder", _ladder, "a row's accuracy under every protocol it was measured under"
    )
    added.add_argument("workdirs", nargs="+", type=Path, metavar="WORKDIR", help="of run.py")
    added.add_argument("--row", default="mel", help="of the table; default: mel")
    added.add_argument("--epochs", type=_positive, help="how long trained; else the most")
    added.add_argument("--title", help="above the drawing")

    added = command("layers", _layers, "figures 6 and 8: the networks of a config, layer by layer")
    added.add_argument("config", metavar="FILE[:ROW,ROW]", help="in configs/, as run.py takes it")
    added.add_argument("--size", type=_positive, help="side of the inputs in pixels")
    return parser


# The paper's three: the initial model, after change 3, with two alterations of each waveform.
_PAPER_ROWS = (
    "runs/audio_model_changes:start",
    "runs/audio_model_changes:change3",
    "runs/audio_augmentation:augmented_x2",
)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)


@errors.handle_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.workdir:
        options.out = options.workdir / "figures"
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())

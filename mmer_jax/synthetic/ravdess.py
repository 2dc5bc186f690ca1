"""Rendered clips in the layout and under the names of RAVDESS."""

import contextlib
import dataclasses
import fractions
import functools
import itertools
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np

from mmer_jax import errors, parallel
from mmer_jax.datasets import ravdess as names
from mmer_jax.synthetic import actor as actors_module
from mmer_jax.synthetic import expression, stage, voice

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness")
PARAMETERS_FILE = "rendered.json"
_STALE_SECONDS = 60  # a clip takes less than one
_VERSION = 1  # of the drawing and the voice: raise it when the same parameters give other clips


@dataclasses.dataclass(frozen=True)
class Look:
    """What decides how a clip of a given name looks and sounds.

    Attributes:
      seed: other seeds give other actors and other takes.
      size: (width, height) of the picture in pixels, both even.
      seconds: length of a clip.
      fps: frames per second.
      variation: how much takes of one emotion differ. 0: hardly; 1: one modality alone is good, not
        perfect; more: harder.
    """

    seed: int = 0
    size: tuple[int, int] = (320, 240)
    seconds: float = 1.4
    fps: int = 15
    variation: float = 1.0

    def check(self) -> None:
        """Raises UserError for values that give no clip."""
        width, height = self.size
        if width % 2 or height % 2 or min(width, height) < 32:
            raise errors.UserError(
                f"a rendered picture needs an even width and height of at least 32 pixels, found"
                f" {width}x{height}"
            )
        if not 1 <= self.fps <= 120 or not 0.6 <= self.seconds <= 60:
            raise errors.UserError(
                f"a rendered clip has 1 to 120 frames a second and lasts 0.6 to 60 seconds, found"
                f" {self.fps} frames a second and {self.seconds} seconds"
            )
        if not 0 <= self.variation <= 3:
            raise errors.UserError(f"variation must be from 0 to 3, found {self.variation}")


def clip_names(
    actors: int | Iterable[int],
    emotions: Iterable[str] = EMOTIONS,
    intensities: Iterable[str] = ("normal", "strong"),
    statements: Iterable[int] = (1, 2),
    repetitions: Iterable[int] = (1, 2),
) -> list[str]:
    """Names of full audio-video speech clips, sorted by actor, then by name.

    Args:
      actors: how many (the first n), or which, of 1 to 24.
      emotions: canonical names, of expression.EMOTIONS. Neutral has no strong intensity.

    Raises:
      UserError: a value that RAVDESS does not have.
    """
    wanted = range(1, actors + 1) if isinstance(actors, int) else actors
    codes = [
        _codes("actor", wanted, {number: f"{number:02d}" for number in names.ACTORS}),
        _codes("emotion", emotions, {name: code for code, name in names.EMOTIONS.items()}),
        _codes("intensity", intensities, {name: code for code, name in names.INTENSITIES.items()}),
        _codes("statement", statements, {1: "01", 2: "02"}),
        _codes("repetition", repetitions, {1: "01", 2: "02"}),
    ]
    found = []
    for actor, emotion, intensity, statement, repetition in itertools.product(*codes):
        if names.EMOTIONS[emotion] == "neutral" and names.INTENSITIES[intensity] == "strong":
            continue
        found.append("-".join(("01", "01", emotion, intensity, statement, repetition, actor)))
    if not found:
        raise errors.UserError(
            "nothing to render: no actor, emotion, intensity or take is asked for"
        )
    return sorted(found, key=lambda name: (name[-2:], name))


def _codes(what: str, wanted: Iterable, table: dict) -> list[str]:
    wanted = list(dict.fromkeys(wanted))
    for value in wanted:
        if value not in table:
            raise errors.unknown(what, value, table)
    return [table[value] for value in wanted]


def render_ravdess(
    dest: str | os.PathLike,
    *,
    actors: int | Iterable[int] = 8,
    seed: int = 0,
    emotions: Iterable[str] = EMOTIONS,
    intensities: Iterable[str] = ("normal", "strong"),
    statements: Iterable[int] = (1, 2),
    repetitions: Iterable[int] = (1, 2),
    size: tuple[int, int] = Look.size,
    seconds: float = Look.seconds,
    fps: int = Look.fps,
    variation: float = Look.variation,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Renders talking heads as dest/Actor_XX/01-01-EE-II-SS-RR-AA.mp4 (H.264 and AAC).

    A clip depends on its name, `seed`, `size`, `seconds`, `fps` and `variation` alone: not on the
    number of workers, nor on which other clips are rendered. Clips that are there are kept, so that
    a killed render goes on where it was and a later call may add actors or emotions. Each file
    appears whole or not at all.

    Args:
      dest: folder, made if absent. It keeps the parameters in rendered.json.
      actors, emotions, intensities, statements, repetitions: which clips: see clip_names.
      size, seconds, fps, variation: see Look.
      workers: processes; None for one a core. 1 works in this process.
      progress: called with (clips there, clips in all), first before any is rendered.

    Returns:
      The paths of the clips asked for, sorted by actor and name.

    Raises:
      UserError: an unknown value; a folder that holds clips of other parameters or other origin.
    """
    look = Look(int(seed), tuple(map(int, size)), float(seconds), int(fps), float(variation))
    look.check()
    dest = Path(dest)
    clips = clip_names(actors, emotions, intensities, statements, repetitions)
    _claim(dest, look)
    paths = [clip_path(dest, name) for name in clips]
    missing = [path for path in paths if not path.exists()]
    done = len(paths) - len(missing)
    report = progress or (lambda done, total: None)
    report(done, len(paths))
    for folder in {path.parent for path in missing}:
        folder.mkdir(exist_ok=True)
        _remove_stale_parts(folder)
    render = functools.partial(render_clip, look=look)
    with contextlib.closing(parallel.ordered_map(render, missing, workers)) as rendered:
        for number, _ in enumerate(rendered, done + 1):
            report(number, len(paths))
    return paths


def clip_path(dest: Path, name: str) -> Path:
    """Where a clip of that name lies below `dest`."""
    return dest / f"Actor_{name[-2:]}" / f"{name}.mp4"


def _remove_stale_parts(folder: Path) -> None:
    """Removes what a killed render left behind; parts of a render going on are younger."""
    for part in folder.glob(".*.part"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                part.unlink()


def _claim(dest: Path, look: Look) -> None:
    """Makes `dest` a folder for clips of these parameters, or says why it cannot be."""
    wanted = {"version": _VERSION, **dataclasses.asdict(look), "size": list(look.size)}
    file = dest / PARAMETERS_FILE
    if not file.exists():
        foreign = next(dest.glob("**/*.mp4"), None) if dest.exists() else None
        if foreign is not None:
            raise errors.UserError(
                f"{dest} holds clips that were not rendered, such as {foreign}, and no"
                f" {PARAMETERS_FILE}: name another folder to render into"
            )
        dest.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{PARAMETERS_FILE}.{os.getpid()}.part")
        part.write_text(json.dumps(wanted, indent=1) + "\n")
        os.replace(part, file)
        return
    try:
        found = dict(json.loads(file.read_text()))
    except (ValueError, TypeError):
        raise errors.UserError(
            f"{file} cannot be read as JSON: delete the folder {dest} and render again"
        ) from None
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        what = ", ".join(f"{key} {found.get(key)} (now {wanted[key]})" for key in differing)
        raise errors.UserError(
            f"{dest} holds clips rendered with other parameters: {what}. Name another folder,"
            " delete this one, or ask for the same parameters"
        )


def render_clip(path: Path, look: Look) -> None:
    """Renders one clip; its name says which. The file appears under its name when it is whole."""
    take = names.parse_name(path.stem)
    number = int(path.stem[-2:])
    actor = actors_module.make_actor(look.seed, number, len(expression.CONTROLS))
    performance = expression.perform(
        look.seed,
        path.stem,
        actor,
        take.emotion,
        take.intensity,
        take.statement,
        seconds=look.seconds,
        fps=look.fps,
        variation=look.variation,
    )
    sound = voice.synthesise(
        performance.syllables,
        performance.style,
        actor,
        look.seconds,
        actors_module.random_for(look.seed, path.stem, "voice"),
        performance.room_noise_db,
    )
    pictures = stage.frames(
        actor,
        performance,
        look.size,
        look.variation,
        actors_module.random_for(look.seed, path.stem, "picture"),
    )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write_clip(part, pictures, look.fps, sound, voice.RATE)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_clip(
    path: Path, pictures: Iterable[np.ndarray], fps: int, sound: np.ndarray, rate: int
) -> None:
    """Writes an .mp4 (whatever the path's ending) with H.264 pictures and AAC sound.

    Args:
      pictures: uint8 [h, w, 3] RGB, even sides.
      sound: float32 [n] in -1..1, mono.
      rate: samples per second of the sound.
    """
    with av.open(str(path), "w", format="mp4") as container:
        video = None
        for picture in pictures:
            if video is None:
                video = container.add_stream("libx264", rate=fractions.Fraction(fps))
                video.height, video.width = picture.shape[:2]
                video.pix_fmt = "yuv420p"
                # One thread: the encoder's choices depend on the number of threads.
                video.codec_context.thread_count = 1
                video.options = {"preset": "superfast", "crf": "21"}
                audio = container.add_stream("aac", rate=rate, layout="mono")
                audio.bit_rate = 64_000
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        samples.sample_rate = rate
        container.mux(audio.encode(samples))
        container.mux(audio.encode())

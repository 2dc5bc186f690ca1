"""One rendered clip: how it looks and audio, and how files of many of them come to be."""

import contextlib
import dataclasses
import fractions
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np

from mmer_jax import errors
from mmer_jax.synthetic import actor as actors_module
from mmer_jax.synthetic import expression, stage, voice
from mmer_jax.utils import parallel

PARAMETERS_FILE = "rendered.json"
_STALE_SECONDS = 60  # a clip takes less than one
_VERSION = 1  # of the drawing and the voice: raise it when the same parameters give other clips


@dataclasses.dataclass(frozen=True)
class Look:
    """What decides how a clip of a given name looks and audio.

    Attributes:
      seed: other seeds give other actors and other takes.
      size: (width, height) of the image in pixels, both even.
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

    def parameters(self) -> dict:
        """What rendered.json says of it."""
        return {"version": _VERSION, **dataclasses.asdict(self), "size": list(self.size)}

    def check(self) -> None:
        """Raises UserError for values that give no clip."""
        width, height = self.size
        if width % 2 or height % 2 or min(width, height) < 32:
            raise errors.UserError(
                f"a rendered image needs an even width and height of at least 32 pixels, found"
                f" {width}x{height}"
            )
        if not 1 <= self.fps <= 120 or not 0.6 <= self.seconds <= 60:
            raise errors.UserError(
                f"a rendered clip has 1 to 120 frames a second and lasts 0.6 to 60 seconds, found"
                f" {self.fps} frames a second and {self.seconds} seconds"
            )
        if not 0 <= self.variation <= 3:
            raise errors.UserError(f"variation must be from 0 to 3, found {self.variation}")


def claim(dest: Path, wanted: Mapping[str, Any]) -> None:
    """Makes `dest` a folder for clips of these parameters (Look.parameters and others).

    Raises:
      UserError: it holds clips of other parameters, or clips that were not rendered.
    """
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
        part.write_text(json.dumps(dict(wanted), indent=1) + "\n")
        os.replace(part, file)
        return
    try:
        found = dict(json.loads(file.read_text()))
    except (ValueError, TypeError):
        raise errors.UserError(
            f"{file} cannot be read as JSON: delete the folder {dest} and render again"
        ) from None
    differing = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
    if differing:
        what = ", ".join(f"{key} {found.get(key)} (now {wanted.get(key)})" for key in differing)
        raise errors.UserError(
            f"{dest} holds clips rendered with other parameters: {what}. Name another folder,"
            " delete this one, or ask for the same parameters"
        )


def render_missing(
    clips: Mapping[Path, Any],
    render: Callable[[tuple[Path, Any]], None],
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Renders those clips that are not there yet.

    Args:
      clips: path -> what `render` needs to know beside it.
      render: (path, that) -> None, writes the file: see parallel.ordered_map.
      workers: processes; None for one a core. 1 works in this process.
      progress: called with (clips there, clips in all), first before any is rendered.
    """
    missing = {path: what for path, what in clips.items() if not path.exists()}
    done = len(clips) - len(missing)
    report = progress or (lambda done, total: None)
    report(done, len(clips))
    for folder in {path.parent for path in missing}:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_stale_parts(folder)
    with contextlib.closing(parallel.ordered_map(render, missing.items(), workers)) as rendered:
        for number, _ in enumerate(rendered, done + 1):
            report(number, len(clips))


def _remove_stale_parts(folder: Path) -> None:
    """Removes what a killed render left behind; parts of a render going on are younger."""
    for part in folder.glob(".*.part"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                part.unlink()


def render_clip(
    path: Path,
    look: Look,
    name: str,
    number: int,
    emotion: str,
    intensity: str,
    statement: int,
) -> None:
    """Renders one clip. The file appears under its name when it is whole.

    Args:
      path: the file.
      look: what all clips have in common.
      name: with the seed it decides every random draw.
      number: of the actor.
      emotion, intensity, statement: see expression.perform.
    """
    actor = actors_module.make_actor(look.seed, number, len(expression.CONTROLS))
    performance = expression.perform(
        look.seed,
        name,
        actor,
        emotion,
        intensity,
        statement,
        seconds=look.seconds,
        fps=look.fps,
        variation=look.variation,
    )
    waveform = voice.synthesise(
        performance.syllables,
        performance.style,
        actor,
        look.seconds,
        actors_module.random_for(look.seed, name, "voice"),
        performance.room_noise_db,
    )
    images = stage.frames(
        actor,
        performance,
        look.size,
        look.variation,
        actors_module.random_for(look.seed, name, "image"),
    )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write_clip(part, images, look.fps, waveform, voice.RATE)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_clip(
    path: Path, images: Iterable[np.ndarray], fps: int, waveform: np.ndarray, rate: int
) -> None:
    """Writes an .mp4 (whatever the path's ending) with H.264 images and AAC audio.

    Args:
      images: uint8 [h, w, 3] RGB, even sides.
      waveform: float32 [n] in -1..1, mono.
      rate: samples per second of the audio.
    """
    with av.open(str(path), "w", format="mp4") as container:
        video = None
        for image in images:
            if video is None:
                video = container.add_stream("libx264", rate=fractions.Fraction(fps))
                video.height, video.width = image.shape[:2]
                video.pix_fmt = "yuv420p"
                # One thread: the encoder's choices depend on the number of threads.
                video.codec_context.thread_count = 1
                video.options = {"preset": "superfast", "crf": "21"}
                audio = container.add_stream("aac", rate=rate, layout="mono")
                audio.bit_rate = 64_000
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        samples = av.AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
        samples.sample_rate = rate
        container.mux(audio.encode(samples))
        container.mux(audio.encode())

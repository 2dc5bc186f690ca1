"""Rendering of single clips with video and audio, and of folders of clips."""

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
from mmer_jax.synthetic import actor as actors
from mmer_jax.synthetic import expression, stage, voice
from mmer_jax.utils import files, parallel

PARAMETERS_FILE = "rendered.json"
_STALE_SECONDS = 60  # age of partial files that are removed; a clip is rendered in less time
# Version of the renderer. Increment it when the same parameters give other clips.
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Look:
    """Parameters of all clips of a folder.

    Together with the name of a clip, they determine its video and audio.

    Attributes:
      seed: Seed of actors and clips.
      size: (width, height) of the frames in pixels, both even and at least 32.
      seconds: Duration of a clip in seconds, 0.6..60.
      fps: Frames per second, 1..120.
      variation: How much clips of one emotion differ, 0..3. With 0 they hardly differ; with 1 a
        unimodal classifier is good but not perfect; higher values are harder.
    """

    seed: int = 0
    size: tuple[int, int] = (320, 240)
    seconds: float = 1.4
    fps: int = 15
    variation: float = 1.0

    def parameters(self) -> dict:
        """Returns the parameters that are stored in rendered.json."""
        return {"version": _VERSION, **dataclasses.asdict(self), "size": list(self.size)}

    def check(self) -> None:
        """Checks that all values are in range.

        Raises:
          UserError: If no clip can be rendered with these values.
        """
        width, height = self.size
        if width % 2 or height % 2 or min(width, height) < 32:
            raise errors.UserError(
                f"the width and height of a rendered image must be even and at least 32 pixels,"
                f" found {width}x{height}"
            )
        if not 1 <= self.fps <= 120 or not 0.6 <= self.seconds <= 60:
            raise errors.UserError(
                f"a rendered clip must have 1 to 120 frames per second and last 0.6 to 60 seconds,"
                f" found {self.fps} frames per second and {self.seconds} seconds"
            )
        if not 0 <= self.variation <= 3:
            raise errors.UserError(f"variation must be from 0 to 3, found {self.variation}")


def claim_folder(dest: Path, parameters: Mapping[str, Any]) -> None:
    """Creates a folder for clips with the given parameters.

    If the folder has clips already, checks that they were rendered with the same parameters.

    Args:
      dest: The folder.
      parameters: JSON values: the result of `Look.parameters`, and parameters of the dataset.

    Raises:
      UserError: If `dest` contains clips with other parameters, or clips that were not rendered.
    """
    file = dest / PARAMETERS_FILE
    if not file.exists():
        foreign = next(dest.glob("**/*.mp4"), None) if dest.exists() else None
        if foreign is not None:
            raise errors.UserError(
                f"{dest} contains clips that were not rendered, such as {foreign}, and no"
                f" {PARAMETERS_FILE}: choose another folder to render into"
            )
        with files.atomic_write(file) as stream:
            stream.write(json.dumps(dict(parameters), indent=1) + "\n")
        return
    try:
        stored = dict(json.loads(file.read_text()))
    except (ValueError, TypeError):
        raise errors.UserError(
            f"{file} cannot be read as JSON: delete the folder {dest} and render again"
        ) from None
    changed = [key for key in {**parameters, **stored} if stored.get(key) != parameters.get(key)]
    if changed:
        changes = ", ".join(
            f"{key} {stored.get(key)} (now {parameters.get(key)})" for key in changed
        )
        raise errors.UserError(
            f"{dest} contains clips rendered with other parameters: {changes}. Choose another"
            " folder, delete this one, or use the same parameters"
        )


def render_missing(
    clips: Mapping[Path, Any],
    render: Callable[[tuple[Path, Any]], None],
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Renders the clips that do not exist yet.

    Args:
      clips: Path -> description of the clip, passed to `render`.
      render: Writes the file of a (path, description); see parallel.ordered_map.
      workers: Number of processes; None for one per core, 1 for this process.
      progress: Called with (clips done, clips in total), for the first time before rendering.
    """
    missing = {path: clip for path, clip in clips.items() if not path.exists()}
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
    """Removes partial files that killed processes left in a folder.

    Partial files of running processes are younger than _STALE_SECONDS and are kept.
    """
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
    """Renders one clip. The file appears under its name when it is complete.

    Args:
      path: Path of the file.
      look: Parameters shared by all clips.
      name: Name of the clip. All random draws depend only on `name` and `look.seed`.
      number: Number of the actor, from 1.
      emotion: Key of expression.FACES.
      intensity: "normal" or "strong".
      statement: 1 or 2 (see speech.STATEMENTS).
    """
    actor = actors.make_actor(look.seed, number, len(expression.CONTROLS))
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
    waveform = voice.synthesize(
        performance.syllables,
        performance.style,
        actor,
        look.seconds,
        actors.make_rng(look.seed, name, "voice"),
        performance.room_noise_db,
    )
    # "voice" and "picture" are parts of seeds: changing these words would change all clips.
    images = stage.frames(
        actor,
        performance,
        look.size,
        look.variation,
        actors.make_rng(look.seed, name, "picture"),
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
    """Writes an .mp4 file with H.264 video and AAC audio, whatever the extension of the path.

    Args:
      path: Path of the file.
      images: uint8 [h, w, 3] RGB, with even sides, one per frame.
      fps: Frames per second.
      waveform: float32 [n] in -1..1, mono.
      rate: Sampling rate of the audio in Hz.
    """
    with av.open(str(path), "w", format="mp4") as container:
        video = None
        for image in images:
            if video is None:
                video = container.add_stream("libx264", rate=fractions.Fraction(fps))
                video.height, video.width = image.shape[:2]
                video.pix_fmt = "yuv420p"
                # The output of the encoder depends on the number of threads.
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

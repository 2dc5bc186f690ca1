"""Rendered clips in the layout and with the file names of RAVDESS."""

import functools
import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from mmer_jax import errors
from mmer_jax.corpora import ravdess as names
from mmer_jax.synthetic.clip import Look, claim_folder, render_clip, render_missing

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness")


def clip_names(
    actors: int | Iterable[int],
    emotions: Iterable[str] = EMOTIONS,
    intensities: Iterable[str] = ("normal", "strong"),
    statements: Iterable[int] = (1, 2),
    repetitions: Iterable[int] = (1, 2),
) -> list[str]:
    """Returns the names of audio-video speech clips, sorted by actor and name.

    Args:
      actors: Number n of actors (1 to n), or numbers of actors in 1..24.
      emotions: Canonical names of emotions, of expression.EMOTIONS. There are no clips of neutral
        with strong intensity.
      intensities: "normal", "strong" or both.
      statements: 1, 2 or both.
      repetitions: 1, 2 or both.

    Raises:
      UserError: If RAVDESS does not have one of the values, or if no clip has the given values.
    """
    numbers = range(1, actors + 1) if isinstance(actors, int) else actors
    codes = [
        _codes("actor", numbers, {number: f"{number:02d}" for number in names.ACTORS}),
        _codes("emotion", emotions, {name: code for code, name in names.EMOTIONS.items()}),
        _codes("intensity", intensities, {name: code for code, name in names.INTENSITIES.items()}),
        _codes("statement", statements, {1: "01", 2: "02"}),
        _codes("repetition", repetitions, {1: "01", 2: "02"}),
    ]
    clips = []
    for actor, emotion, intensity, statement, repetition in itertools.product(*codes):
        if names.EMOTIONS[emotion] == "neutral" and names.INTENSITIES[intensity] == "strong":
            continue
        clips.append("-".join(("01", "01", emotion, intensity, statement, repetition, actor)))
    if not clips:
        raise errors.UserError(
            "nothing to render: give at least one actor, emotion, intensity (neutral has no strong"
            " one), statement and repetition"
        )
    return sorted(clips, key=lambda name: (name[-2:], name))


def _codes(what: str, values: Iterable, table: dict) -> list[str]:
    """Returns the two-digit codes of some values, without repetitions.

    Args:
      what: Name of the property, for the error message.
      values: Values of the property.
      table: Value -> code.

    Raises:
      UserError: A value is not in `table`.
    """
    values = list(dict.fromkeys(values))
    for value in values:
        if value not in table:
            raise errors.unknown(what, value, table)
    return [table[value] for value in values]


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

    A clip depends only on its name and on `seed`, `size`, `seconds`, `fps` and `variation`, not on
    the number of workers nor on which other clips are rendered. Existing clips are kept, so that an
    interrupted call can be repeated and a later call may add actors or emotions. Files are written
    atomically.

    Args:
      dest: Destination folder, created if it does not exist. The parameters are stored in
        rendered.json.
      actors: Number n of actors (1 to n), or numbers of actors in 1..24.
      seed: Seed of actors and clips (see Look).
      emotions: Canonical names of emotions (see clip_names).
      intensities: "normal", "strong" or both.
      statements: 1, 2 or both.
      repetitions: 1, 2 or both.
      size: (width, height) of the frames in pixels (see Look).
      seconds: Duration of a clip in seconds (see Look).
      fps: Frames per second (see Look).
      variation: How much clips of the same emotion differ (see Look).
      workers: Number of processes; None for one per core, 1 for this process.
      progress: Called with (clips done, clips in total), for the first time before rendering.

    Returns:
      Paths of the requested clips, sorted by actor and name.

    Raises:
      UserError: If a value is unknown or invalid, or if the folder contains clips with other
        parameters or clips that were not rendered.
    """
    look = Look(int(seed), tuple(map(int, size)), float(seconds), int(fps), float(variation))
    look.check()
    dest = Path(dest)
    clips = clip_names(actors, emotions, intensities, statements, repetitions)
    claim_folder(dest, look.parameters())
    paths = {clip_path(dest, name): names.parse_name(name) for name in clips}
    render_missing(paths, functools.partial(_render, look=look), workers, progress)
    return list(paths)


def clip_path(dest: Path, name: str) -> Path:
    """Returns the path of a clip in the folder `dest`, from the name of the clip."""
    return dest / f"Actor_{name[-2:]}" / f"{name}.mp4"


def _render(item: tuple[Path, names.Take], look: Look) -> None:
    path, take = item
    render_clip(
        path,
        look,
        name=path.stem,
        number=int(path.stem[-2:]),
        emotion=take.emotion,
        intensity=take.intensity,
        statement=take.statement,
    )

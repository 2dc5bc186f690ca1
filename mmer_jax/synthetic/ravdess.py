"""Rendered clips in the layout and under the names of RAVDESS."""

import functools
import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from mmer_jax import errors
from mmer_jax.corpora import ravdess as names
from mmer_jax.synthetic.clip import Look, claim, render_clip, render_missing

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness")


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
    claim(dest, look.parameters())
    paths = {clip_path(dest, name): names.parse_name(name) for name in clips}
    render_missing(paths, functools.partial(_render, look=look), workers, progress)
    return list(paths)


def clip_path(dest: Path, name: str) -> Path:
    """Where a clip of that name lies below `dest`."""
    return dest / f"Actor_{name[-2:]}" / f"{name}.mp4"


def _render(clip: tuple[Path, names.Take], look: Look) -> None:
    path, take = clip
    render_clip(
        path,
        look,
        name=path.stem,
        number=int(path.stem[-2:]),
        emotion=take.emotion,
        intensity=take.intensity,
        statement=take.statement,
    )

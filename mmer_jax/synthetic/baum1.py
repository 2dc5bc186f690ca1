"""Rendered clips in the layout of BAUM-1, with a list of labels and, on request, errors in it."""

import dataclasses
import functools
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import openpyxl

from mmer_jax import errors
from mmer_jax.corpora import annotations, baum1, baum1_recordings
from mmer_jax.synthetic import expression
from mmer_jax.synthetic.clip import Look, claim_folder, render_clip, render_missing
from mmer_jax.synthetic.ravdess import EMOTIONS
from mmer_jax.utils import files

PLANTED_FILE = "planted.json"
HEADINGS = ("Number", "Subject Label", "Clip", "Clip Name", "Emotion", "Emotion Code", "Gender")

# Added to the number of a subject to get the number of its actor. Rendered RAVDESS has actors 1 to
# 24, so that no person is in both datasets.
_FIRST_ACTOR = 24
_INTENSITY = {"acted": "strong", "spontaneous": "normal"}
_SUBTITLES = "1\n00:00:00,000 --> 00:00:01,000\n...\n"


@dataclasses.dataclass(frozen=True)
class _Clip:
    subject: int
    number: int
    emotion: str

    @property
    def name(self) -> str:
        return baum1.clip_name(self.subject, self.number)


@dataclasses.dataclass
class _Row:
    """A row of the list of labels: the cells of the columns HEADINGS after the first."""

    subject: object
    clip: object
    name: str
    word: str
    code: object
    gender: str

    def cells(self, number: int) -> list:
        return [number, *dataclasses.astuple(self)]


def render_baum1(
    dest: str | os.PathLike,
    subset: str = "acted",
    *,
    subjects: int | Iterable[int] = 8,
    clips: int = 2,
    seed: int = 0,
    emotions: Iterable[str] = EMOTIONS,
    size: tuple[int, int] = Look.size,
    seconds: float = Look.seconds,
    fps: int = Look.fps,
    variation: float = Look.variation,
    traps: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Renders talking heads as dest/BAUM1a_MP4_all/s001/S001_001.mp4, with a list of labels.

    A clip depends only on its set, name and emotion and on `seed`, `size`, `seconds`, `fps` and
    `variation`. Existing clips are kept, so that an interrupted call can be repeated. Files are
    written atomically.

    Args:
      dest: Destination folder of one set, created if it does not exist. The parameters are stored
        in rendered.json. The expected result of reading the clips is stored in planted.json:
        "labeled" (number of clips with a label) and "mismatches" (kind -> names of clips).
      subset: "acted" or "spontaneous".
      subjects: Number n of subjects (the first n of baum1.SUBJECTS), or numbers of subjects in
        baum1.SUBJECTS.
      clips: Number of clips per subject and emotion.
      seed: Seed of actors and clips (see Look).
      emotions: Canonical names of emotions that are both in the set and in expression.EMOTIONS.
      size: (width, height) of the frames in pixels (see Look).
      seconds: Duration of a clip in seconds (see Look).
      fps: Frames per second (see Look).
      variation: How much clips of the same emotion differ (see Look).
      traps: Whether to plant the errors and irregularities of the real dataset: two spellings of
        the folder, upper and lower case, misspelled emotion words and a wrong one, clip names that
        are off by one, clips without a label, labels without a clip, a repeated label, .srt files
        and numbers typed as text.
      workers: Number of processes; None for one per core, 1 for this process.
      progress: Called with (clips done, clips in total), for the first time before rendering.

    Returns:
      Paths of all clips.

    Raises:
      UserError: If a value is unknown or invalid, or if the folder contains clips with other
        parameters or clips that were not rendered.
    """
    look = Look(int(seed), tuple(map(int, size)), float(seconds), int(fps), float(variation))
    look.check()
    kind = baum1.get(subset)
    labeled = _labeled_clips(kind, subjects, emotions, clips)
    dest = Path(dest)
    parameters = look.parameters() | {
        "set": subset,
        "subjects": sorted({clip.subject for clip in labeled}),
        "emotions": sorted({clip.emotion for clip in labeled}),
        "clips": clips,
        "traps": traps,
    }
    claim_folder(dest, parameters)
    rows = [_plain_row(clip, kind) for clip in labeled]
    on_disk = list(labeled)
    mismatches: dict[str, list[str]] = {}
    if traps:
        on_disk += _unlabeled_clips(labeled)
        rows, mismatches = _with_traps(labeled, rows, kind)
        mismatches[baum1_recordings.NO_LABEL] = [c.name for c in on_disk[len(labeled) :]]
    paths = {dest / _relative_path(i, clip, kind, traps): clip for i, clip in enumerate(on_disk)}
    _write_list(dest / f"Annotations_{kind.short}.xlsx", rows, kind)
    planted = {"labeled": len(labeled)}
    planted["mismatches"] = {k: sorted(names) for k, names in sorted(mismatches.items()) if names}
    with files.atomic_write(dest / PLANTED_FILE) as file:
        file.write(json.dumps(planted, indent=1) + "\n")
    render = functools.partial(_render, look=look, kind=kind)
    render_missing(paths, render, workers, progress)
    if traps:
        for path in list(paths)[::4]:
            path.with_suffix(".srt").write_text(_SUBTITLES)
    return list(paths)


def _labeled_clips(
    kind: baum1.Subset, subjects: int | Iterable[int], emotions: Iterable[str], clips: int
) -> list[_Clip]:
    if isinstance(subjects, int):
        if not 1 <= subjects <= len(baum1.SUBJECTS):
            most = len(baum1.SUBJECTS)
            raise errors.UserError(
                f"the number of subjects of BAUM-1 must be from 1 to {most}, found {subjects}"
            )
        subjects = baum1.SUBJECTS[:subjects]
    subjects = sorted(set(subjects))
    for subject in subjects:
        if subject not in baum1.SUBJECTS:
            raise errors.unknown("subject of BAUM-1", subject, baum1.SUBJECTS)
    renderable = [name for name in kind.codes.values() if name in expression.EMOTIONS]
    emotions = set(emotions)
    for emotion in sorted(emotions):
        if emotion not in renderable:
            raise errors.unknown(f"emotion to render of the {kind.name} set", emotion, renderable)
    subject_emotions = [name for name in renderable if name in emotions] * clips
    labeled = [
        _Clip(subject, number, emotion)
        for subject in subjects
        for number, emotion in enumerate(subject_emotions, 1)
    ]
    if not labeled:
        raise errors.UserError("nothing to render: give at least one subject, emotion and clip")
    return labeled


def _unlabeled_clips(labeled: Sequence[_Clip]) -> list[_Clip]:
    """Returns additional clips without a label, one each of the first and of the last subject."""
    last = max(clip.number for clip in labeled)
    subjects = sorted({labeled[0].subject, labeled[-1].subject})
    return [_Clip(subject, last + 1, labeled[0].emotion) for subject in subjects]


def _relative_path(i: int, clip: _Clip, kind: baum1.Subset, traps: bool) -> Path:
    """Returns the path of clip number `i`, relative to the folder of the set.

    With `traps` the spelling varies from clip to clip.
    """
    folder, subject, file = f"{kind.short}_MP4_all", f"s{clip.subject:03d}", f"{clip.name}.mp4"
    if traps:
        folder = f"{kind.short}_MP4 - All" if clip.subject % 2 else folder
        subject = subject.upper() if clip.subject % 3 == 0 else subject
        file = (file, file.lower(), file.upper())[i % 3]
    return Path(folder, subject, file)


def _plain_row(clip: _Clip, kind: baum1.Subset) -> _Row:
    code = next(code for code, emotion in kind.codes.items() if emotion == clip.emotion)
    gender = "Male" if clip.subject % 2 else "Female"
    subject = baum1.subject_name(clip.subject)
    return _Row(subject, clip.number, clip.name, clip.emotion.capitalize(), code, gender)


def _with_traps(
    labeled: Sequence[_Clip], rows: Sequence[_Row], kind: baum1.Subset
) -> tuple[list[_Row], dict[str, list[str]]]:
    """Plants errors in a list of labels.

    Args:
      labeled: The clips, one per row.
      rows: Correct rows of the list, which stay unchanged.
      kind: The set of BAUM-1.

    Returns:
      The rows with errors, and kind of error -> names of the clips.
    """
    planted = defaultdict(list)
    rows = [dataclasses.replace(row) for row in rows]
    for i, (clip, row) in enumerate(zip(labeled, rows, strict=True)):
        # The second clip has the word of another emotion.
        if i == 1:
            row.word = next(w for w in kind.codes.values() if w != clip.emotion)
            planted[annotations.OTHER_WORD].append(clip.name)
        elif i % 7 == 3:  # the last letter is missing
            row.word = row.word[:-1]
            planted[annotations.MISSPELLED].append(clip.name)
        else:
            row.word = (row.word, row.word.upper(), f"{row.word.lower()} ")[i % 3]
        # All clips of the last subject, and one of the first, have the name of the next clip.
        if i == 0 or clip.subject == labeled[-1].subject:
            row.name = baum1.clip_name(clip.subject, clip.number + 1)
            planted[annotations.OTHER_NAME].append(clip.name)
        row.code = (row.code, str(row.code), float(row.code))[i % 3]
        row.clip = (row.clip, f"{row.clip:03d}")[i % 2]
        row.subject = (row.subject, row.subject.lower())[i % 2]
    rows.append(dataclasses.replace(rows[-1]))
    planted[annotations.REPEATED].append(labeled[-1].name)
    # Labels without a clip, one with each code of the set.
    last = max(clip.number for clip in labeled)
    for number, emotion in enumerate(kind.codes.values(), last + 2):
        clip = _Clip(labeled[0].subject, number, emotion)
        rows.append(_plain_row(clip, kind))
        planted[baum1_recordings.NO_CLIP].append(clip.name)
    return rows, dict(planted)


def _write_list(path: Path, rows: Sequence[_Row], kind: baum1.Subset) -> None:
    """Writes the list of labels as a workbook, unless it exists.

    To the right of the list is a table with the number of rows of each code, as in the real one.
    """
    if path.exists():
        return
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    table = [[*HEADINGS], *(row.cells(number) for number, row in enumerate(rows, 1))]
    side_table = [["Emotion Code", "Emotion", "Count"]]
    for code, emotion in kind.codes.items():
        count = sum(int(row.code) == code for row in rows)
        side_table.append([code, emotion.capitalize(), count])
    for i in range(max(len(table), len(side_table))):
        left = table[i] if i < len(table) else [None] * len(HEADINGS)
        sheet.append([*left, None, *(side_table[i] if i < len(side_table) else ())])
    with files.atomic_write(path, "wb") as file:
        workbook.save(file)


def _render(item: tuple[Path, _Clip], look: Look, kind: baum1.Subset) -> None:
    path, clip = item
    render_clip(
        path,
        look,
        name=f"{kind.short} {clip.name}",
        number=_FIRST_ACTOR + clip.subject,
        emotion=clip.emotion,
        intensity=_INTENSITY[kind.name],
        statement=1 + clip.number % 2,
    )

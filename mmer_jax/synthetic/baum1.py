"""Rendered clips in the layout of BAUM-1, with a list of labels and every trap of the real one."""

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
from mmer_jax.synthetic.clip import Look, claim, render_clip, render_missing
from mmer_jax.synthetic.ravdess import EMOTIONS

PLANTED_FILE = "planted.json"
HEADINGS = ("Number", "Subject Label", "Clip", "Clip Name", "Emotion", "Emotion Code", "Gender")

_FIRST_ACTOR = 24  # rendered RAVDESS has those before: no person is in two data sets
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
    """A row of the list of labels, as it is typed."""

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
    """Renders talking heads as dest/BAUM1a_MP4_all/s001/S001_001.mp4, and their list of labels.

    A clip depends on its set, name and emotion, `seed`, `size`, `seconds`, `fps` and `variation`
    alone. Clips that are there are kept, so that a killed render goes on where it was. Each file
    appears whole or not at all.

    Args:
      dest: folder, made if absent, for one set. It keeps the parameters in rendered.json; and in
        planted.json what is to be found there: "labeled", the number of clips with a label, and
        "mismatches", kind -> clips.
      subset: "acted" or "spontaneous".
      subjects: how many (the first n), or which, of baum1.SUBJECTS.
      clips: of each subject and emotion.
      emotions: canonical names that the set has and expression.EMOTIONS can show.
      size, seconds, fps, variation: see Look.
      traps: spell and err as the original does: two spellings of the folder, any case, misspelt
        words and one wrong one, clip names that are off by one, clips without a label, labels
        without a clip, a label twice, .srt files, numbers typed as text.
      workers: processes; None for one a core. 1 works in this process.
      progress: called with (clips there, clips in all), first before any is rendered.

    Returns:
      The paths of all clips.

    Raises:
      UserError: an unknown value; a folder that holds clips of other parameters or other origin.
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
    claim(dest, parameters)
    rows = [_plain_row(clip, kind) for clip in labeled]
    on_disk = list(labeled)
    mismatches: dict[str, list[str]] = {}
    if traps:
        on_disk += _unlabeled_clips(labeled)
        rows, mismatches = _with_traps(labeled, rows, kind)
        mismatches[baum1_recordings.NO_LABEL] = [c.name for c in on_disk[len(labeled) :]]
    paths = {dest / _place(i, clip, kind, traps): clip for i, clip in enumerate(on_disk)}
    _write_list(dest / f"Annotations_{kind.short}.xlsx", rows, kind)
    planted = {"labeled": len(labeled)}
    planted["mismatches"] = {k: sorted(names) for k, names in sorted(mismatches.items()) if names}
    (dest / PLANTED_FILE).write_text(json.dumps(planted, indent=1) + "\n")
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
            raise errors.UserError(f"BAUM-1 has 1 to {most} subjects, found {subjects}")
        subjects = baum1.SUBJECTS[:subjects]
    wanted = sorted(set(subjects))
    for subject in wanted:
        if subject not in baum1.SUBJECTS:
            raise errors.unknown("subject of BAUM-1", subject, baum1.SUBJECTS)
    known = [name for name in kind.codes.values() if name in expression.EMOTIONS]
    emotions = set(emotions)
    for emotion in sorted(emotions):
        if emotion not in known:
            raise errors.unknown(f"emotion to render of the {kind.name} set", emotion, known)
    shown = [name for name in known if name in emotions] * clips
    found = [
        _Clip(subject, number, emotion)
        for subject in wanted
        for number, emotion in enumerate(shown, 1)
    ]
    if not found:
        raise errors.UserError("nothing to render: no subject, emotion or clip is asked for")
    return found


def _unlabeled_clips(labeled: Sequence[_Clip]) -> list[_Clip]:
    """One more clip of the first and the last subject."""
    last = max(clip.number for clip in labeled)
    subjects = sorted({labeled[0].subject, labeled[-1].subject})
    return [_Clip(subject, last + 1, labeled[0].emotion) for subject in subjects]


def _place(i: int, clip: _Clip, kind: baum1.Subset, traps: bool) -> Path:
    """Where the clip lies below the folder; with traps its spelling changes from clip to clip."""
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
    """The rows with errors in them, and which clips each kind of error is planted in."""
    planted = defaultdict(list)
    rows = [dataclasses.replace(row) for row in rows]
    for i, (clip, row) in enumerate(zip(labeled, rows, strict=True)):
        # Of the second clip another emotion's word.
        if i == 1:
            row.word = next(w for w in kind.codes.values() if w != clip.emotion)
            planted[annotations.OTHER_WORD].append(clip.name)
        elif i % 7 == 3:  # Sadnes
            row.word = row.word[:-1]
            planted[annotations.MISSPELT].append(clip.name)
        else:
            row.word = (row.word, row.word.upper(), f"{row.word.lower()} ")[i % 3]
        # All clips of the last subject, and one of the first, have the next one's name.
        if i == 0 or clip.subject == labeled[-1].subject:
            row.name = baum1.clip_name(clip.subject, clip.number + 1)
            planted[annotations.OTHER_NAME].append(clip.name)
        row.code = (row.code, str(row.code), float(row.code))[i % 3]
        row.clip = (row.clip, f"{row.clip:03d}")[i % 2]
        row.subject = (row.subject, row.subject.lower())[i % 2]
    rows.append(dataclasses.replace(rows[-1]))
    planted[annotations.REPEATED].append(labeled[-1].name)
    # Codes of emotions too that no clip here shows.
    last = max(clip.number for clip in labeled)
    for number, emotion in enumerate(kind.codes.values(), last + 2):
        clip = _Clip(labeled[0].subject, number, emotion)
        rows.append(_plain_row(clip, kind))
        planted[baum1_recordings.NO_CLIP].append(clip.name)
    return rows, dict(planted)


def _write_list(path: Path, rows: Sequence[_Row], kind: baum1.Subset) -> None:
    """Writes the workbook, with the original's side table of how often each code occurs."""
    if path.exists():
        return
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    table = [[*HEADINGS], *(row.cells(number) for number, row in enumerate(rows, 1))]
    beside = [["Emotion Code", "Emotion", "Count"]]
    for code, emotion in kind.codes.items():
        count = sum(int(row.code) == code for row in rows)
        beside.append([code, emotion.capitalize(), count])
    for i in range(max(len(table), len(beside))):
        left = table[i] if i < len(table) else [None] * len(HEADINGS)
        sheet.append([*left, None, *(beside[i] if i < len(beside) else ())])
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    workbook.save(part)
    os.replace(part, path)


def _render(clip: tuple[Path, _Clip], look: Look, kind: baum1.Subset) -> None:
    path, what = clip
    render_clip(
        path,
        look,
        name=f"{kind.short} {what.name}",
        number=_FIRST_ACTOR + what.subject,
        emotion=what.emotion,
        intensity=_INTENSITY[kind.name],
        statement=1 + what.number % 2,
    )

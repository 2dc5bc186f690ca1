"""Finds the clips of one of BAUM-1's two sets in a folder, and the label of each."""

import dataclasses
import functools
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath

from mmer_jax import errors
from mmer_jax.corpora import annotations, baum1, recordings
from mmer_jax.corpora.recordings import Recording, Selection

CHANNEL = "audio_video"  # of every clip

NO_LABEL = "clip without a label"
NO_CLIP = "label without a clip"
TWICE = "clip found twice"


def select(
    folder: str | os.PathLike, choices: Sequence[Sequence[str]] = (), *, subset: str
) -> Selection:
    """The clips of a set below a folder, each once, with their labels.

    Folders may be nested and spelt in any way. A clip belongs to the set that the nearest folder
    with such a name says (BAUM1a..., BAUM1s...), and to the one asked for if none does. A clip
    without a label is among the recordings: the build names it.

    Args:
      folder: see recordings.scan; the list of labels is in it too, or right above it.
      choices: of channels. BAUM-1 has but one: audio and image.
      subset: "acted" or "spontaneous".

    Raises:
      UserError: as recordings.scan, annotations.find and annotations.read; or no clip of the set is
        there.
    """
    del choices
    wanted = baum1.get(subset)
    folder = Path(folder).expanduser()
    clips: dict[str, Recording] = {}
    strangers: dict[str, Recording] = {}
    left_out: Counter[str] = Counter()
    mismatches: dict[str, dict[str, str]] = defaultdict(dict)
    for recording in recordings.scan(folder, f"BAUM-1's {subset} clips", wanted.how_to_get):
        if recording.ending not in recordings.VIDEO_ENDINGS:
            continue
        other = _subset_of(recording, folder)
        if other not in (subset, None):
            left_out[f"{other} clips"] += 1
            continue
        try:
            name = baum1.clip_name(*baum1.parse_name(recording.name))
        except errors.ClipError:
            strangers.setdefault(recording.name, recording)
            continue
        if name in clips:
            mismatches[TWICE][name] = f"{_place(clips[name])} is read, {_place(recording)} is not"
        clips.setdefault(name, dataclasses.replace(recording, name=name))
    if not clips:
        held = [f"{count} {what}" for what, count in left_out.items()]
        held += [f"{len(strangers)} under other names"] if strangers else []
        raise errors.UserError(
            f"looked for BAUM-1's {subset} clips, such as s001/S001_001.mp4, in {folder}, also "
            f"inside .zip archives, and found {', '.join(held) or 'none'}. {wanted.how_to_get}"
        )
    listed = annotations.read(annotations.find(folder, wanted), wanted)
    mismatches |= listed.mismatches
    for name in sorted(set(clips) - set(listed.labels)):
        mismatches[NO_LABEL][name] = f"{listed.path.name} has no row for it"
    for name in sorted(set(listed.labels) - set(clips)):
        mismatches[NO_CLIP][name] = f"row {listed.labels[name].row} of {listed.path.name}"
    facts = functools.partial(facts_of, subset=subset)
    found = [
        dataclasses.replace(
            recording, facts_of=functools.partial(facts, label=listed.labels.get(name))
        )
        for name, recording in (strangers | clips).items()
    ]
    return Selection(
        recordings=tuple(sorted(found, key=lambda r: r.name)),
        left_out=dict(sorted(left_out.items())),
        origin=recordings.origin(folder, clips.values()),
        labels=tuple(f"{v.clip} {v.emotion} {v.gender}" for _, v in sorted(listed.labels.items())),
        mismatches={
            kind: dict(sorted(names.items())) for kind, names in sorted(mismatches.items())
        },
    )


def facts_of(name: str, *, subset: str, label: annotations.Label | None) -> dict:
    """What Recording.facts gives.

    Raises:
      ClipError: "bad name", or "no label" if there is none.
    """
    subject, _ = baum1.parse_name(name)
    if label is None:
        raise errors.ClipError("no label", "the list of labels has no row for it")
    return {
        "label": label.emotion,
        "clip": name,
        "subject": baum1.subject_name(subject),
        "gender": label.gender,
        "intensity": subset,
        "statement": 0,  # everybody says what comes to mind
        "repetition": 0,
        "channel": CHANNEL,
    }


def _subset_of(recording: Recording, folder: Path) -> str | None:
    """The set that the folders of a clip name; those above the one given do not count."""
    path = PurePath(recording.path).relative_to(folder)
    inner = PurePath(recording.member).parent if recording.member else PurePath()
    return baum1.subset_of(folder.resolve().name / path / inner)


def _place(recording: Recording) -> str:
    return recording.path + (f" ({recording.member})" if recording.member else "")

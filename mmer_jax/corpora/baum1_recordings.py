"""Search for the clips of one of BAUM-1's two sets in a folder, with their labels."""

import dataclasses
import functools
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath

from mmer_jax import errors
from mmer_jax.corpora import annotations, baum1, recordings
from mmer_jax.corpora.recordings import Recording, Selection

CHANNEL = "audio_video"  # the channel of every clip

NO_LABEL = "clip without a label"
NO_CLIP = "label without a clip"
TWICE = "clip found twice"


def select(
    folder: str | os.PathLike, alternatives: Sequence[Sequence[str]] = (), *, subset: str
) -> Selection:
    """Finds the clips of a set in a folder, each once, with their labels.

    Folders may be nested and spelled in any way. A clip belongs to the set named by the closest
    enclosing folder (BAUM1a..., BAUM1s...), and to the requested set if no folder names one. Clips
    without a label are included; the build reports and skips them.

    Args:
      folder: Folder with the recordings (see recordings.scan). The list of labels is in this folder
        or in its parent folder.
      alternatives: Sets of channels, not used: all clips of BAUM-1 have audio and video.
      subset: "acted" or "spontaneous".

    Returns:
      The clips of the set.

    Raises:
      UserError: If `folder` has no clip of the set, or for the reasons given in recordings.scan,
        annotations.find and annotations.read.
    """
    del alternatives
    requested = baum1.get(subset)
    folder = Path(folder).expanduser()
    clips: dict[str, Recording] = {}
    unparsed: dict[str, Recording] = {}
    left_out: Counter[str] = Counter()
    mismatches: dict[str, dict[str, str]] = defaultdict(dict)
    for recording in recordings.scan(folder, f"BAUM-1's {subset} clips", requested.how_to_get):
        if recording.ending not in recordings.VIDEO_ENDINGS:
            continue
        own_subset = _recording_subset(recording, folder)
        if own_subset not in (subset, None):
            left_out[f"{own_subset} clips"] += 1
            continue
        try:
            name = baum1.clip_name(*baum1.parse_name(recording.name))
        except errors.ClipError:
            unparsed.setdefault(recording.name, recording)
            continue
        if name in clips:
            mismatches[TWICE][name] = (
                f"{_location(clips[name])} is read, {_location(recording)} is not"
            )
        clips.setdefault(name, dataclasses.replace(recording, name=name))
    if not clips:
        found = [f"{count} {what}" for what, count in left_out.items()]
        found += [f"{len(unparsed)} under other names"] if unparsed else []
        raise errors.UserError(
            f"looked for BAUM-1's {subset} clips, such as s001/S001_001.mp4, in {folder} and its "
            f".zip archives, and found {', '.join(found) or 'none'}. {requested.how_to_get}"
        )
    annotated = annotations.read(annotations.find(folder, requested), requested)
    mismatches |= annotated.mismatches
    for name in sorted(set(clips) - set(annotated.labels)):
        mismatches[NO_LABEL][name] = f"{annotated.path.name} has no row for it"
    for name in sorted(set(annotated.labels) - set(clips)):
        mismatches[NO_CLIP][name] = f"row {annotated.labels[name].row} of {annotated.path.name}"
    facts = functools.partial(clip_facts, subset=subset)
    labeled = [
        dataclasses.replace(
            recording, read_facts=functools.partial(facts, label=annotated.labels.get(name))
        )
        for name, recording in (unparsed | clips).items()
    ]
    return Selection(
        recordings=tuple(sorted(labeled, key=lambda r: r.name)),
        left_out=dict(sorted(left_out.items())),
        origin=recordings.find_origin(folder, clips.values()),
        labels=tuple(
            f"{label.clip} {label.emotion} {label.gender}"
            for _, label in sorted(annotated.labels.items())
        ),
        mismatches={
            kind: dict(sorted(names.items())) for kind, names in sorted(mismatches.items())
        },
    )


def clip_facts(name: str, *, subset: str, label: annotations.Label | None) -> dict:
    """Returns the metadata of a clip, as described in `Recording.facts`.

    Args:
      name: Name of the clip.
      subset: "acted" or "spontaneous".
      label: Label of the clip; None if the list of labels does not have the clip.

    Raises:
      ClipError: "bad name" if `name` is not the name of a clip, "no label" if `label` is None.
    """
    subject, _ = baum1.parse_name(name)
    if label is None:
        raise errors.ClipError("no label", "the list of labels has no row for the clip")
    return {
        "label": label.emotion,
        "clip": name,
        "subject": baum1.subject_name(subject),
        "gender": label.gender,
        "intensity": subset,
        "statement": 0,  # speech is not scripted
        "repetition": 0,
        "channel": CHANNEL,
    }


def _recording_subset(recording: Recording, folder: Path) -> str | None:
    """Returns the set that is named by the folders of a clip, from `folder` downwards.

    Returns:
      "acted" or "spontaneous"; None if no folder names a set.
    """
    path = PurePath(recording.path).relative_to(folder)
    inner = PurePath(recording.member).parent if recording.member else PurePath()
    return baum1.subset_from_path(folder.resolve().name / path / inner)


def _location(recording: Recording) -> str:
    """Formats the path of a recording, and its name in a zip archive, for users."""
    return recording.path + (f" ({recording.member})" if recording.member else "")

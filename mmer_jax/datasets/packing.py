"""Makes packs from built data sets: images at the size of one run, and the table beside them."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.corpora import sets
from mmer_jax.datasets import clips, pack, tfds_io
from mmer_jax.datasets.pack import PackWriter
from mmer_jax.media import faces
from mmer_jax.media.augment import AUDIO_VARIANTS, AudioAmounts
from mmer_jax.utils import parallel
from mmer_jax.utils.progress import Progress

ORIGINAL = next(iter(AUDIO_VARIANTS))


def make_pack(
    built: tfds_io.BuiltSet,
    names: Iterable[str],
    size: int,
    audio: AudioAmounts | None = None,
    mask_background: bool = False,
    workers: int | None = None,
    kind: str = "",
) -> Path:
    """The pack of some modalities of a built set, beside it: reused, completed or made.

    Args:
      built: from tfds_io.ensure_built.
      names: modalities.
      size: side of the images, at most clips.SIZE.
      waveform: amounts of the altered audio. The images of builder config `speech` are made here,
        with the defaults for None; the others had theirs when they were built, and amounts given
        here must be those.
      mask_background: make what is outside of the face's oval black, in images of the face.
      workers: processes that make images of audio; None for one a core.
      kind: of storage.KINDS, for what is not there yet; empty for one chosen by size.

    Returns:
      the pack's folder, for pack.open_pack.

    Raises:
      UserError: the built set does not give one of the modalities, was built with other amounts,
        or a size out of range.
    """
    wanted = check(built.metadata["builder_config"], names, size)
    amounts = audio or AudioAmounts()
    if _is_audio(built):
        path = built.data_dir / "packs" / _key(size, amounts)
    else:
        _check_amounts(built, audio)
        path = built.data_dir / "packs" / (f"{size}px" + "-masked" * mask_background)
    if (path / pack.INFO_FILE).exists():
        held = pack.open_pack(path).info["modalities"]
        wanted = [name for name in wanted if name not in held]
        if not wanted:
            return path
    table, rows = _table(built)
    masked = [m.name for m in modalities.get(wanted) if mask_background and m.stream == "video"]
    title = f"packing {' '.join(wanted)} at {size} px"
    info = _info(built, amounts, mask_background)
    with (
        PackWriter(path, info, table, wanted, size, kind) as writer,
        Progress(len(rows), title, "examples") as progress,
    ):
        for key, images in _images(built, wanted, amounts, workers):
            for name, image in images.items():
                if name in masked:
                    image = faces.mask_background(image)
                writer.arrays[name][rows[key]] = resize(image, size)
            progress.update()
    return path


def check(builder_config: str, names: Iterable[str], size: int) -> list[str]:
    """The modalities in order, if a builder config gives them and images can be that large.

    Raises:
      UserError: it does not, or they cannot; also for names that nothing knows.
    """
    if builder_config not in clips.KINDS:
        raise errors.unknown("builder config", builder_config, clips.KINDS)
    gives = clips.KINDS[builder_config].gives
    wanted = [m.name for m in modalities.get(names)]
    for name in wanted:
        if name not in gives:
            raise errors.UserError(
                f"the builder config {builder_config} gives {', '.join(gives)}, not {name}"
            )
    if not 8 <= size <= clips.SIZE:
        raise errors.UserError(f"images can be 8 to {clips.SIZE} pixels wide, found size {size}")
    return wanted


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 [h, h, c] -> uint8 [size, size, c], each new pixel the mean of the area it covers."""
    if image.shape[0] == size:
        return image
    resized = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return resized.reshape(size, size, image.shape[2])


def _is_audio(built: tfds_io.BuiltSet) -> bool:
    return "samples" in built.features


def _key(size: int, amounts: AudioAmounts) -> str:
    if _used(amounts) == _used(AudioAmounts()):
        return f"{size}px"
    text = json.dumps(_used(amounts), sort_keys=True)
    return f"{size}px-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _check_amounts(built: tfds_io.BuiltSet, audio: AudioAmounts | None) -> None:
    if audio is None:
        return
    for name, value in _used(audio).items():
        made_with = built.metadata["options"].get(name, value)
        if made_with != value:
            raise errors.UserError(
                f"{built.data_dir} was built with {name} {made_with}, not {value}: its audio "
                "cannot be altered any more; build it with that option"
            )


def _used(amounts: AudioAmounts) -> dict[str, float]:
    return {name: float(amount) for name, amount in dataclasses.asdict(amounts).items()}


def _info(built: tfds_io.BuiltSet, amounts: AudioAmounts, mask_background: bool) -> dict:
    options = dict(built.metadata["options"])
    if _is_audio(built):
        options |= _used(amounts)
    if mask_background:
        options["mask_background"] = True
    return {
        "dataset": built.dataset,
        "origin": built.metadata["origin"],
        "builder_config": built.builder_config,
        "version": built.version,
        "options": options,
        "source": built.metadata["source"],
        "skipped": {kind: len(names) for kind, names in built.metadata["skipped"].items()},
    }


# Features of a built set that are columns of a pack under another name.
_RENAMED = {"label": "emotion"}


def _table(built: tfds_io.BuiltSet) -> tuple[dict[str, np.ndarray], dict[tuple[str, int], int]]:
    """The pack's table, sorted, and the row of each (clip, view)."""
    features = [f for f in built.features if _RENAMED.get(f, f) in pack.COLUMNS]
    channel = sets.get(built.dataset).channel
    listed = []
    for example in tfds_io.read(built, features):
        row = {_RENAMED.get(name, name): value for name, value in example.items()}
        row["channel"] = channel(row["clip"])
        if _is_audio(built):
            listed += [row | facts for facts in _SPEECH_ROWS]
        else:
            listed.append({"audio_variant": ORIGINAL} | row)
    listed.sort(key=lambda row: (row["clip"], row["view"]))
    dtypes = {"U": np.str_, "i": np.int32, "f": np.float32}
    table = {
        name: np.array([row[name] for row in listed], dtypes[kind])
        for name, kind in pack.COLUMNS.items()
    }
    rows = {(row["clip"], int(row["view"])): i for i, row in enumerate(listed)}
    return table, rows


# A speech set's clip gives a row for each version of its audio; no frame belongs to it.
_SPEECH_ROWS = [
    {"view": view, "audio_variant": variant, "frame_index": -1, "frame_time": np.nan}
    for view, variant in enumerate(clips.AUDIO_VIEWS)
]


def _images(
    built: tfds_io.BuiltSet, names: Sequence[str], amounts: AudioAmounts, workers: int | None
) -> Iterator[tuple[tuple[str, int], dict[str, np.ndarray]]]:
    """Yields ((clip, view), modality -> uint8 [clips.SIZE, clips.SIZE, c]), in any order."""
    if not _is_audio(built):
        for example in tfds_io.read(built, ["clip", "view", *names]):
            key = (example.pop("clip"), int(example.pop("view")))
            yield key, example
        return
    waveforms = (
        clips.Audio(e["clip"], e["samples"], int(e["sample_rate"]))
        for e in tfds_io.read(built, ["clip", "samples", "sample_rate"])
    )
    work = partial(clips.views_of_audio, amounts=amounts, modalities=tuple(names))
    for clip, views in parallel.ordered_map(work, waveforms, workers):
        for view, images in enumerate(views):
            yield (clip, view), images

"""Makes packs from built datasets: images at the size of a config, and the table of metadata."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.config import plugins
from mmer_jax.corpora import sets
from mmer_jax.datasets import clips, pack, tfds_io
from mmer_jax.datasets.pack import PackWriter
from mmer_jax.media import faces, representations
from mmer_jax.media.augment import AUDIO_VARIANTS, AudioAmounts
from mmer_jax.utils import parallel
from mmer_jax.utils.progress import Progress

_ORIGINAL = next(iter(AUDIO_VARIANTS))


def make_pack(
    built: tfds_io.BuiltSet,
    names: Iterable[str],
    size: int,
    audio: AudioAmounts | None = None,
    mask_background: bool = False,
    workers: int | None = None,
    kind: str = "",
) -> Path:
    """Makes a pack from a built dataset, in the folder `packs` of the built dataset.

    An existing pack is reused; modalities that it lacks are added.

    Args:
      built: Built dataset, from tfds_io.ensure_built.
      names: Names of the modalities.
      size: Side of the images in pixels, 8 to clips.SIZE.
      audio: Strengths of the audio augmentations; None for the defaults. The audio images of the
        builder config `speech` are computed here. Those of other builder configs were computed when
        the dataset was built, and `audio` must be None or equal to the strengths of the build.
      mask_background: Whether pixels outside an oval around the face are black in face and flow
        images.
      workers: Number of processes that compute audio images; None for one per core.
      kind: Storage format of new modalities, one of storage.KINDS; empty to choose by size.

    Returns:
      Folder of the pack, for pack.open_pack.

    Raises:
      UserError: `built` does not provide a modality or was built with other strengths, or `size` is
        out of range.
    """
    names = check_request(built.metadata["builder_config"], names, size)
    amounts = audio or AudioAmounts()
    if _is_audio(built):
        path = built.data_dir / "packs" / _folder_name(size, amounts)
        # A registered modality with changed source code needs another pack.
        if digest := representations.source_digest(names):
            path = path.with_name(f"{path.name}-{digest}")
    else:
        _check_amounts(built, audio)
        path = built.data_dir / "packs" / (f"{size}px" + "-masked" * mask_background)
    if (path / pack.INFO_FILE).exists():
        existing = pack.open_pack(path).info["modalities"]
        names = [name for name in names if name not in existing]
        if not names:
            return path
    table, indices = _make_table(built)
    masked = [m.name for m in modalities.get(names) if mask_background and m.stream == "video"]
    title = f"packing {' '.join(names)} at {size} px"
    info = _make_info(built, amounts, mask_background)
    with (
        PackWriter(path, info, table, names, size, kind) as writer,
        Progress(len(indices), title, "examples") as progress,
    ):
        for key, images in _iter_images(built, names, amounts, workers):
            for name, image in images.items():
                if name in masked:
                    image = faces.mask_background(image)
                writer.arrays[name][indices[key]] = resize(image, size)
            progress.update()
    return path


def check_request(builder_config: str, names: Iterable[str], size: int) -> list[str]:
    """Checks that a pack can be made from a builder config.

    Args:
      builder_config: Name of the builder config, a key of clips.KINDS.
      names: Names of the modalities.
      size: Side of the images in pixels.

    Returns:
      Names of the modalities in the order of modalities.MODALITIES, without repetitions.

    Raises:
      UserError: A name is unknown, the builder config does not provide a modality, or `size` is not
        in 8..clips.SIZE.
    """
    if builder_config not in clips.KINDS:
        raise errors.unknown("builder config", builder_config, clips.KINDS)
    provided = clips.KINDS[builder_config].modalities
    if builder_config == "speech":  # registered modalities too
        provided = tuple(representations.IMAGES)
    names = [m.name for m in modalities.get(names)]
    for name in names:
        if name not in provided:
            raise errors.UserError(
                f"the builder config {builder_config} provides {', '.join(provided)}, not {name}"
            )
    if not 8 <= size <= clips.SIZE:
        raise errors.UserError(f"images can be 8 to {clips.SIZE} pixels wide, found size {size}")
    return names


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes a square image by area averaging.

    Args:
      image: uint8 [h, h, c].
      size: Side of the result in pixels.

    Returns:
      uint8 [size, size, c].
    """
    if image.shape[0] == size:
        return image
    resized = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return resized.reshape(size, size, image.shape[2])


def _is_audio(built: tfds_io.BuiltSet) -> bool:
    return "samples" in built.features


def _folder_name(size: int, amounts: AudioAmounts) -> str:
    if _to_floats(amounts) == _to_floats(AudioAmounts()):
        return f"{size}px"
    text = json.dumps(_to_floats(amounts), sort_keys=True)
    return f"{size}px-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _check_amounts(built: tfds_io.BuiltSet, audio: AudioAmounts | None) -> None:
    if audio is None:
        return
    for name, value in _to_floats(audio).items():
        built_with = built.metadata["options"].get(name, value)
        if built_with != value:
            raise errors.UserError(
                f"{built.data_dir} was built with {name} {built_with}, not {value}, and its audio "
                "images are already computed; build the dataset with that option"
            )


def _to_floats(amounts: AudioAmounts) -> dict[str, float]:
    return {name: float(amount) for name, amount in dataclasses.asdict(amounts).items()}


def _make_info(built: tfds_io.BuiltSet, amounts: AudioAmounts, mask_background: bool) -> dict:
    options = dict(built.metadata["options"])
    if _is_audio(built):
        options |= _to_floats(amounts)
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


# Feature of a built dataset -> column of a pack's table, where the names differ.
_RENAMED = {"label": "emotion"}


def _make_table(
    built: tfds_io.BuiltSet,
) -> tuple[dict[str, np.ndarray], dict[tuple[str, int], int]]:
    """Makes the table of a pack from the metadata of a built dataset.

    Returns:
      The table, column -> array [n], sorted by (clip, view); and (clip, view) -> index of the
      example.
    """
    features = [f for f in built.features if _RENAMED.get(f, f) in pack.COLUMNS]
    get_channel = sets.get(built.dataset).channel
    rows = []
    for example in tfds_io.read(built, features):
        row = {_RENAMED.get(name, name): value for name, value in example.items()}
        row["channel"] = get_channel(row["clip"])
        if _is_audio(built):
            rows += [row | cells for cells in _SPEECH_CELLS]
        else:
            rows.append({"audio_variant": _ORIGINAL} | row)
    rows.sort(key=lambda row: (row["clip"], row["view"]))
    dtypes = {"U": np.str_, "i": np.int32, "f": np.float32}
    table = {
        name: np.array([row[name] for row in rows], dtypes[kind])
        for name, kind in pack.COLUMNS.items()
    }
    indices = {(row["clip"], int(row["view"])): i for i, row in enumerate(rows)}
    return table, indices


# A clip of a built dataset of `speech` becomes one example per audio variant. The examples belong
# to no frame.
_SPEECH_CELLS = [
    {"view": view, "audio_variant": variant, "frame_index": -1, "frame_time": np.nan}
    for view, variant in enumerate(clips.SPEECH_VARIANTS)
]


def _iter_images(
    built: tfds_io.BuiltSet, names: Sequence[str], amounts: AudioAmounts, workers: int | None
) -> Iterator[tuple[tuple[str, int], dict[str, np.ndarray]]]:
    """Yields ((clip, view), images) for each example, in any order.

    The images are a dict, modality -> uint8 [clips.SIZE, clips.SIZE, channels].
    """
    if not _is_audio(built):
        for example in tfds_io.read(built, ["clip", "view", *names]):
            key = (example.pop("clip"), int(example.pop("view")))
            yield key, example
        return
    waveforms = (
        clips.Audio(e["clip"], e["samples"], int(e["sample_rate"]))
        for e in tfds_io.read(built, ["clip", "samples", "sample_rate"])
    )
    compute = partial(clips.compute_audio_views, amounts=amounts, modalities=tuple(names))
    for clip, views in parallel.ordered_map(plugins.wrap_for_workers(compute), waveforms, workers):
        for view, images in enumerate(views):
            yield (clip, view), images

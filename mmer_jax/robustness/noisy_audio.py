"""Where the audio of tested clips is found again, and what its noisy images are.

A pack holds images of audio, and noise belongs to the audio itself. A built `speech` set has it;
of others it is read from the recordings once more, into a `speech` set in WORKDIR/data.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmer_jax import errors
from mmer_jax.datasets import pack
from mmer_jax.utils import parallel
from mmer_jax.utils.progress import Progress

# (row of the pack, level) -> modality -> uint8 [s, s, c]
Noisy = dict[tuple[int, float], dict[str, np.ndarray]]


def corrupted(
    data: pack.Pack,
    record: Mapping[str, Any],
    workdir: Path,
    manual_dir: Path | None,
    *,
    rows: Iterable[int],
    corruption: str,
    levels: Sequence[float],
    names: Sequence[str],
) -> Noisy:
    """Images of corrupted audio, for some rows of a pack.

    Args:
      data: the pack that the record's cell was tested on.
      record: says where the recordings were.
      workdir: where the record is from.
      manual_dir: where the recordings are, if not there any more.
      rows: of the pack, whose audio is wanted in the version that the row has.
      corruption: of the audio.
      levels: of the corruption.
      names: modalities of the audio.

    Raises:
      UserError: the audio cannot be had; it says what would help.
    """
    beside, recordings = _places(data, record, workdir, manual_dir)
    try:
        from mmer_jax.datasets import packing, tfds_io
        from mmer_jax.media import augment
        from mmer_jax.robustness import noisy_images
    except ModuleNotFoundError as e:
        raise errors.UserError(
            f"audio can be made noisy only with the package {e.name}, which is not installed here: "
            "install mmer-jax[data]"
        ) from e
    workers = record["config"]["run"]["workers"]
    if recordings is None:
        built = tfds_io.open_built(beside)
    else:
        built = tfds_io.ensure_built(
            _tested(data),
            "speech",
            data_dir=workdir / "data",
            manual_dir=recordings,
            workers=workers,
        )
    wanted = {}
    for row in rows:
        clip, variant = str(data.table["clip"][row]), str(data.table["audio_variant"][row])
        wanted.setdefault(clip, {})[variant] = row
    _check_same(built, data, wanted)
    options = data.info["options"].get("test", data.info["options"])  # of two sets the tested one
    named = [field.name for field in dataclasses.fields(augment.AudioAmounts)]
    amounts = {name: options[name] for name in named if name in options}
    work = functools.partial(
        noisy_images.images,
        amounts=augment.AudioAmounts(**amounts),
        corruption=corruption,
        levels=tuple(levels),
        names=tuple(names),
    )
    heard = (
        noisy_images.Heard(e["clip"], e["samples"], int(e["sample_rate"]), tuple(wanted[e["clip"]]))
        for e in tfds_io.read(built, ["clip", "samples", "sample_rate"])
        if e["clip"] in wanted
    )
    found: Noisy = {}
    with Progress(len(wanted), f"audio with {corruption}", "clips") as progress:
        for made in parallel.ordered_map(work, heard, workers):
            for (clip, variant, level), images in made.items():
                found[wanted[clip][variant], level] = {
                    name: packing.resize(image, data.info["size"]) for name, image in images.items()
                }
            progress.update()
    return found


def _places(
    data: pack.Pack, record: Mapping[str, Any], workdir: Path, manual_dir: Path | None
) -> tuple[Path, Path | None]:
    """The folder of the pack's own built set; and the recordings, if that one holds no audio."""
    beside = data.path.parent.parent
    is_audio = data.info["builder_config"].partition("-")[0] == "speech"
    if is_audio and manual_dir is None and (beside / "dataset_info.json").exists():
        return beside, None
    config = record["config"]
    part = config["test_data"] if config["test_data"]["dataset"] else config["data"]
    folder = manual_dir or part["manual_dir"]
    if folder is None and part["rendered"]["enabled"]:
        folder = workdir / "clips" / _tested(data)
    if folder is None or not Path(folder).expanduser().is_dir():
        where = "are not known" if folder is None else f"are not in {folder} any more"
        raise errors.UserError(
            f"row {record['row']} cannot be tested on noisy audio: {data.path} holds images of "
            f"audio, and the recordings {where}; name their folder with --manual_dir=DIR"
        )
    return beside, Path(folder).expanduser()


def _tested(data: pack.Pack) -> str:
    """Name of the data set that was tested on, which of two is the second."""
    return data.info["dataset"].split(" to ")[-1]


def _check_same(built, data: pack.Pack, wanted: Mapping[str, Mapping[str, int]]) -> None:
    """Refuses a set whose audio are not those that the pack's images were made of."""
    from mmer_jax.datasets import tfds_io

    there = {e["clip"]: e["content_id"] for e in tfds_io.read(built, ["clip", "content_id"])}
    other = [
        clip
        for clip, variants in wanted.items()
        if there.get(clip) != data.table["content_id"][next(iter(variants.values()))]
    ]
    if other:
        raise errors.UserError(
            f"{built.data_dir} does not hold the audio of {len(other)} of {len(wanted)} tested "
            f"clips, {min(other)} first: name the folder of the very recordings that were built "
            "with --manual_dir=DIR"
        )

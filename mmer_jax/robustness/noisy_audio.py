"""Spectrograms and other images of noisy audio, for the test examples of a pack.

A pack stores images of the waveform, but noise has to be added to the waveform itself. Datasets
built with the builder config `speech` store waveforms. For any other builder config, the waveforms
are read from the recordings again, into a `speech` build in WORKDIR/data.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmer_jax import errors
from mmer_jax.config import plugins
from mmer_jax.datasets import pack
from mmer_jax.media import corruptions
from mmer_jax.robustness import conditions
from mmer_jax.utils import parallel
from mmer_jax.utils.progress import Progress

if TYPE_CHECKING:  # needs librosa, which hosts that train from a pack may lack
    from mmer_jax.media import augment

# (index into the pack, level) -> modality -> uint8 [s, s, c]
NoisyImages = dict[tuple[int, float], dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class ClipAudio:
    """The audio of a clip, and the names of its versions that are tested.

    Attributes:
      clip: Name of the clip.
      samples: Waveform, int16 [n].
      rate: Samples per second.
      variants: Names of versions, out of `media.augment.AUDIO_VARIANTS`.
    """

    clip: str
    samples: np.ndarray
    rate: int
    variants: tuple[str, ...]

    def __str__(self) -> str:
        return self.clip


def compute_images(
    data: pack.Pack,
    record: Mapping[str, Any],
    workdir: Path,
    manual_dir: Path | None,
    *,
    indices: Iterable[int],
    corruption: str,
    levels: Sequence[float],
    names: Sequence[str],
) -> NoisyImages:
    """Computes the images of corrupted audio for some examples of a pack.

    Args:
      data: The pack that the cell of `record` was tested on.
      record: Record of the cell; its config has the folder of the recordings.
      workdir: The workdir of the record.
      manual_dir: New location of the recordings, if they have been moved.
      indices: Indices of the examples in the pack. Noise is added to each example's version of the
        audio (`audio_variant`).
      corruption: Name of a corruption of audio.
      levels: Levels of the corruption.
      names: Names of the modalities whose images are computed from audio.

    Returns:
      (index, level) -> modality -> uint8 [s, s, c], where s is the pack's image size.

    Raises:
      UserError: The audio is not available, or is not the audio that the pack was made from. The
        message says how to fix this.
    """
    build_folder, recordings = _find_audio(data, record, workdir, manual_dir)
    try:
        from mmer_jax.datasets import packing, tfds_io
        from mmer_jax.media import augment
    except ModuleNotFoundError as e:
        raise errors.UserError(
            f"tests on noisy audio need the package {e.name}, which is not installed: install "
            "mmer-jax[data]"
        ) from e
    workers = record["config"]["run"]["workers"]
    if recordings is None:
        built = tfds_io.open_built(build_folder)
    else:
        built = tfds_io.ensure_built(
            _tested_dataset(data),
            "speech",
            data_dir=workdir / "data",
            manual_dir=recordings,
            workers=workers,
        )
    by_clip: dict[str, dict[str, int]] = {}
    for i in indices:
        clip, variant = str(data.table["clip"][i]), str(data.table["audio_variant"][i])
        by_clip.setdefault(clip, {})[variant] = i
    _check_same_audio(built, data, by_clip)
    # The options of a pack of two datasets are grouped by subset.
    options = data.info["options"].get("test", data.info["options"])
    fields = [field.name for field in dataclasses.fields(augment.AudioAmounts)]
    amounts = augment.AudioAmounts(**{name: options[name] for name in fields if name in options})
    work = functools.partial(
        compute_clip_images,
        amounts=amounts,
        corruption=corruption,
        levels=tuple(levels),
        names=tuple(names),
    )
    clips = (
        ClipAudio(e["clip"], e["samples"], int(e["sample_rate"]), tuple(by_clip[e["clip"]]))
        for e in tfds_io.read(built, ["clip", "samples", "sample_rate"])
        if e["clip"] in by_clip
    )
    noisy: NoisyImages = {}
    with Progress(len(by_clip), f"audio with {corruption}", "clips") as progress:
        for clip_images in parallel.ordered_map(plugins.wrap_for_workers(work), clips, workers):
            for (clip, variant, level), images in clip_images.items():
                noisy[by_clip[clip][variant], level] = {
                    name: packing.resize(image, data.info["size"]) for name, image in images.items()
                }
            progress.update()
    return noisy


def compute_clip_images(
    audio: ClipAudio,
    *,
    amounts: "augment.AudioAmounts",
    corruption: str,
    levels: Sequence[float],
    names: Sequence[str],
) -> dict[tuple[str, str, float], dict[str, np.ndarray]]:
    """Computes the images of one clip's corrupted audio, in a worker process.

    Args:
      audio: The clip's audio. Each version is first computed as in a build, then corrupted. All
        levels and versions of a clip get the same noise.
      amounts: Parameters of the augmentations that make the versions.
      corruption: Name of a corruption of audio.
      levels: Levels of the corruption.
      names: Names of modalities.

    Returns:
      (clip, variant, level) -> modality -> uint8 [clips.SIZE, clips.SIZE, c].
    """
    from mmer_jax.datasets import clips
    from mmer_jax.media import augment, compiled, representations, spectrogram

    compiled.compile_librosa()
    waveform, rate = clips.resample(audio.samples, audio.rate), spectrogram.RATE
    apply = corruptions.CORRUPTIONS[corruption].apply
    images = {}
    for variant in audio.variants:
        rng = clips.make_variant_rng(audio.clip, variant)  # the seed of clips.compute_audio_images
        version = augment.apply_variant(waveform, rate, variant, amounts, rng)
        for level in levels:
            noisy = apply(version, level, conditions.make_rng(audio.clip, corruption))
            images[audio.clip, variant, level] = {
                name: representations.IMAGES[name](noisy, rate, clips.SIZE) for name in names
            }
    return images


def _find_audio(
    data: pack.Pack, record: Mapping[str, Any], workdir: Path, manual_dir: Path | None
) -> tuple[Path, Path | None]:
    """Returns the build's folder, and the recordings' folder or None if the build has audio."""
    build_folder = data.path.parent.parent
    is_audio = data.info["builder_config"].partition("-")[0] == "speech"
    if is_audio and manual_dir is None and (build_folder / "dataset_info.json").exists():
        return build_folder, None
    config = record["config"]
    fields = config["test_data"] if config["test_data"]["dataset"] else config["data"]
    folder = manual_dir or fields["manual_dir"]
    if folder is None and fields["rendered"]["enabled"]:
        folder = workdir / "clips" / _tested_dataset(data)
    if folder is None or not Path(folder).expanduser().is_dir():
        reason = "is not known" if folder is None else f"{folder} does not exist any more"
        raise errors.UserError(
            f"row {record['row']} cannot be tested on noisy audio: {data.path} holds images, not "
            f"waveforms, and the folder of the recordings {reason}; name it with --manual_dir=DIR"
        )
    return build_folder, Path(folder).expanduser()


def _tested_dataset(data: pack.Pack) -> str:
    """Returns the name of the dataset that is tested on: B if the pack's name is "A to B"."""
    return data.info["dataset"].split(" to ")[-1]


def _check_same_audio(built, data: pack.Pack, by_clip: Mapping[str, Mapping[str, int]]) -> None:
    """Raises a UserError if a build's audio is not what the pack's images were computed from."""
    from mmer_jax.datasets import tfds_io

    content_ids = {e["clip"]: e["content_id"] for e in tfds_io.read(built, ["clip", "content_id"])}
    different = [
        clip
        for clip, variants in by_clip.items()
        if content_ids.get(clip) != data.table["content_id"][next(iter(variants.values()))]
    ]
    if different:
        raise errors.UserError(
            f"{built.data_dir} does not hold the audio of {len(different)} of {len(by_clip)} "
            f"tested clips (the first is {min(different)}): name the folder of the recordings that "
            "the pack was built from with --manual_dir=DIR"
        )

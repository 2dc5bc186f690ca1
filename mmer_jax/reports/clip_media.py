"""Images and audio of the clips that a report shows."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.datasets import pack
from mmer_jax.protocols import splits

# Sample rate of the audio in a report, in Hz: sufficient for speech, and it limits the file's size.
RATE = 16000


def select_examples(
    rows: Mapping[str, ml_collections.ConfigDict], packs: Mapping[str, pack.Pack], clips: int = 2
) -> list[dict[str, Any]]:
    """Selects a few clips of each emotion, with the inputs of the row that has the most modalities.

    Args:
      rows: Name of a config row -> its config.
      packs: Name of a config row -> pack that its network is trained from.
      clips: Number of clips per emotion.

    Returns:
      One dict per clip with the keys `clip`, `emotion`, `view`, `audio_variant` and `images`, in
      the format that `report.write_report` expects of its argument `examples`.
    """
    row = max(rows, key=lambda name: len(rows[name].modalities))
    config, data = rows[row], packs[row]
    indices = splits.participating(config, data)
    indices = indices[np.unique(data.table["clip"][indices], return_index=True)[1]]
    selected = []
    for emotion in config.data.emotions:
        candidates = indices[data.table["emotion"][indices] == emotion]
        positions = np.linspace(0, len(candidates) - 1, min(clips, len(candidates))).round()
        selected += candidates[positions.astype(int)].tolist()
    return [
        {
            "clip": str(data.table["clip"][index]),
            "emotion": str(data.table["emotion"][index]),
            "view": int(data.table["view"][index]),
            "audio_variant": str(data.table["audio_variant"][index]),
            "images": _images(data, index, data.arrays),
        }
        for index in selected
    ]


class Finder:
    """Finds the images and audio of clips by name; its instances are of the type `report.LookUp`.

    Audio is cached, since several rows often misclassify the same clips.
    """

    def __init__(
        self,
        rows: Mapping[str, ml_collections.ConfigDict],
        packs: Mapping[str, pack.Pack],
        workdir: pathlib.Path,
    ):
        """Creates a finder.

        Args:
          rows: Name of a config row -> its config.
          packs: Name of a config row -> pack that its network is trained from.
          workdir: Workdir of the run.
        """
        self._rows, self._packs, self._workdir = rows, packs, workdir
        self._audio: dict[tuple[str, str], tuple[np.ndarray, int] | None] = {}

    def __call__(self, row: str, clips: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Returns the images and audio of clips.

        Args:
          row: Name of the config row whose pack has the images.
          clips: Names of the clips.

        Returns:
          Name of a clip -> {"images": modality -> uint8 [s, s, c], "audio": (int16 [n], sample rate
          in Hz) or None}. Clips that the pack does not have are absent.
        """
        if row not in self._rows:  # An earlier command measured the row.
            return {}
        config, data = self._rows[row], self._packs[row]
        dataset = data.info["dataset"]
        missing = [clip for clip in clips if (dataset, clip) not in self._audio]
        if missing:
            audio = read_waveforms(data, config, self._workdir, missing)
            self._audio |= {(dataset, clip): audio.get(clip) for clip in missing}
        names, indices = np.unique(data.table["clip"], return_index=True)
        first_index = dict(zip(names.tolist(), indices.tolist(), strict=True))
        return {
            clip: {
                "images": _images(data, first_index[clip], config.modalities),
                "audio": self._audio[dataset, clip],
            }
            for clip in clips
            if clip in first_index
        }


def _images(data: pack.Pack, index: int, names: Iterable[str]) -> dict[str, np.ndarray]:
    return {m.name: np.asarray(data.arrays[m.name][index]) for m in modalities.get(names)}


def read_waveforms(
    data: pack.Pack,
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    clips: Iterable[str],
) -> dict[str, tuple[np.ndarray, int]]:
    """Reads the audio of those clips whose audio is available.

    Datasets built with the builder config `speech` have the audio. For any other builder config,
    the audio is read from the recordings, if the config names their folder. On a machine that has
    only a pack, no audio is available.

    Args:
      data: Pack that the clips are in.
      config: Config of the row, which names the folder of the recordings.
      workdir: Workdir, which holds the clips if they were rendered.
      clips: Names of the clips.

    Returns:
      Name of a clip -> (int16 [n], sample rate in Hz). Clips without audio are absent.
    """
    try:
        import soxr

        from mmer_jax.datasets import tfds_io
        from mmer_jax.media import audio
    except ModuleNotFoundError:
        return {}
    clips, samples_of = set(clips), {}
    built = data.path.parent.parent
    if data.info["builder_config"].startswith("speech") and (built / "dataset_info.json").exists():
        features = ["clip", "samples", "sample_rate"]
        for example in tfds_io.read(tfds_io.open_built(built), features):
            if example["clip"] in clips:
                samples = example["samples"].astype(np.float32) / 32768
                rate = int(example["sample_rate"])
                samples_of[example["clip"]] = soxr.resample(samples, rate, RATE)
    for path in _recordings(data, config, workdir) if clips - set(samples_of) else ():
        if path.stem in clips and path.stem not in samples_of:
            try:
                samples_of[path.stem] = audio.read_audio(path, RATE)[0]
            except (errors.ClipError, errors.UserError):
                continue  # The report shows the clip without audio.
    return {
        clip: (np.round(samples * 32767).clip(-32768, 32767).astype(np.int16), RATE)
        for clip, samples in samples_of.items()
    }


def _recordings(
    data: pack.Pack, config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> Iterable[pathlib.Path]:
    """Returns the paths of the recordings of the dataset that is tested on; empty if unknown."""
    name = data.info["dataset"].split(" to ")[-1]
    data_config = config.test_data if config.test_data.dataset else config.data
    folder = data_config.manual_dir
    if folder is None and data_config.rendered.enabled:
        folder = workdir / "clips" / name
    if folder is None:
        return ()
    folder = pathlib.Path(folder).expanduser()
    return (p for p in folder.rglob("*") if p.suffix.lower() in (".mp4", ".wav", ".flac"))

"""What a report shows of clips: images from their packs, audio from where it is at hand."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.datasets import pack
from mmer_jax.protocols import splits

RATE = 16000  # of audio in a page: good for speech, and half as large as the recordings' own


def examples(rows, packs: Mapping[str, pack.Pack], clips: int = 2) -> list[dict]:
    """A few clips of each emotion: of the row with the most inputs.

    Args:
      rows: name -> config.
      packs: name -> what the row is trained from.
      clips: of each emotion.
    """
    row = max(rows, key=lambda name: len(rows[name].modalities))
    config, data = rows[row], packs[row]
    taking_part = splits.taking_part(config, data)
    taking_part = taking_part[np.unique(data.table["clip"][taking_part], return_index=True)[1]]
    chosen = []
    for emotion in config.data.emotions:
        of_emotion = taking_part[data.table["emotion"][taking_part] == emotion]
        spread = np.linspace(0, len(of_emotion) - 1, min(clips, len(of_emotion))).round()
        chosen += of_emotion[spread.astype(int)].tolist()
    return [
        {
            "clip": str(data.table["clip"][row]),
            "emotion": str(data.table["emotion"][row]),
            "view": int(data.table["view"][row]),
            "audio_variant": str(data.table["audio_variant"][row]),
            "images": _images(data, row, data.arrays),
        }
        for row in chosen
    ]


class Finder:
    """Finds images and audio of clips by name: report.LookUp.

    Audio are remembered, since rows are often wrong about the same clips.
    """

    def __init__(self, rows, packs: Mapping[str, pack.Pack], workdir: pathlib.Path):
        self._rows, self._packs, self._workdir = rows, packs, workdir
        self._audio: dict[tuple[str, str], tuple[np.ndarray, int] | None] = {}

    def __call__(self, row: str, clips: Sequence[str]) -> dict[str, dict[str, Any]]:
        """For each clip of the row's data its images, and its audio or None."""
        if row not in self._rows:  # measured by an earlier command
            return {}
        config, data = self._rows[row], self._packs[row]
        known = data.info["dataset"]
        wanted = [clip for clip in clips if (known, clip) not in self._audio]
        if wanted:
            heard = waveforms(data, config, self._workdir, wanted)
            self._audio |= {(known, clip): heard.get(clip) for clip in wanted}
        names, index = np.unique(data.table["clip"], return_index=True)
        first = dict(zip(names.tolist(), index.tolist(), strict=True))
        return {
            clip: {
                "images": _images(data, first[clip], config.modalities),
                "audio": self._audio[known, clip],
            }
            for clip in clips
            if clip in first
        }


def _images(data: pack.Pack, row: int, names: Iterable[str]) -> dict[str, np.ndarray]:
    return {m.name: np.asarray(data.arrays[m.name][row]) for m in modalities.get(names)}


def waveforms(
    data: pack.Pack, config, workdir: pathlib.Path, clips: Iterable[str]
) -> dict[str, tuple[np.ndarray, int]]:
    """The audio of some clips, int16 [n] and its rate, of those whose audio is at hand.

    A built `speech` set has it; of others it is read from the recordings, where these are files in
    a folder. A machine that has a pack alone has none.

    Args:
      data: the pack that the clips are in.
      config: of the row: where the recordings are.
      workdir: where they were rendered, if they were.
      clips: names.
    """
    try:
        import soxr

        from mmer_jax.datasets import tfds_io
        from mmer_jax.media import audio
    except ModuleNotFoundError:
        return {}
    clips, found = set(clips), {}
    built = data.path.parent.parent
    if data.info["builder_config"].startswith("speech") and (built / "dataset_info.json").exists():
        read = tfds_io.read(tfds_io.open_built(built), ["clip", "samples", "sample_rate"])
        for e in read:
            if e["clip"] in clips:
                samples = e["samples"].astype(np.float32) / 32768
                found[e["clip"]] = soxr.resample(samples, int(e["sample_rate"]), RATE)
    for path in _recordings(data, config, workdir) if clips - set(found) else ():
        if path.stem in clips and path.stem not in found:
            try:
                found[path.stem] = audio.read_audio(path, RATE)[0]
            except (errors.ClipError, errors.UserError):
                continue  # the page names the clip all the same
    return {
        clip: (np.round(samples * 32767).clip(-32768, 32767).astype(np.int16), RATE)
        for clip, samples in found.items()
    }


def _recordings(data: pack.Pack, config, workdir: pathlib.Path) -> Iterable[pathlib.Path]:
    """Files of the data set that is tested."""
    name = data.info["dataset"].split(" to ")[-1]
    part = config.test_data if config.test_data.dataset else config.data
    folder = part.manual_dir
    if folder is None and part.rendered.enabled:
        folder = workdir / "clips" / name
    if folder is None:
        return ()
    folder = pathlib.Path(folder).expanduser()
    return (p for p in folder.rglob("*") if p.suffix.lower() in (".mp4", ".wav", ".flac"))

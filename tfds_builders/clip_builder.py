"""Base classes of TFDS builders of clips: options, features, generation, summary.

The builders are in the folders beside this file. A builder defines which datasets of
mmer_jax.corpora.sets it builds, and where their recordings come from.
"""

import abc
import contextlib
import dataclasses
import hashlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import shuffle
from tensorflow_datasets.core.utils import tqdm_utils

from mmer_jax import errors, modalities
from mmer_jax.corpora import sets
from mmer_jax.corpora.recordings import GENDERS, Recording, Selection
from mmer_jax.datasets import clips
from mmer_jax.media.augment import AUDIO_VARIANTS
from mmer_jax.utils import parallel
from mmer_jax.utils.progress import Progress

# By default TFDS keeps up to 1 GB of finished examples in memory before it sorts them on disk.
_SORTED_IN_MEMORY = 128 << 20
_SORT_FILES = 100


@dataclasses.dataclass(eq=False)
class ClipConfig(tfds.core.BuilderConfig):
    """Builder config: a kind of example, and the options of its build.

    `name` is one of `names()`. If options differ from their defaults, "-" and a digest of these
    options (8 hex digits) are appended, so that builds with different options never share a folder.
    `strict` and `workers` do not change the data and are not part of the name.

    Attributes:
      detector, detector_model, face_margin, flow_scale, frame_choice, frame_scores, noise_snr_db,
        pitch_semitones, shift_seconds, stretch_factor, video_only: See clips.Options.
      strict: Whether a recording that cannot be used is an error; it is skipped otherwise.
      workers: Number of processes; None for one per core.
      dataset: Name of the dataset, a key of sets.SETS; derived from `name`.
      kind_name: Kind of the examples, a key of clips.KINDS; derived from `name`.
    """

    # Name of a dataset of the builder -> prefix of the names of the builder configs of this
    # dataset.
    DATASETS: ClassVar[dict[str, str]]

    detector: str = clips.Options.detector
    detector_model: str | None = clips.Options.detector_model
    face_margin: float = clips.Options.face_margin
    flow_scale: float | None = clips.Options.flow_scale
    frame_choice: str = clips.Options.frame_choice
    frame_scores: str | None = clips.Options.frame_scores
    noise_snr_db: float = clips.Options.noise_snr_db
    pitch_semitones: float = clips.Options.pitch_semitones
    shift_seconds: float = clips.Options.shift_seconds
    stretch_factor: float = clips.Options.stretch_factor
    video_only: bool = clips.Options.video_only
    strict: bool = False
    workers: int | None = None

    def __post_init__(self):
        self.name = self.name.partition("-")[0]
        if self.name not in self.names():
            raise errors.unknown("builder config", self.name, self.names())
        self.dataset, self.kind_name = self.names()[self.name]
        changed = self.changed_options()
        for name in changed:
            if name not in self.kind.options:
                raise errors.UserError(
                    f"the option {name} has no effect on the builder config {self.name}; its "
                    f"options: {', '.join(self.kind.options) or 'none'}"
                )
        self.description = self.kind.title
        if changed:
            text = json.dumps(changed, sort_keys=True)
            self.name += "-" + hashlib.sha256(text.encode()).hexdigest()[:8]
            self.description += f" ({text})"

    @classmethod
    def names(cls) -> dict[str, tuple[str, str]]:
        """Returns name of a builder config with default options -> (dataset, kind of example)."""
        return {
            prefix + kind: (dataset, kind)
            for dataset, prefix in cls.DATASETS.items()
            for kind in clips.KINDS
        }

    @property
    def kind(self) -> clips.Kind:
        """The kind of the examples."""
        return clips.KINDS[self.kind_name]

    @property
    def options(self) -> clips.Options:
        """The options of the examples."""
        names = [field.name for field in dataclasses.fields(clips.Options)]
        return clips.Options(**{name: getattr(self, name) for name in names})

    def select(self, folder: str | os.PathLike) -> Selection:
        """Selects the recordings in a folder that a build of this config reads.

        Raises:
          UserError: `folder` has no recordings of the dataset.
        """
        return sets.get(self.dataset).select(folder, self.kind.choices(self.options))

    def recorded_options(self) -> dict:
        """Returns the options that affect this kind of example, in the form of Options.record."""
        return {k: v for k, v in self.options.record().items() if k in self.kind.options}

    def changed_options(self) -> dict:
        """Returns the options that differ from their defaults, in the form of Options.record."""
        defaults = clips.Options().record()
        return {k: v for k, v in self.options.record().items() if v != defaults[k]}


class ClipBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Builder of a dataset of clips."""

    def _create_builder_config(self, builder_config, version):
        # TFDS rejects a config object with the name of a predefined config. A config that differs
        # from a predefined one only in `strict` or `workers` has such a name.
        if isinstance(builder_config, ClipConfig):
            return builder_config
        return super()._create_builder_config(builder_config, version=version)

    @abc.abstractmethod
    def _recordings(self, dl_manager: tfds.download.DownloadManager) -> Path:
        """Returns the folder of the recordings, for a build without a manual folder.

        Raises:
          UserError: The recordings cannot be downloaded.
        """

    def _features(self) -> tfds.features.FeaturesDict:
        config = self.builder_config
        return tfds.features.FeaturesDict(
            _clip_features(sets.get(config.dataset)) | _FEATURES[config.kind_name]()
        )

    def _download_and_prepare(self, dl_manager, download_config):
        # Unlike dl_manager.manual_dir, which is never empty, this is set only if the user set it.
        self._manual_dir = download_config.manual_dir
        self._skipped: dict[str, dict[str, str]] = defaultdict(dict)
        self._clip_beam = _import_beam_module(download_config)
        self._notes: epath.Path | None = None
        with _flat_memory(), _no_progress_bar():
            try:
                super()._download_and_prepare(dl_manager, download_config)
            finally:  # also if the pipeline failed: the note of a worker has the reason
                self._read_notes()
        self.info.metadata.update(self._metadata())
        if download_config.max_examples_per_split is not None:
            self.info.metadata["max_examples_per_split"] = download_config.max_examples_per_split
        print(self._summary(), file=sys.stderr)

    def _split_generators(self, dl_manager):
        config = self.builder_config
        config.options.check()
        folder = self._manual_dir or self._recordings(dl_manager)
        self._selection = config.select(folder)
        config.options.check_clips({r.name for r in self._selection.recordings})
        # There is a single split; protocols divide the examples into subsets for training.
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        """Returns keys and examples: an iterator, or a Beam transform for builds with Beam."""
        config = self.builder_config
        recordings = self._selection.recordings
        process = partial(clips.process_recording, kind=config.kind_name, options=config.options)
        if self._clip_beam is None:
            return self._examples(process)
        title = f"building {self.name}/{config.name} with Apache Beam: {len(recordings)} clips"
        print(title, file=sys.stderr)
        self._notes = self.data_path / "notes"
        self._notes.mkdir()
        return self._clip_beam.Examples(recordings, process, config.strict, self._notes)

    def _examples(
        self, process: Callable[[Recording], clips.Outcome]
    ) -> Iterator[tuple[str, dict]]:
        config = self.builder_config
        recordings = self._selection.recordings
        title = f"building {self.name}/{config.name}"
        outcomes = parallel.ordered_map(process, recordings, config.workers)
        with Progress(len(recordings), title, "clips") as progress, contextlib.closing(outcomes):
            for outcome in outcomes:
                if outcome.problem:
                    self._skip(outcome)
                yield from keyed_examples(outcome)
                progress.update()
        self._check_usable()

    def _read_notes(self) -> None:
        """Reads the problems that Beam's workers noted, and removes the notes from the data."""
        if self._notes is None:
            return
        for outcome in self._clip_beam.read_problems(self._notes):
            self._skip(outcome)
        self._check_usable()
        self._notes.rmtree()

    def _skip(self, outcome: clips.Outcome) -> None:
        if self.builder_config.strict:
            raise make_error(outcome)
        self._skipped[outcome.problem.kind][outcome.name] = outcome.problem.detail

    def _check_usable(self) -> None:
        total = len(self._selection.recordings)
        if sum(map(len, self._skipped.values())) == total:
            raise errors.UserError(
                f"none of {total} recordings can be used: {_format_names(self._skipped)}"
            )

    def _metadata(self) -> dict:
        return {
            "dataset": self.builder_config.dataset,
            "builder_config": self.builder_config.kind_name,
            "options": self.builder_config.recorded_options(),
            "origin": self._selection.origin,
            "source": {
                "digest": self._selection.digest(),
                "recordings": len(self._selection.recordings),
                "left_out": self._selection.left_out,
            },
            "skipped": {kind: sorted(names) for kind, names in sorted(self._skipped.items())},
            "mismatches": {kind: list(names) for kind, names in self._selection.mismatches.items()},
        }

    def _summary(self) -> str:
        count = sum(map(len, self._skipped.values()))
        total = len(self._selection.recordings)
        title = f"{self.name}/{self.builder_config.name}"
        lines = [f"{title}: {total - count} of {total} recordings used"]
        if self._selection.left_out:
            lines[0] += "; left out: " + ", ".join(
                f"{n} {kind}" for kind, n in self._selection.left_out.items()
            )
        for kind, names in sorted(self._skipped.items()):
            lines += [f"  skipped, {kind}: {n} ({detail})" for n, detail in sorted(names.items())]
        for kind, names in self._selection.mismatches.items():
            lines.append(f"  {kind}: {len(names)}")
            lines += [f"    {name} ({detail})" for name, detail in names.items()]
        return "\n".join(lines)


def keyed_examples(outcome: clips.Outcome) -> Iterator[tuple[str, dict]]:
    """Yields (key, example) for the examples of a recording; TFDS sorts examples by key.

    Args:
      outcome: Result of clips.process_recording.
    """
    for example in outcome.examples:
        yield f"{example['clip']}/{example.get('view', 0)}", example


def make_error(outcome: clips.Outcome) -> errors.UserError:
    """Returns the error that ends a strict build, for a recording that cannot be used."""
    return errors.UserError(f"{outcome.name} cannot be used: {outcome.problem}")


def _import_beam_module(download_config: tfds.download.DownloadConfig) -> ModuleType | None:
    """Imports the module clip_beam if the build uses Beam, else returns None.

    Raises:
      UserError: Apache Beam is not installed, or the number of examples is limited.
    """
    if download_config.beam_options is None and download_config.beam_runner is None:
        return None
    if download_config.max_examples_per_split is not None:
        raise errors.UserError(
            "max_examples_per_split is not supported with Apache Beam, which builds all examples: "
            "leave out one of the two"
        )
    try:
        from tfds_builders import clip_beam
    except ModuleNotFoundError as e:
        raise errors.UserError(
            f"building with Apache Beam needs a package that is not installed ({e.name}): "
            "pip install mmer-jax[build]"
        ) from e
    return clip_beam


def _clip_features(data_set: sets.DataSet) -> dict:
    """Returns the features that all builder configs of a dataset have: name -> TFDS feature."""
    return {
        "label": tfds.features.ClassLabel(names=list(data_set.emotions)),
        "clip": tfds.features.Text(),
        "subject": tfds.features.Text(),
        "gender": tfds.features.ClassLabel(names=list(GENDERS)),
        "intensity": tfds.features.ClassLabel(names=list(data_set.intensities)),
        "statement": np.int32,
        "repetition": np.int32,
        "duration": np.float32,
        "content_id": tfds.features.Text(),
    }


def _frame_features() -> dict:
    return {
        "face": _image("face"),
        "flow": _image("flow"),
        "view": np.int32,
        "frame_index": np.int32,
        "frame_time": np.float32,
        "face_box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
        "face_found": np.bool_,
    }


def _triplet_features() -> dict:
    variants = tfds.features.ClassLabel(names=list(AUDIO_VARIANTS))
    return _frame_features() | {"mel": _image("mel"), "audio_variant": variants}


def _speech_features() -> dict:
    return {
        "samples": tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="zlib"),
        "sample_rate": np.int32,
    }


def _image(name: str) -> tfds.features.Image:
    channels = modalities.MODALITIES[name].channels
    return tfds.features.Image(shape=(clips.SIZE, clips.SIZE, channels), encoding_format="png")


_FEATURES = {
    "triplets": _triplet_features,
    "frames": _frame_features,
    "speech": _speech_features,
}


def _format_names(skipped: Mapping[str, Mapping[str, str]]) -> str:
    return "; ".join(f"{kind}: {', '.join(sorted(names))}" for kind, names in skipped.items())


@contextlib.contextmanager
def _flat_memory() -> Iterator[None]:
    """Makes TFDS sort examples on disk early, with few files open at a time."""
    defaults = shuffle.MAX_MEM_BUFFER_SIZE, shuffle.BUCKETS_NUMBER
    shuffle.MAX_MEM_BUFFER_SIZE, shuffle.BUCKETS_NUMBER = _SORTED_IN_MEMORY, _SORT_FILES
    try:
        yield
    finally:
        shuffle.MAX_MEM_BUFFER_SIZE, shuffle.BUCKETS_NUMBER = defaults


@contextlib.contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Disables TFDS's progress bar, which does not know the number of clips."""
    active = tqdm_utils._active
    tfds.display_progress_bar(False)
    try:
        yield
    finally:
        tfds.display_progress_bar(active)

"""What the builders of clips have in common: options, features, generation, summary.

A builder beside this file says which data sets of mmer_jax.corpora.sets it builds, and where their
recordings come from.
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
from mmer_jax.corpora import recordings, sets
from mmer_jax.datasets import clips
from mmer_jax.media.augment import AUDIO_VARIANTS
from mmer_jax.utils import parallel
from mmer_jax.utils.progress import Progress

# TFDS keeps up to 1 GB of finished examples in memory before it sorts on disk; this much is enough.
_SORTED_IN_MEMORY = 128 << 20
_SORT_FILES = 100


@dataclasses.dataclass(eq=False)
class ClipConfig(tfds.core.BuilderConfig):
    """A kind of example and how it is made.

    `name` is one of `names()`. Where an option differs from its default, a short digest of such
    options is added to it, so that two builds never share a folder. `strict` and `workers` do not
    change the data and do not enter the name.

    Attributes:
      detector, detector_model, face_margin, flow_scale, frame_choice, frame_scores, noise_snr_db,
        pitch_semitones, shift_seconds, stretch_factor, video_only: see clips.Options.
      strict: a recording that cannot be used ends the build, instead of being left out.
      workers: processes; None for one a core.
      dataset: as sets.SETS calls it; follows from the name.
      kind_name: of clips.KINDS; follows from the name.
    """

    # Data set of the builder -> what the names of its builder configs begin with.
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
                    f"the builder config {self.name} does not heed the option {name}; it "
                    f"heeds {', '.join(self.kind.options) or 'none'}"
                )
        self.description = self.kind.title
        if changed:
            text = json.dumps(changed, sort_keys=True)
            self.name += "-" + hashlib.sha256(text.encode()).hexdigest()[:8]
            self.description += f" ({text})"

    @classmethod
    def names(cls) -> dict[str, tuple[str, str]]:
        """Builder config, options at their defaults -> data set and kind of example."""
        return {
            prefix + kind: (dataset, kind)
            for dataset, prefix in cls.DATASETS.items()
            for kind in clips.KINDS
        }

    @property
    def kind(self) -> clips.Kind:
        return clips.KINDS[self.kind_name]

    @property
    def options(self) -> clips.Options:
        names = [field.name for field in dataclasses.fields(clips.Options)]
        return clips.Options(**{name: getattr(self, name) for name in names})

    def select(self, folder: str | os.PathLike) -> recordings.Selection:
        """The recordings in a folder that a build of this reads."""
        return sets.get(self.dataset).select(folder, self.kind.choices(self.options))

    def recorded_options(self) -> dict:
        """The options that this kind of example heeds, free of paths of this machine."""
        return {k: v for k, v in self.options.record().items() if k in self.kind.options}

    def changed_options(self) -> dict:
        """The options that differ from their defaults."""
        defaults = clips.Options().record()
        return {k: v for k, v in self.options.record().items() if v != defaults[k]}


class ClipBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Builder of a data set of clips."""

    def _create_builder_config(self, builder_config, version):
        # TFDS refuses a config object of the caller's under a name that it knows; here one that
        # differs in `strict` or `workers` only bears such a name.
        if isinstance(builder_config, ClipConfig):
            return builder_config
        return super()._create_builder_config(builder_config, version=version)

    @abc.abstractmethod
    def _recordings(self, dl_manager: tfds.download.DownloadManager) -> Path:
        """The folder of the recordings where no manual folder is given.

        Raises:
          UserError: they cannot be downloaded.
        """

    def _features(self) -> tfds.features.FeaturesDict:
        config = self.builder_config
        return tfds.features.FeaturesDict(
            _clip_features(sets.get(config.dataset)) | _FEATURES[config.kind_name]()
        )

    def _download_and_prepare(self, dl_manager, download_config):
        # TFDS has a manual folder for every build, given or not: only a given one is meant.
        self._manual_dir = download_config.manual_dir
        self._skipped: dict[str, dict[str, str]] = defaultdict(dict)
        self._clip_beam = _beam_module(download_config)
        self._notes: epath.Path | None = None
        with _flat_memory(), _no_bar():
            try:
                super()._download_and_prepare(dl_manager, download_config)
            finally:  # a pipeline that failed too: what a worker noted says why
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
        # One split: who is train and who is test is a matter of the protocol, at reading time.
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        """The keys and examples: an iterator, or a transform of Beam where that is asked for."""
        config = self.builder_config
        chosen = self._selection.recordings
        work = partial(clips.work, kind=config.kind_name, options=config.options)
        if self._clip_beam is None:
            return self._examples(work)
        title = f"building {self.name}/{config.name} with Apache Beam: {len(chosen)} clips"
        print(title, file=sys.stderr)
        self._notes = self.data_path / "notes"
        self._notes.mkdir()
        return self._clip_beam.Examples(chosen, work, config.strict, self._notes)

    def _examples(
        self, work: Callable[[recordings.Recording], clips.Outcome]
    ) -> Iterator[tuple[str, dict]]:
        config = self.builder_config
        chosen = self._selection.recordings
        with (
            Progress(len(chosen), f"building {self.name}/{config.name}", "clips") as progress,
            contextlib.closing(parallel.ordered_map(work, chosen, config.workers)) as outcomes,
        ):
            for outcome in outcomes:
                if outcome.problem:
                    self._skip(outcome)
                yield from keyed_examples(outcome)
                progress.update()
        self._check_usable()

    def _read_notes(self) -> None:
        """Takes over what Beam's workers noted, and removes it from the data."""
        if self._notes is None:
            return
        for outcome in self._clip_beam.problems(self._notes):
            self._skip(outcome)
        self._check_usable()
        self._notes.rmtree()

    def _skip(self, outcome: clips.Outcome) -> None:
        if self.builder_config.strict:
            raise refusal(outcome)
        self._skipped[outcome.problem.kind][outcome.name] = outcome.problem.detail

    def _check_usable(self) -> None:
        total = len(self._selection.recordings)
        if sum(map(len, self._skipped.values())) == total:
            raise errors.UserError(
                f"none of {total} recordings can be used: {_kinds_and_names(self._skipped)}"
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
            lines[0] += "; not wanted: " + ", ".join(
                f"{n} {what}" for what, n in self._selection.left_out.items()
            )
        for kind, names in sorted(self._skipped.items()):
            lines += [f"  skipped, {kind}: {n} ({detail})" for n, detail in sorted(names.items())]
        for kind, names in self._selection.mismatches.items():
            lines.append(f"  {kind}: {len(names)}")
            lines += [f"    {name} ({detail})" for name, detail in names.items()]
        return "\n".join(lines)


def keyed_examples(outcome: clips.Outcome) -> Iterator[tuple[str, dict]]:
    """The examples of a recording, each with the key that TFDS sorts by."""
    for example in outcome.examples:
        yield f"{example['clip']}/{example.get('view', 0)}", example


def refusal(outcome: clips.Outcome) -> errors.UserError:
    """The error for a recording that cannot be used, where `strict` forbids that."""
    return errors.UserError(f"{outcome.name} cannot be used: {outcome.problem}")


def _beam_module(download_config: tfds.download.DownloadConfig) -> ModuleType | None:
    """clip_beam if the build is asked for with Beam, which is imported for that only."""
    if download_config.beam_options is None and download_config.beam_runner is None:
        return None
    if download_config.max_examples_per_split is not None:
        raise errors.UserError(
            "max_examples_per_split cannot be had with Apache Beam, which builds all examples: "
            "leave out one of the two"
        )
    try:
        from tfds_builders import clip_beam
    except ModuleNotFoundError as e:
        raise errors.UserError(
            f"building with Apache Beam needs a package that is not here ({e.name}): "
            "pip install mmer-jax[build]"
        ) from e
    return clip_beam


def _clip_features(data_set: sets.DataSet) -> dict:
    """What is known of a clip, in every builder config."""
    return {
        "label": tfds.features.ClassLabel(names=list(data_set.emotions)),
        "clip": tfds.features.Text(),
        "subject": tfds.features.Text(),
        "gender": tfds.features.ClassLabel(names=list(recordings.GENDERS)),
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


def _kinds_and_names(skipped: Mapping[str, Mapping[str, str]]) -> str:
    return "; ".join(f"{kind}: {', '.join(sorted(names))}" for kind, names in skipped.items())


@contextlib.contextmanager
def _flat_memory() -> Iterator[None]:
    """Makes TFDS sort examples on disk early, with few files open at a time."""
    kept = shuffle.MAX_MEM_BUFFER_SIZE, shuffle.BUCKETS_NUMBER
    shuffle.MAX_MEM_BUFFER_SIZE, shuffle.BUCKETS_NUMBER = _SORTED_IN_MEMORY, _SORT_FILES
    try:
        yield
    finally:
        shuffle.MAX_MEM_BUFFER_SIZE, shuffle.BUCKETS_NUMBER = kept


@contextlib.contextmanager
def _no_bar() -> Iterator[None]:
    """Without TFDS's bar, which does not know how many clips there are."""
    shown = tqdm_utils._active
    tfds.display_progress_bar(False)
    try:
        yield
    finally:
        tfds.display_progress_bar(shown)

"""Building TFDS data sets and reading them as numpy; the only module that imports TFDS."""

import contextlib
import dataclasses
import fcntl
import importlib
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

# Before TensorFlow is imported: it tells every user about CPU instructions otherwise.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging as absl_logging

from mmer_jax import errors
from mmer_jax.corpora import sets
from mmer_jax.datasets import clips

# Data set, by its name in sets.SETS -> the module with its TFDS builder. One builder may have
# several data sets, apart by what the names of its builder configs begin with.
BUILDERS = {
    "ravdess": "tfds_builders.ravdess.ravdess_dataset_builder",
    "baum1_acted": "tfds_builders.baum1.baum1_dataset_builder",
    "baum1_spontaneous": "tfds_builders.baum1.baum1_dataset_builder",
}

# TensorFlow reads files here. It must leave accelerators to JAX, which shares the process.
with contextlib.suppress(RuntimeError):  # the program has used TensorFlow before: its own choice
    tf.config.set_visible_devices([], "GPU")


@dataclasses.dataclass(frozen=True)
class BuiltSet:
    """A data set on disk.

    Attributes:
      data_dir: the folder of this builder config and version.
      dataset: one of BUILDERS.
      builder_config: "triplets", "frames" or "speech"; with a digest if options are not the
        default.
      version: of the builder.
      examples: how many there are.
      features: names of the features.
      metadata: dataset, builder_config (without digest), options, origin ("recorded",
        "rendered"), source (digest, recordings, left_out), skipped (kind -> names of those that
        give no example), mismatches (kind -> names where recordings and list of labels differ).
    """

    data_dir: Path
    dataset: str
    builder_config: str
    version: str
    examples: int
    features: tuple[str, ...]
    metadata: dict


def ensure_built(
    dataset: str = "ravdess",
    builder_config: str = "triplets",
    options: Mapping | None = None,
    *,
    data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None,
    download: bool = False,
    strict: bool = False,
    workers: int | None = None,
) -> BuiltSet:
    """The built data set: opened if it is there, else built.

    Args:
      dataset: one of BUILDERS.
      builder_config: "triplets", "frames" or "speech".
      options: values for fields of datasets.clips.Options. Those that come into play when a pack
        is made (the audio's, for speech) are passed over here.
      data_dir: where built sets are; None for TFDS's own place (~/tensorflow_datasets).
      manual_dir: folder with the recordings.
      download: whether the recordings may be downloaded.
      strict: a recording that cannot be used is an error.
      workers: processes; None for one a core.

    Raises:
      UserError: nothing is built and neither manual_dir nor download is given; manual_dir holds no
        such recordings, or others than the built set was made from; no recording can be used; an
        unknown option.
    """
    config_class, builder_class = _builder_classes(dataset)
    config = _make_config(
        config_class, dataset, builder_config, dict(options or {}), strict, workers
    )
    with _quiet():
        place = {} if data_dir is None else {"data_dir": Path(data_dir).expanduser()}
        builder = builder_class(config=config, **place)
    target = Path(builder.data_dir)
    with _lock(target):
        # Asked again under the lock: another process may have built it meanwhile.
        if not target.exists():
            if manual_dir is None and not (download and sets.get(dataset).downloadable):
                raise _nothing_built(target, dataset)
            _clear_unfinished(target)
            manual = None if manual_dir is None else Path(manual_dir).expanduser()
            with _quiet():
                builder.download_and_prepare(
                    download_config=tfds.download.DownloadConfig(manual_dir=manual)
                )
    built = open_built(target)
    if strict and built.metadata["skipped"]:
        raise errors.UserError(
            f"{target} was built without recordings that cannot be used "
            f"({_counts(built.metadata['skipped'])}), which strict forbids: mend them and delete "
            "that folder"
        )
    if manual_dir is not None:
        _check_source(built, manual_dir, config)
    return built


def open_built(data_dir: str | os.PathLike) -> BuiltSet:
    """The built set in a folder such as DATA_DIR/ravdess/triplets/1.0.0.

    Raises:
      UserError: there is none.
    """
    data_dir = Path(data_dir).expanduser()
    if not (data_dir / "dataset_info.json").exists():
        raise errors.UserError(f"{data_dir} holds no built data set (no dataset_info.json)")
    with _quiet():
        builder = tfds.builder_from_directory(data_dir)
    metadata = dict(builder.info.metadata.items())
    _, sign, digest = builder.info.config_name.partition("-")
    return BuiltSet(
        data_dir=data_dir,
        # Sets that were built when there was but one do not say which.
        dataset=metadata.get("dataset", builder.name),
        builder_config=metadata["builder_config"] + sign + digest,
        version=str(builder.version),
        examples=builder.info.splits["train"].num_examples,
        features=tuple(builder.info.features),
        metadata=metadata,
    )


def read(built: BuiltSet, features: Iterable[str] | None = None) -> Iterator[dict]:
    """Yields the examples in the order in which they are stored.

    Args:
      built: from ensure_built.
      features: which ones to decode; None for all. Images that are not asked for cost nothing.

    Returns:
      dicts, feature -> numpy array or number; text and class labels as str.
    """
    names = list(built.features if features is None else features)
    for name in names:
        if name not in built.features:
            raise errors.unknown("feature", name, built.features)
    with _quiet():
        builder = tfds.builder_from_directory(built.data_dir)
        known = {name: builder.info.features[name] for name in names}
        if builder.info.file_format.value in _RANDOM_ACCESS:
            left_out = set(built.features) - set(names)
            decoders = dict.fromkeys(left_out, tfds.decode.SkipDecoding())
            examples = iter(builder.as_data_source("train", decoders=decoders))
        else:
            decoders = tfds.decode.PartialDecoding(dict.fromkeys(names, True))
            read_config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
            examples = tfds.as_numpy(
                builder.as_dataset(split="train", decoders=decoders, read_config=read_config)
            )
    for example in examples:
        yield {name: _plain(example[name], known[name]) for name in names}


# File formats that as_data_source reads and as_dataset does not.
_RANDOM_ACCESS = ("array_record",)


def _plain(value, feature):
    if isinstance(feature, tfds.features.ClassLabel):
        return feature.int2str(int(value))
    if isinstance(feature, tfds.features.Text):
        return value.decode() if isinstance(value, bytes) else str(value)
    return value if isinstance(value, np.ndarray) and value.ndim else np.asarray(value)[()]


def _builder_classes(dataset: str) -> tuple[type, type]:
    if dataset not in BUILDERS:
        raise errors.unknown("data set", dataset, BUILDERS)
    module = importlib.import_module(BUILDERS[dataset])
    return module.Builder.builder_config_cls, module.Builder


def _make_config(
    config_class, dataset: str, kind: str, options: dict, strict: bool, workers: int | None
):
    fields = {f.name for f in dataclasses.fields(config_class)}
    fields -= {f.name for f in dataclasses.fields(tfds.core.BuilderConfig)} | {"strict", "workers"}
    for option in options:
        if option not in fields:
            raise errors.unknown("build option", option, sorted(fields))
    if kind not in clips.KINDS:
        raise errors.unknown("builder config", kind, clips.KINDS)
    options = {k: v for k, v in options.items() if k not in clips.KINDS[kind].packed}
    name = config_class.DATASETS[dataset] + kind
    return config_class(name=name, strict=strict, workers=workers, **options)


def _nothing_built(target: Path, dataset: str) -> errors.UserError:
    downloading, help_ = "allow their download with --config.data.download, ", ""
    if not sets.get(dataset).downloadable:
        downloading, help_ = "", f". {sets.get(dataset).how_to_get}"
    return errors.UserError(
        f"nothing is built in {target}: name the folder of the recordings with "
        f"--config.data.manual_dir=DIR, {downloading}or train from a pack alone with "
        f"--config.data.pack=FILE_OR_DIR{help_}"
    )


def _check_source(built: BuiltSet, manual_dir: str | os.PathLike, config) -> None:
    made_from = built.metadata["source"]
    found = config.select(manual_dir)
    if found.digest() != made_from["digest"]:
        raise errors.UserError(
            f"{built.data_dir} was built from {made_from['recordings']} other recordings than the "
            f"{len(found.recordings)} in {manual_dir} (names, sizes or labels differ): choose "
            "another --config.data.data_dir, or delete that folder to have it built again"
        )


def _counts(skipped: Mapping[str, list[str]]) -> str:
    return ", ".join(f"{len(names)} {kind}" for kind, names in skipped.items())


def _clear_unfinished(target: Path) -> None:
    """Removes what killed builds left; under the lock nobody else is building here."""
    for folder in target.parent.glob(f"incomplete.*_{target.name}"):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without TFDS's own words (unknown sizes, the folder not being there yet); errors pass."""
    level = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl_logging.set_verbosity(level)


@contextlib.contextmanager
def _lock(target: Path) -> Iterator[None]:
    """Lets one process at a time build `target`; a process that ends in any way frees it."""
    if target.exists():  # built sets are not written to again, and may lie on a read-only disk
        yield
        return
    file = target.parent.parent / f".{target.parent.name}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield

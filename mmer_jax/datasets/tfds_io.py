"""Builds TFDS datasets and reads them as numpy; the only module of mmer_jax that imports TFDS."""

import contextlib
import dataclasses
import importlib
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

# Must be set before TensorFlow is imported, which otherwise logs the CPU instructions it uses.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging as absl_logging

from mmer_jax import errors
from mmer_jax.corpora import sets
from mmer_jax.datasets import clips
from mmer_jax.utils import files

# Name of a dataset, a key of sets.SETS -> module with its TFDS builder. Datasets that share a
# builder differ in the prefix of the names of their builder configs.
BUILDERS = {
    "ravdess": "tfds_builders.ravdess.ravdess_dataset_builder",
    "baum1_acted": "tfds_builders.baum1.baum1_dataset_builder",
    "baum1_spontaneous": "tfds_builders.baum1.baum1_dataset_builder",
}

# TensorFlow only reads files here; accelerators are left to JAX, which shares the process.
with contextlib.suppress(RuntimeError):  # raised if TensorFlow is already initialized
    tf.config.set_visible_devices([], "GPU")


@dataclasses.dataclass(frozen=True)
class BuiltSet:
    """A built dataset on disk.

    Attributes:
      data_dir: Folder of this builder config and version.
      dataset: Name of the dataset, a key of BUILDERS.
      builder_config: "triplets", "frames" or "speech", followed by "-" and a digest of the options
        if these differ from the defaults.
      version: Version of the builder.
      examples: Number of examples.
      features: Names of the features.
      metadata: A dict with the keys dataset, builder_config (without digest), options, origin
        ("recorded" or "rendered"), source (a dict of digest, recordings, left_out), skipped (kind
        of problem -> names of recordings without an example), and mismatches (kind of mismatch
        between recordings and list of labels -> names of clips).
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
    """Opens a built dataset, and builds it first if it does not exist.

    Args:
      dataset: Name of the dataset, a key of BUILDERS.
      builder_config: "triplets", "frames" or "speech".
      options: Field of datasets.clips.Options -> value; None for the defaults. Options that apply
        when a pack is made (for `speech`, the strengths of the audio augmentations) are ignored.
      data_dir: Folder of built datasets; None for the default of TFDS (~/tensorflow_datasets).
      manual_dir: Folder of the recordings.
      download: Whether the recordings may be downloaded.
      strict: Whether a recording that cannot be used is an error; it is skipped otherwise.
      workers: Number of processes; None for one per core.

    Returns:
      The built dataset.

    Raises:
      UserError: The dataset is not built and there is neither `manual_dir` nor `download`;
        `manual_dir` has no recordings of the dataset, or others than the built dataset was made
        from; no recording can be used, or with `strict` one cannot; or a name or an option is
        unknown.
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
        # Another process may have built it while this one waited for the lock.
        if not target.exists():
            if manual_dir is None and not (download and sets.get(dataset).downloadable):
                raise _not_built(target, dataset)
            _remove_incomplete(target)
            manual = None if manual_dir is None else Path(manual_dir).expanduser()
            with _quiet():
                builder.download_and_prepare(
                    download_config=tfds.download.DownloadConfig(manual_dir=manual)
                )
    built = open_built(target)
    if strict and built.metadata["skipped"]:
        raise errors.UserError(
            f"{target} was built without recordings that cannot be used "
            f"({_format_counts(built.metadata['skipped'])}), which strict forbids: repair them and "
            "delete that folder to build it again"
        )
    if manual_dir is not None:
        _check_source(built, manual_dir, config)
    return built


def open_built(data_dir: str | os.PathLike) -> BuiltSet:
    """Opens a built dataset.

    Args:
      data_dir: Folder of the built dataset, such as DATA_DIR/ravdess/triplets/1.0.0.

    Raises:
      UserError: `data_dir` is not the folder of a built dataset.
    """
    data_dir = Path(data_dir).expanduser()
    if not (data_dir / "dataset_info.json").exists():
        raise errors.UserError(f"{data_dir} is not a built dataset: it has no dataset_info.json")
    with _quiet():
        builder = tfds.builder_from_directory(data_dir)
    metadata = dict(builder.info.metadata.items())
    _, separator, digest = builder.info.config_name.partition("-")
    return BuiltSet(
        data_dir=data_dir,
        # Datasets built by the first version do not record their name.
        dataset=metadata.get("dataset", builder.name),
        builder_config=metadata["builder_config"] + separator + digest,
        version=str(builder.version),
        examples=builder.info.splits["train"].num_examples,
        features=tuple(builder.info.features),
        metadata=metadata,
    )


def read(built: BuiltSet, features: Iterable[str] | None = None) -> Iterator[dict]:
    """Reads the examples in the order in which they are stored.

    Args:
      built: Built dataset, from ensure_built.
      features: Names of the features to decode; None for all.

    Yields:
      One dict per example: feature -> numpy array or scalar; texts and class labels are str.

    Raises:
      UserError: A feature is unknown.
    """
    names = list(built.features if features is None else features)
    for name in names:
        if name not in built.features:
            raise errors.unknown("feature", name, built.features)
    with _quiet():
        builder = tfds.builder_from_directory(built.data_dir)
        types = {name: builder.info.features[name] for name in names}
        if builder.info.file_format.value in _RANDOM_ACCESS:
            skipped = set(built.features) - set(names)
            decoders = dict.fromkeys(skipped, tfds.decode.SkipDecoding())
            examples = iter(builder.as_data_source("train", decoders=decoders))
        else:
            decoders = tfds.decode.PartialDecoding(dict.fromkeys(names, True))
            read_config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
            examples = tfds.as_numpy(
                builder.as_dataset(split="train", decoders=decoders, read_config=read_config)
            )
    for example in examples:
        yield {name: _to_numpy(example[name], types[name]) for name in names}


# File formats that are read with as_data_source; all others are read with as_dataset.
_RANDOM_ACCESS = ("array_record",)


def _to_numpy(value, feature):
    if isinstance(feature, tfds.features.ClassLabel):
        return feature.int2str(int(value))
    if isinstance(feature, tfds.features.Text):
        return value.decode() if isinstance(value, bytes) else str(value)
    return value if isinstance(value, np.ndarray) and value.ndim else np.asarray(value)[()]


def _builder_classes(dataset: str) -> tuple[type, type]:
    if dataset not in BUILDERS:
        raise errors.unknown("dataset", dataset, BUILDERS)
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
    options = {k: v for k, v in options.items() if k not in clips.KINDS[kind].pack_options}
    name = config_class.DATASETS[dataset] + kind
    return config_class(name=name, strict=strict, workers=workers, **options)


def _not_built(target: Path, dataset: str) -> errors.UserError:
    corpus = sets.get(dataset)
    download = "allow the download with --config.data.download, " if corpus.downloadable else ""
    how_to_get = "" if corpus.downloadable else f". {corpus.how_to_get}"
    return errors.UserError(
        f"nothing is built in {target}: name the folder of the recordings with "
        f"--config.data.manual_dir=DIR, {download}or train from a pack alone with "
        f"--config.data.pack=FILE_OR_DIR{how_to_get}"
    )


def _check_source(built: BuiltSet, manual_dir: str | os.PathLike, config) -> None:
    source = built.metadata["source"]
    selected = config.select(manual_dir)
    if selected.digest() != source["digest"]:
        raise errors.UserError(
            f"{built.data_dir} was built from {source['recordings']} recordings other than the "
            f"{len(selected.recordings)} in {manual_dir} (names, sizes or labels differ): choose "
            "another --config.data.data_dir, or delete that folder to build it again"
        )


def _format_counts(skipped: Mapping[str, list[str]]) -> str:
    return ", ".join(f"{len(names)} {kind}" for kind, names in skipped.items())


def _remove_incomplete(target: Path) -> None:
    """Removes the folders of killed builds; the lock excludes builds in progress."""
    for folder in target.parent.glob(f"incomplete.*_{target.name}"):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the messages of TFDS (unknown sizes, missing folders) in a block; errors pass."""
    level = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl_logging.set_verbosity(level)


def _lock(target: Path) -> contextlib.AbstractContextManager:
    """Returns a lock that lets one process at a time build `target`."""
    if target.exists():  # built datasets never change, and may be on a read-only disk
        return contextlib.nullcontext()
    path = target.parent.parent / f".{target.parent.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return files.lock(path)

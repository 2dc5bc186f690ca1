"""Opens the packs of a config; makes them from built datasets, recordings or rendered clips."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import ml_collections
import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.config import identity, resolve
from mmer_jax.datasets import pack, selection, storage
from mmer_jax.utils.progress import Progress

# Fields of `data` that only affect how a pack is read: config rows that share a pack may differ in
# them.
_READING_FIELDS = ("emotions", "intensities", "audio_variants", "one_spectrogram", "picked")


def open_packs(
    config: ml_collections.ConfigDict,
    rows: Mapping[str, ml_collections.ConfigDict],
    workdir: pathlib.Path,
) -> dict[str, pack.Pack]:
    """Opens the pack that each config row is trained and tested on.

    Config rows with the same data share a pack.

    Args:
      config: The whole config. The rendered clips depend on all of its rows, so that running one
        row and then another uses the same clips.
      rows: Name of a config row -> its resolved config, for the rows to run.
      workdir: Folder where clips are rendered and their dataset is built, if the config renders.

    Returns:
      Name of a config row -> pack.

    Raises:
      UserError: There are no data to train on, or the data do not match the config.
    """
    all_rows = {name: resolve.resolve_row(config, name) for name in config.rows} | dict(rows)
    all_sources = [source for resolved in all_rows.values() for source in _sources(resolved)]
    requested = [source for resolved in rows.values() for source in _sources(resolved)]
    opened: dict[str, pack.Pack] = {}
    packs = {}
    for name, resolved in rows.items():
        sources = _sources(resolved)
        if len(sources) > 1:
            _check_labels(sources)
        for source in sources:
            key = _key(source)
            if key not in opened:
                _check_location(config, source)
                shared = [s for s in all_sources if _key(s) == key]
                opened[key] = _open(
                    source,
                    workdir,
                    names=[m for s in requested if _key(s) == key for m in s.modalities],
                    emotions=list(dict.fromkeys(e for s in shared for e in s.data.emotions)),
                    intensities=list(dict.fromkeys(i for s in shared for i in s.data.intensities)),
                )
        pairs = [(source, opened[_key(source)]) for source in sources]
        packs[name] = _join(pairs) if len(pairs) > 1 else pairs[0][1]
    return packs


def select_indices(data: pack.Pack, config: ml_collections.ConfigDict) -> np.ndarray:
    """Selects the examples of a pack that a config row uses.

    Args:
      data: A pack, or two joined packs.
      config: Resolved config of the row.

    Returns:
      Indices into the pack's table, int64 [n], ascending.

    Raises:
      UserError: There is no example of a requested emotion, intensity or audio variant.
    """
    return selection.select_indices(
        data.table,
        emotions=config.data.emotions,
        # Two datasets have different intensities, which were selected before the packs were joined.
        intensities=() if pack.ROLE in data.table else config.data.intensities,
        audio_variants=config.data.audio_variants,
    )


def _sources(config: ml_collections.ConfigDict) -> list[ml_collections.ConfigDict]:
    """Returns one config per dataset: the config, and one whose `data` describe the test dataset.

    The second config exists only if `test_data` names a dataset.
    """
    if config.test_data.dataset is None:
        return [config]
    test = config.copy_and_resolve_references()
    for field, value in config.test_data.items():
        test.data[field] = value
    return [config, test]


def _check_location(config: ml_collections.ConfigDict, source: ml_collections.ConfigDict) -> None:
    """Checks that the config says where to find a dataset, if the config has several datasets."""
    data = source.data
    if data.dataset not in config.get("sets", ()) or data.rendered.enabled:
        return
    if not (data.manual_dir or data.pack or data.data_dir or data.download):
        raise errors.UserError(
            f"the config needs {data.dataset} too: name the folder of its recordings with "
            f"--config.sets.{data.dataset}.manual_dir=DIR, of its built dataset with "
            f"--config.sets.{data.dataset}.data_dir=DIR, or a pack with "
            f"--config.sets.{data.dataset}.pack=DIR"
        )


def _key(config: ml_collections.ConfigDict) -> str:
    data = {k: v for k, v in config.data.to_dict().items() if k not in _READING_FIELDS}
    return json.dumps(data, sort_keys=True)


def _join(pairs: Sequence[tuple[ml_collections.ConfigDict, pack.Pack]]) -> pack.Pack:
    """Joins two packs: the first to train on, the second to test on."""
    configs = [config for config, _ in pairs]
    _check_shared(configs, [_list_emotions(config, data) for config, data in pairs])
    emotions = configs[0].data.emotions
    train, test = (
        (
            data,
            selection.select_indices(
                data.table, emotions=emotions, intensities=config.data.intensities
            ),
        )
        for config, data in pairs
    )
    return pack.join(train, test)


def _list_emotions(config: ml_collections.ConfigDict, data: pack.Pack) -> set[str]:
    """Returns the emotions that a pack has at the intensities of the config."""
    selected = np.ones(len(data.table["clip"]), bool)
    if config.data.intensities:
        selected = np.isin(data.table["intensity"], list(config.data.intensities))
    return set(data.table["emotion"][selected].tolist())


def _check_labels(configs: Sequence[ml_collections.ConfigDict]) -> None:
    """Checks that two datasets share the config's emotions, before a long build of either."""
    if any(config.data.pack for config in configs):
        return  # a machine that trains from packs may lack the packages that mmer_jax.corpora needs
    from mmer_jax.corpora import sets

    _check_shared(configs, [set(sets.get(config.data.dataset).emotions) for config in configs])


def _check_shared(
    configs: Sequence[ml_collections.ConfigDict], emotions: Sequence[set[str]]
) -> None:
    shared = set.intersection(*emotions)
    if missing := [emotion for emotion in configs[0].data.emotions if emotion not in shared]:
        raise errors.UserError(
            f"{' and '.join(config.data.dataset for config in configs)} do not both have "
            f"{', '.join(missing)}; the emotions that they share: {', '.join(sorted(shared))} "
            "(--config.data.emotions)"
        )


def _open(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    names: Iterable[str],
    emotions: Sequence[str],
    intensities: Sequence[str],
) -> pack.Pack:
    """Opens a pack. If it does not exist, renders and builds the dataset as needed and makes it.

    Args:
      config: Resolved config of a row.
      workdir: Folder where clips are rendered and their dataset is built, if the config renders.
      names: Names of the modalities, possibly repeated.
      emotions: Emotions to render.
      intensities: Intensities to render; empty for the renderer's default.
    """
    names = [m.name for m in modalities.get(dict.fromkeys(names))]
    if config.data.pack:
        opened = pack.open_pack(config.data.pack, names)
        _check_pack(opened, config)
        return opened
    try:
        from mmer_jax.datasets import packing, tfds_io
        from mmer_jax.media.augment import AudioAmounts
    except ModuleNotFoundError as e:
        raise errors.UserError(
            f"building a dataset needs the package {e.name}, which is not installed. Install "
            "mmer-jax[data], or train from a pack made elsewhere: --config.data.pack=FOLDER"
        ) from e
    packing.check_request(config.data.builder, names, config.data.size)  # before a long build
    kind = config.data.get("pack_storage", "")  # missing in the configs of old records
    storage.validate(kind)
    manual_dir, data_dir = config.data.manual_dir, config.data.data_dir
    if config.data.rendered.enabled and not manual_dir:
        manual_dir = _render(config, workdir, emotions, intensities)
        data_dir = data_dir or workdir / "data"
    built = tfds_io.ensure_built(
        dataset=config.data.dataset,
        builder_config=config.data.builder,
        options=config.data.build.to_dict(),
        data_dir=data_dir,
        manual_dir=manual_dir,
        download=config.data.download,
        strict=config.run.strict,
        workers=config.run.workers,
    )
    amounts = {f.name: config.data.build.get(f.name) for f in dataclasses.fields(AudioAmounts)}
    path = packing.make_pack(
        built,
        names,
        config.data.size,
        audio=AudioAmounts(**{name: a for name, a in amounts.items() if a is not None}),
        mask_background=config.data.mask_background,
        workers=config.run.workers,
        kind=kind,
    )
    return pack.open_pack(path, names)


def _check_pack(opened: pack.Pack, config: ml_collections.ConfigDict) -> None:
    """Checks that a pack was made with the options of the config."""
    info = opened.info
    expected = {
        f"data.{name}": config.data[name]
        for name in ("dataset", "builder", "size", "mask_background")
    }
    actual = {
        "data.dataset": info["dataset"],
        "data.size": info["size"],
        "data.builder": info["builder_config"].partition("-")[0],
        "data.mask_background": info["options"].get("mask_background", False),
    }
    options = _build_options(config)
    for option, value in info["options"].items():
        if option in options:
            actual[f"data.build.{option}"] = value
            expected[f"data.build.{option}"] = options[option]
    different = [field for field in actual if expected[field] != actual[field]]
    if different:
        flags = " ".join(f"--config.{field}={actual[field]}" for field in different)
        raise errors.UserError(
            f"the pack {opened.path} was not made with the options of the config; to train from "
            f"it add {flags}"
        )


def _build_options(config: ml_collections.ConfigDict) -> dict:
    """Returns the build options in the form that packs store: files as digests of their content."""
    options = config.data.build.to_dict()
    for field in identity.FILE_FIELDS:
        option = field.removeprefix("data.build.")
        if options.get(option):
            options[option] = identity.file_digest(options[option], field)
    return options


def _render(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    emotions: Sequence[str],
    intensities: Sequence[str],
) -> pathlib.Path:
    """Renders the clips of the config's dataset; returns the folder of the clips."""
    from mmer_jax import synthetic

    fields = {k: v for k, v in config.data.rendered.items() if k != "enabled"}
    folder = workdir / "clips" / config.data.dataset
    if config.data.dataset not in synthetic.RENDERERS:
        raise errors.unknown("dataset to render", config.data.dataset, synthetic.RENDERERS)
    with Progress(None, "rendering", "clips") as progress:

        def on_clip(done: int, total: int) -> None:
            progress.total = total
            progress.update(done - progress.done)

        synthetic.RENDERERS[config.data.dataset](
            folder,
            **fields,
            emotions=emotions,
            intensities=intensities,
            workers=config.run.workers,
            progress=on_clip,
        )
    return folder

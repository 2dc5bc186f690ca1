"""Where a config's examples come from: a pack, a built data set, recordings, or rendered clips."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping

import ml_collections
import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.config import identity, resolve
from mmer_jax.datasets import pack, selection, storage
from mmer_jax.utils.progress import Progress

# Fields of `data` that are about reading a pack, and differ between rows that share one.
_READING = ("emotions", "intensities", "audio_variants", "one_spectrogram", "picked")


def open_rows(
    config: ml_collections.ConfigDict,
    rows: Mapping[str, ml_collections.ConfigDict],
    workdir: pathlib.Path,
) -> dict[str, pack.Pack]:
    """What each row is trained and tested on. Rows with the same data share a pack.

    Args:
      config: as loaded; all of its rows decide what is rendered, so that running one row and then
        another finds the same clips.
      rows: the rows asked for -> their configs.
      workdir: where clips are rendered and their data set is built, if the config renders.

    Raises:
      UserError: there is nothing to train from, or it is not what the config says.
    """
    every = {name: resolve.resolve_row(config, name) for name in config.rows} | dict(rows)
    needs = [part for resolved in every.values() for part in _parts(resolved)]
    opened: dict[str, pack.Pack] = {}
    packs = {}
    for name, resolved in rows.items():
        parts = []
        if len(_parts(resolved)) > 1:
            _check_labels(_parts(resolved))
        for part in _parts(resolved):
            key = _key(part)
            if key not in opened:
                _check_place(config, part)
                shared = [p for p in needs if _key(p) == key]
                wanted = [p for r in rows.values() for p in _parts(r) if _key(p) == key]
                opened[key] = _open(
                    part,
                    workdir,
                    names=[m for p in wanted for m in p.modalities],
                    emotions=list(dict.fromkeys(e for p in shared for e in p.data.emotions)),
                    intensities=list(dict.fromkeys(i for p in shared for i in p.data.intensities)),
                )
            parts.append((part, opened[key]))
        packs[name] = _join(parts) if len(parts) > 1 else parts[0][1]
    return packs


def wanted_rows(data: pack.Pack, config: ml_collections.ConfigDict) -> np.ndarray:
    """The rows of a pack, or of two joined, that a row of the config speaks of; int64 [n]."""
    return selection.wanted_rows(
        data.table,
        emotions=config.data.emotions,
        # Two sets have their own intensities: each was chosen before they were joined.
        intensities=() if pack.ROLE in data.table else config.data.intensities,
        audio_variants=config.data.audio_variants,
    )


def _parts(config: ml_collections.ConfigDict) -> list[ml_collections.ConfigDict]:
    """The config itself, and for two data sets a second one that speaks of the other."""
    if config.test_data.dataset is None:
        return [config]
    other = config.copy_and_resolve_references()
    for field, value in config.test_data.items():
        other.data[field] = value
    return [config, other]


def _check_place(config, part) -> None:
    """Says how a set is named where a config speaks of several."""
    data = part.data
    if data.dataset not in config.get("sets", ()) or data.rendered.enabled:
        return
    if not (data.manual_dir or data.pack or data.data_dir or data.download):
        raise errors.UserError(
            f"{data.dataset} is needed too: name the folder of its recordings with "
            f"--config.sets.{data.dataset}.manual_dir=DIR, of its built set with "
            f"--config.sets.{data.dataset}.data_dir=DIR, or a pack with "
            f"--config.sets.{data.dataset}.pack=DIR"
        )


def _key(config: ml_collections.ConfigDict) -> str:
    data = {k: v for k, v in config.data.to_dict().items() if k not in _READING}
    return json.dumps(data, sort_keys=True)


def _join(parts) -> pack.Pack:
    """Two packs as one: the first to train on, the second to test on."""
    _check_shared([part for part, _ in parts], [_emotions_shown(*pair) for pair in parts])
    asked = parts[0][0].data.emotions
    train, test = (
        (
            found,
            selection.wanted_rows(found.table, emotions=asked, intensities=part.data.intensities),
        )
        for part, found in parts
    )
    return pack.join(train, test)


def _emotions_shown(config, data: pack.Pack) -> set[str]:
    shown = np.ones(len(data.table["clip"]), bool)
    if config.data.intensities:
        shown = np.isin(data.table["intensity"], list(config.data.intensities))
    return set(data.table["emotion"][shown].tolist())


def _check_labels(parts) -> None:
    """Refuses two sets that cannot share the emotions, before a long build of either."""
    if any(part.data.pack for part in parts):
        return  # a machine with packs alone may lack what knows the sets
    from mmer_jax.corpora import sets

    _check_shared(parts, [set(sets.get(part.data.dataset).emotions) for part in parts])


def _check_shared(parts, held: list[set[str]]) -> None:
    shared = set.intersection(*held)
    if missing := [emotion for emotion in parts[0].data.emotions if emotion not in shared]:
        raise errors.UserError(
            f"{' and '.join(part.data.dataset for part in parts)} do not both have "
            f"{', '.join(missing)}; the emotions that they share: {', '.join(sorted(shared))} "
            "(--config.data.emotions)"
        )


def _open(config, workdir: pathlib.Path, names: Iterable[str], emotions, intensities) -> pack.Pack:
    wanted = [m.name for m in modalities.get(dict.fromkeys(names))]
    if config.data.pack:
        found = pack.open_pack(config.data.pack, wanted)
        _check_pack(found, config)
        return found
    try:
        from mmer_jax.datasets import packing, tfds_io
        from mmer_jax.media.augment import AudioAmounts
    except ModuleNotFoundError as e:
        raise errors.UserError(
            f"building a data set needs the package {e.name}, which is not installed here. Install "
            "mmer-jax[data], or train from a pack made elsewhere: --config.data.pack=FOLDER"
        ) from e
    packing.check(config.data.builder, wanted, config.data.size)  # before a long build
    kind = config.data.get("pack_storage", "")  # which configs of older records lack
    storage.check(kind)
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
        wanted,
        config.data.size,
        audio=AudioAmounts(**{name: a for name, a in amounts.items() if a is not None}),
        mask_background=config.data.mask_background,
        workers=config.run.workers,
        kind=kind,
    )
    return pack.open_pack(path, wanted)


def _check_pack(found: pack.Pack, config) -> None:
    """Refuses a pack that was made in another way than the config says."""
    info = found.info
    asked = {"data.dataset": config.data.dataset, "data.builder": config.data.builder}
    asked["data.size"] = config.data.size
    asked["data.mask_background"] = config.data.mask_background
    holds = {"data.dataset": info["dataset"], "data.size": info["size"]}
    holds["data.builder"] = info["builder_config"].partition("-")[0]
    holds["data.mask_background"] = info["options"].get("mask_background", False)
    told = _as_told(config)
    for option, value in info["options"].items():
        if option in told:
            holds[f"data.build.{option}"] = value
            asked[f"data.build.{option}"] = told[option]
    wrong = [field for field in holds if asked[field] != holds[field]]
    if wrong:
        flags = " ".join(f"--config.{field}={holds[field]}" for field in wrong)
        raise errors.UserError(
            f"the pack {found.path} was made in another way than the config says; to train from "
            f"it add {flags}"
        )


def _as_told(config) -> dict:
    """The build options as a pack tells them: a file by its content."""
    told = config.data.build.to_dict()
    for name in identity.FILE_FIELDS:
        option = name.removeprefix("data.build.")
        if told.get(option):
            told[option] = identity.file_digest(told[option], name)
    return told


def _render(config, workdir: pathlib.Path, emotions, intensities) -> pathlib.Path:
    from mmer_jax import synthetic

    fields = {k: v for k, v in config.data.rendered.items() if k != "enabled"}
    folder = workdir / "clips" / config.data.dataset
    if config.data.dataset not in synthetic.RENDERERS:
        raise errors.unknown("data set to render", config.data.dataset, synthetic.RENDERERS)
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

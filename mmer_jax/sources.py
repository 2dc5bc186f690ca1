"""Where a config's examples come from: a pack, a built data set, recordings, or rendered clips."""

import dataclasses
import pathlib
from collections.abc import Iterable

import ml_collections

from mmer_jax import errors, modalities
from mmer_jax.datasets import pack
from mmer_jax.progress import Progress


def open_data(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, names: Iterable[str]
) -> pack.Pack:
    """The pack to train from: the one named, or one made from what is built, or built now.

    Args:
      config: of any row; `data` and `run` are read.
      workdir: where clips are rendered and their data set is built, if the config renders.
      names: the modalities wanted.

    Raises:
      UserError: there is nothing to train from, or it is not what the config says.
    """
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
    manual_dir, data_dir = config.data.manual_dir, config.data.data_dir
    if config.data.rendered.enabled and not manual_dir:
        manual_dir, data_dir = _render(config, workdir), data_dir or workdir / "data"
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
        workers=config.run.workers,
    )
    return pack.open_pack(path, wanted)


def _check_pack(found: pack.Pack, config) -> None:
    """Refuses a pack that was made in another way than the config says."""
    info = found.info
    asked = {"data.dataset": config.data.dataset, "data.builder": config.data.builder}
    asked["data.size"] = config.data.size
    holds = {"data.dataset": info["dataset"], "data.size": info["size"]}
    holds["data.builder"] = info["builder_config"].partition("-")[0]
    for option, value in info["options"].items():
        if option in config.data.build:
            holds[f"data.build.{option}"] = value
            asked[f"data.build.{option}"] = config.data.build[option]
    wrong = [field for field in holds if asked[field] != holds[field]]
    if wrong:
        flags = " ".join(f"--config.{field}={holds[field]}" for field in wrong)
        raise errors.UserError(
            f"the pack {found.path} was made in another way than the config says; to train from "
            f"it add {flags}"
        )


def _render(config, workdir: pathlib.Path) -> pathlib.Path:
    from mmer_jax import synthetic

    fields = {k: v for k, v in config.data.rendered.items() if k != "enabled"}
    folder = workdir / "clips"
    with Progress(None, "rendering", "clips") as progress:

        def on_clip(done: int, total: int) -> None:
            progress.total = total
            progress.update(done - progress.done)

        synthetic.render_ravdess(
            folder,
            **fields,
            emotions=config.data.emotions,
            intensities=config.data.intensities,
            workers=config.run.workers,
            progress=on_clip,
        )
    return folder

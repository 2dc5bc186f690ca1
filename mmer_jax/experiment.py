"""The whole way from a config to records: data, cells, training, measuring, table and report."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping

import jax
import ml_collections
import numpy as np

from mmer_jax import configuration, errors, modalities, models, training
from mmer_jax.configuration import Cell
from mmer_jax.datasets import emotions, pack, protocols, selection
from mmer_jax.evaluation import metrics, predictions, records, report, table
from mmer_jax.progress import Progress
from mmer_jax.training import checkpoints, devices, loop

# Whose versions a record names, where they are installed.
PACKAGES = (
    *("mmer-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"),
    *("tensorflow-datasets", "librosa", "opencv-python", "av"),
)


def run(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    overrides: Mapping[str, object] | None = None,
) -> list[dict]:
    """Runs what a config asks for and its workdir lacks.

    Args:
      config: as one of configs/ gives it.
      workdir: where records, predictions, parameters and the report go; continued if it exists.
      overrides: dotted fields given on the command line, already in `config`; they win over a
        row's own.

    Returns:
      All records of the workdir.

    Raises:
      UserError: anything that the person at the keyboard can mend.
      loop.Interrupted: SIGTERM or SIGINT; the same command continues.
    """
    configuration.split_names(config)
    rows = {
        row: configuration.resolve_row(config, row, overrides)
        for row in configuration.rows_asked_for(config)
    }
    for resolved in rows.values():
        models.build(resolved)
        for emotion in resolved.data.emotions:
            emotions.lookup(emotion)
    ways = {name: protocols.get(name) for name in config.protocols}

    configuration.check_workdir(workdir, config, list(rows), {})  # before a long build
    data = _open_data(config, workdir, [m for r in rows.values() for m in r.modalities])
    configuration.claim_workdir(workdir, config, list(rows), _digests(data))
    folds = {name: way.folds(data.table) for name, way in ways.items()}
    if config.folds:
        folds = {name: tuple(config.folds) for name in ways}

    cells = configuration.cells(list(rows), folds, config.seeds)
    missing = [cell for cell in cells if not _is_finished(cell, rows[cell.row], workdir)]
    _say(f"{workdir}: {len(cells)} cells asked for, {len(cells) - len(missing)} already there")
    for i, cell in enumerate(missing, 1):
        _say(f"[{i}/{len(missing)}] {cell.name}")
        run_cell(cell, rows[cell.row], data, workdir)

    found = records.read(workdir / records.FILE_NAME)
    print(table.terminal_table(found))
    page = report.write_report(workdir, examples=_pictures(config, data))
    _say(f"report: {page}")
    return found


def run_cell(
    cell: Cell, config: ml_collections.ConfigDict, data: pack.Pack, workdir: pathlib.Path
) -> training.Outcome:
    """Trains or continues one cell; leaves its predictions, records, curve and parameters."""
    parts = split_examples(cell, config, data)
    trained_on = parts.pop("train")
    if config.split.shuffle_labels:
        trained_on = _with_shuffled_labels(trained_on, cell.seed)
    if not len(parts["validation"]):
        del parts["validation"]
    epochs = configuration.measured_epochs(config)
    model = models.build(config)
    shapes = jax.eval_shape(
        lambda: loop.step.init_state(
            model, loop.step.make_optimizer(config), models.registry.batch_shapes(config), 0
        )
    )
    about = {
        "table": config.table,
        "row": cell.row,
        "modalities": list(config.modalities),
        "protocol": cell.protocol,
        "fold": cell.fold,
        "seed": cell.seed,
        "n_train": len(trained_on),
        "n_validation": len(parts.get("validation", ())),
        "n_test": len(parts["test"]),
        "n_test_clips": len(set(parts["test"].clip.tolist())),
        "emotions": list(config.data.emotions),
        "parameters": models.count_parameters(shapes.params),
        "dataset": _describe_data(config, data),
        "config_digest": configuration.digest(config),
        "config": config.to_dict(),
        "device": devices.describe(),
        "versions": _versions(),
        "git_commit": _git_commit(),
    }

    def on_measure(measured: loop.Measurement) -> None:
        # Predictions first: a record without them would be taken for finished work.
        predictions.save(
            workdir / "predictions" / f"{cell.name}.npz",
            measured.epoch,
            {
                name: predictions.Examples(part.clip, part.view, part.label, p)
                for (name, part), p in zip(
                    parts.items(), (measured.probabilities[n] for n in parts), strict=True
                )
            },
            config.data.emotions,
        )
        _write_json(workdir / "curves" / f"{cell.name}.json", list(measured.history))
        record = about | {
            "epochs": measured.epoch,
            **metrics.measure(parts["test"].label, measured.probabilities["test"]),
            "train_loss": measured.history[-1]["train_loss"],
            "validation_accuracy": _accuracy(parts, measured.probabilities, "validation"),
            "paper_accuracy": _paper_accuracy(cell, config, data, measured.epoch),
            "seconds_per_epoch": float(np.median([e["seconds"] for e in measured.history])),
        }
        if not records.has(records.read(workdir / records.FILE_NAME), records.key(record)):
            records.append(workdir / records.FILE_NAME, record)
        writer.write_scalars(
            measured.epoch, {"test_accuracy": record["accuracy"], "test_loss": record["loss"]}
        )

    folder = workdir / "checkpoints" / cell.name
    writer = _tensorboard(workdir / "tensorboard" / cell.name, config.run.tensorboard)
    with Progress(epochs[-1], cell.name, "epochs") as progress:

        def on_epoch(entry: Mapping[str, float]) -> None:
            progress.skip_to(entry["epoch"] - 1)  # a continued run begins later
            progress.update(1, note=f"loss {entry['train_loss']:.3f}")
            writer.write_scalars(
                entry["epoch"], {k: entry[k] for k in ("train_loss", "train_accuracy")}
            )

        outcome = training.train(
            config,
            model,
            data.arrays,
            trained_on,
            parts,
            seed=cell.seed,
            measure_epochs=epochs,
            folder=folder,
            on_measure=on_measure,
            on_epoch=on_epoch,
        )
    writer.flush()
    if config.run.keep_params:
        checkpoints.save_params(workdir / "params" / cell.name, outcome.state.params)
    shutil.rmtree(folder)
    return outcome


def split_examples(
    cell: Cell, config: ml_collections.ConfigDict, data: pack.Pack
) -> dict[str, selection.Examples]:
    """The examples of a cell's three parts: train, validation, test."""
    protocol = protocols.get(cell.protocol)
    rows = selection.wanted_rows(
        data.table, emotions=config.data.emotions, intensities=config.data.intensities
    )
    split = protocol.split(
        {name: column[rows] for name, column in data.table.items()},
        fold=cell.fold,
        seed=cell.seed,
        test_fraction=config.split.test_fraction,
        validation_fraction=config.split.validation_fraction,
    )
    return {
        part: selection.make_examples(
            data.table,
            rows[getattr(split, part)],
            names=config.modalities,
            emotions=config.data.emotions,
            original_sound=protocol.original_sound_at_test and part != "train",
        )
        for part in ("train", "validation", "test")
    }


# Data


def _open_data(config, workdir: pathlib.Path, names) -> pack.Pack:
    """The pack to train from: the one named, or one made from what is built, or built now."""
    wanted = [m.name for m in modalities.get(dict.fromkeys(names))]
    if config.data.pack:
        found = pack.open_pack(config.data.pack, wanted)
        if found.info["size"] != config.data.size:
            raise errors.UserError(
                f"the pack {found.path} has pictures of {found.info['size']} pixels and the config "
                f"asks for {config.data.size}; use --config.data.size={found.info['size']}"
            )
        return found
    try:
        from mmer_jax.datasets import packing, tfds_io
        from mmer_jax.media.augment import AudioAmounts
    except ModuleNotFoundError as e:
        raise errors.UserError(
            f"building a data set needs the package {e.name}, which is not installed here. Install "
            "mmer-jax[data], or train from a pack made elsewhere: --config.data.pack=FOLDER"
        ) from e
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


def _digests(data: pack.Pack) -> dict[str, str]:
    held = data.info["digests"]
    return {name: held[name] for name in ("table", *data.arrays)}


def _describe_data(config, data: pack.Pack) -> dict:
    keys = ("origin", "builder_config", "version", "options", "size", "skipped")
    rows = selection.wanted_rows(
        data.table, emotions=config.data.emotions, intensities=config.data.intensities
    )
    return {
        "name": data.info["dataset"],
        **{key: data.info[key] for key in keys},
        "intensities": list(config.data.intensities),
        "clips": len(set(data.table["clip"][rows].tolist())),
        "subjects": sorted(set(data.table["subject"][rows].tolist())),
        "pack_digest": data.digest(config.modalities),
    }


def _pictures(config, data: pack.Pack, clips: int = 2) -> list[dict]:
    """Triplets of a few clips of each emotion asked for, for the report."""
    chosen = []
    for emotion in config.data.emotions:
        of_emotion = np.flatnonzero(
            (data.table["emotion"] == emotion)
            & np.isin(data.table["intensity"], list(config.data.intensities))
            & (data.table["view"] == 0)
        )
        spread = np.linspace(0, len(of_emotion) - 1, min(clips, len(of_emotion))).round()
        chosen += of_emotion[spread.astype(int)].tolist()
    return [
        {
            "clip": str(data.table["clip"][row]),
            "emotion": str(data.table["emotion"][row]),
            "view": int(data.table["view"][row]),
            "audio_variant": str(data.table["audio_variant"][row]),
            "pictures": {name: np.asarray(array[row]) for name, array in data.arrays.items()},
        }
        for row in chosen
    ]


# Records


def _is_finished(cell: Cell, config, workdir: pathlib.Path) -> bool:
    found = records.read(workdir / records.FILE_NAME)
    keys = (
        records.Key(config.table, cell.row, cell.protocol, cell.fold, cell.seed, epoch)
        for epoch in configuration.measured_epochs(config)
    )
    if not all(records.has(found, key) for key in keys):
        return False
    return not config.run.keep_params or (workdir / "params" / cell.name).exists()


def _paper_accuracy(cell: Cell, config, data: pack.Pack, epoch: int) -> float | None:
    """The printed number, where data set, emotions and protocol are the paper's; else None."""
    paper = config.paper
    if (
        cell.row not in paper.accuracy
        or epoch not in paper.epochs
        or cell.protocol != paper.protocol
        or data.info["origin"] != "recorded"
        or data.info["dataset"] != paper.dataset
        or set(config.data.emotions) != set(paper.emotions)
        or set(config.data.intensities) != set(paper.intensities)
        or config.split.shuffle_labels
    ):
        return None
    return paper.accuracy[cell.row][list(paper.epochs).index(epoch)]


def _accuracy(parts, probabilities, name) -> float | None:
    if name not in parts:
        return None
    return float((probabilities[name].argmax(-1) == parts[name].label).mean())


def _with_shuffled_labels(examples: selection.Examples, seed: int) -> selection.Examples:
    """Permutes labels among clips; the examples of one clip keep one label."""
    clips, first, member = np.unique(examples.clip, return_index=True, return_inverse=True)
    order = np.random.default_rng((seed, len(clips))).permutation(len(clips))
    return selection.Examples(
        examples.rows, examples.label[first][order][member], examples.clip, examples.view
    )


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a machine that trains from packs has no TensorFlow or OpenCV
    return found


def _git_commit() -> str | None:
    """The commit of this source, with a + if files differ from it; None outside a checkout."""
    here = pathlib.Path(__file__).parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip() or None


def _write_json(path: pathlib.Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value) + "\n")
    temporary.replace(path)


class _NoWriter:
    """Stands in for clu's writer on machines without TensorFlow."""

    def write_scalars(self, step, scalars):
        pass

    def flush(self):
        pass


def _tensorboard(folder: pathlib.Path, wanted: bool):
    """clu's TensorBoard writer where TensorFlow is there to write with."""
    if not wanted:
        return _NoWriter()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        from clu.metric_writers import summary_writer
    except ImportError:
        _say("no TensorBoard files: they need clu and TensorFlow (pip install mmer-jax[data])")
        return _NoWriter()
    return summary_writer.SummaryWriter(os.fspath(folder))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

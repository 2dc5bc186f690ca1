"""The whole way from a config to records: data, cells, training, measuring, table and report."""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping

import jax
import ml_collections
import numpy as np

from mmer_jax import configuration, errors, models, provenance, sources, training
from mmer_jax.configuration import Cell
from mmer_jax.datasets import emotions, pack, protocols, selection
from mmer_jax.evaluation import metrics, predictions, records, report, table
from mmer_jax.progress import Progress
from mmer_jax.training import checkpoints, devices, loop


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
    with _alone_in(workdir):
        _keep_compiled(workdir / "compiled")
        return _run(config, rows, ways, workdir)


def _run(config, rows, ways, workdir: pathlib.Path) -> list[dict]:
    configuration.check_workdir(workdir, config, rows, {})  # before a long build
    data = sources.open_rows(config, rows, workdir)
    configuration.claim_workdir(workdir, config, rows, _digests(data))
    cells = [
        cell
        for row, resolved in rows.items()
        for cell in configuration.cells([row], _folds(resolved, data[row], ways), config.seeds)
    ]
    missing = [cell for cell in cells if not _is_finished(cell, rows[cell.row], workdir)]
    for cell in set(cells) - set(missing):  # killed between its last result and tidying up
        shutil.rmtree(workdir / "checkpoints" / cell.name, ignore_errors=True)
    _say(f"{workdir}: {len(cells)} cells asked for, {len(cells) - len(missing)} already there")
    for i, cell in enumerate(missing, 1):
        _say(f"[{i}/{len(missing)}] {cell.name}")
        run_cell(cell, rows[cell.row], data[cell.row], workdir)

    found = records.read(workdir / records.FILE_NAME)
    print(table.terminal_table(found))
    page = report.write_report(workdir, examples=_pictures(rows, data))
    _say(f"report: {page}")
    return found


@contextlib.contextmanager
def _alone_in(workdir: pathlib.Path):
    """Keeps a second process out of the workdir. A process that ends in any way frees it."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = open(workdir / ".lock", "w")  # noqa: SIM115
    except OSError as e:
        raise errors.UserError(f"{workdir} cannot be a workdir: {e.strerror}") from e
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise errors.UserError(
                f"another process is at work in {workdir}; wait for it, or choose another --workdir"
            ) from e
        yield


def _keep_compiled(folder: pathlib.Path) -> None:
    """Lets cells that are the same program, other seeds above all, be compiled once a workdir."""
    if jax.config.jax_compilation_cache_dir is None:  # else the user has a place for it
        jax.config.update("jax_compilation_cache_dir", os.fspath(folder.absolute()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


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
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
    }

    def on_measure(measured: loop.Measurement) -> None:
        _write_json(workdir / "curves" / f"{cell.name}.json", list(measured.history))
        record = about | {
            "epochs": measured.epoch,
            **metrics.measure(parts["test"].label, measured.probabilities["test"]),
            "train_loss": measured.history[-1]["train_loss"],
            "validation_accuracy": _accuracy(parts, measured.probabilities, "validation"),
            "paper_accuracy": _paper_accuracy(cell, config, data, measured.epoch),
            "seconds_per_epoch": float(np.median([e["seconds"] for e in measured.history])),
        }
        writer.write_scalars(
            measured.epoch, {"test_accuracy": record["accuracy"], "test_loss": record["loss"]}
        )
        if records.has(records.read(workdir / records.FILE_NAME), records.key(record)):
            return  # measured before the run was killed, and its predictions are there
        # Predictions first: a record without them would be taken for finished work.
        predictions.save(
            workdir / "predictions" / f"{cell.name}.npz",
            measured.epoch,
            {
                name: predictions.Examples(
                    part.clip, part.view, part.label, measured.probabilities[name]
                )
                for name, part in parts.items()
            },
            config.data.emotions,
        )
        records.append(workdir / records.FILE_NAME, record)

    folder = workdir / "checkpoints" / cell.name
    writer = _tensorboard(workdir / "tensorboard" / cell.name, config.run.tensorboard)
    with contextlib.closing(writer), Progress(epochs[-1], cell.name, "epochs") as progress:

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
    if config.run.keep_params:
        checkpoints.save_params(workdir / "params" / cell.name, outcome.state.params)
    shutil.rmtree(folder)
    if outcome.signum is not None:
        raise training.Interrupted(outcome.signum)
    return outcome


def split_examples(
    cell: Cell, config: ml_collections.ConfigDict, data: pack.Pack
) -> dict[str, selection.Examples]:
    """The examples of a cell's three parts: train, validation, test."""
    protocol = protocols.get(cell.protocol)
    rows = _taking_part(config, data)
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
            original_sound=config.data.one_spectrogram
            or (protocol.original_sound_at_test and part != "train"),
        )
        for part in ("train", "validation", "test")
    }


# Data


def _taking_part(config, data: pack.Pack) -> np.ndarray:
    """The rows of the pack's table that a cell divides into parts."""
    rows = sources.wanted_rows(data, config)
    if config.split.leave_out_fold is not None:
        folds = protocols.subject_folds({"subject": data.table["subject"][rows]})
        if config.split.leave_out_fold not in folds:
            raise errors.unknown("fold to leave out", config.split.leave_out_fold, folds)
        left_out = folds[config.split.leave_out_fold]
        rows = rows[~np.isin(data.table["subject"][rows], left_out)]
    return rows


def _folds(config, data: pack.Pack, ways) -> dict[str, tuple[int, ...]]:
    """Protocol -> its folds, or those that the config asks for."""
    if config.folds:
        return {name: tuple(config.folds) for name in ways}
    rows = _taking_part(config, data)
    table = {name: column[rows] for name, column in data.table.items()}
    return {name: way.folds(table) for name, way in ways.items()}


def _digests(data: Mapping[str, pack.Pack]) -> dict[str, str]:
    """Name of a set, and of a modality in it -> digest of what the cells are trained from."""
    found = {}
    for held in data.values():
        masked = " masked" * bool(held.info["options"].get("mask_background"))
        for name in ("table", *held.arrays):
            key = f"{held.info['dataset']} {held.info['builder_config']}{masked} {name}"
            found[key] = held.info["digests"][name]
    return found


def _describe_data(config, data: pack.Pack) -> dict:
    keys = ("origin", "builder_config", "version", "options", "size", "skipped")
    rows = _taking_part(config, data)
    return {
        "name": data.info["dataset"],
        **{key: data.info[key] for key in keys},
        "intensities": list(config.data.intensities),
        "clips": len(set(data.table["clip"][rows].tolist())),
        "subjects": sorted(set(data.table["subject"][rows].tolist())),
        "pack_digest": data.digest(config.modalities),
    }


def _pictures(rows, packs: Mapping[str, pack.Pack], clips: int = 2) -> list[dict]:
    """A few clips of each emotion, for the report: of the row with the most inputs."""
    row = max(rows, key=lambda name: len(rows[name].modalities))
    config, data = rows[row], packs[row]
    taking_part = _taking_part(config, data)
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
        or config.test_data.dataset is not None
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


def _write_json(path: pathlib.Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value) + "\n")
    temporary.replace(path)


class _NoWriter:
    """Stands in for clu's writer on machines without TensorFlow."""

    def write_scalars(self, step, scalars):
        pass

    def close(self):
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

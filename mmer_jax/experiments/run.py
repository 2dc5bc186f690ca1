"""The whole way from a config to records: data, cells, training, measuring, table and report."""

import contextlib
import itertools
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping

import jax
import ml_collections

from mmer_jax import errors, models, training
from mmer_jax.config import resolve
from mmer_jax.config.cell import Cell, make_cells, measured_epochs
from mmer_jax.corpora import emotions
from mmer_jax.datasets import loading, pack
from mmer_jax.experiments import cells, late_fusion, learning_rate_search
from mmer_jax.experiments.workdir import check_workdir, claim_workdir, lock_workdir
from mmer_jax.protocols import registry, splits
from mmer_jax.reports import clip_media, report, table
from mmer_jax.results import records
from mmer_jax.training import distributed, lanes, normalization


def run_experiment(
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
      All records of the workdir. Of several processes the first returns them, the others none.

    Raises:
      UserError: anything that the person at the keyboard can mend.
      training.Interrupted: SIGTERM or SIGINT; the same command continues.
    """
    rows = check_config(config, overrides)
    ways = {name: registry.get(name) for name in config.protocols}
    with lock_workdir(workdir) if distributed.is_first() else contextlib.nullcontext():
        _keep_compiled(workdir / "compiled")
        return _run(config, rows, ways, workdir)


def check_config(
    config: ml_collections.ConfigDict, overrides: Mapping[str, object] | None = None
) -> dict[str, ml_collections.ConfigDict]:
    """The rows that a config asks for -> their configs, in the order in which they run.

    Args:
      config, overrides: as `run` has them.

    Raises:
      UserError: a mistake that can be known before any data are opened.
    """
    resolve.split_names(config)
    if config.run.cells_at_once < 0:
        raise errors.UserError(
            f"config.run.cells_at_once is {config.run.cells_at_once}; it must be the number of "
            "networks to train at once on a device, or 0 for what is found fastest"
        )
    rows = {
        row: resolve.resolve_row(config, row, overrides) for row in resolve.requested_rows(config)
    }
    for row, resolved in rows.items():
        models.build(resolved)
        training.check(resolved)
        normalization.check(resolved)
        learning_rate_search.check(resolved)
        if resolved.fusion.method:
            late_fusion.check(row, rows)
        for emotion in resolved.data.emotions:
            emotions.lookup(emotion)
    return rows


def _run(config, rows, ways, workdir: pathlib.Path) -> list[dict]:
    if distributed.is_first():  # the others find what it builds
        check_workdir(workdir, config, rows, {})  # before a long build
        data = loading.open_packs(config, rows, workdir)
        claim_workdir(workdir, config, rows, _digests(data))
        records.merge(workdir)
    distributed.wait("data")
    if not distributed.is_first():
        data = loading.open_packs(config, rows, workdir)
    seeds = {name: config.protocol_seeds.get(name, config.seeds) for name in ways}
    wanted = []
    for row, resolved in rows.items():
        folds = splits.folds(resolved, data[row], ways)
        wanted += make_cells([row], folds, seeds)
    missing = [cell for cell in wanted if not _is_finished(cell, rows[cell.row], workdir)]
    distributed.wait("missing cells")
    if distributed.is_first():
        for cell in set(wanted) - set(missing):  # killed between its last result and tidying up
            shutil.rmtree(workdir / "checkpoints" / cell.name, ignore_errors=True)
        _say(
            f"{workdir}: {len(wanted)} cells asked for, {len(wanted) - len(missing)} already there"
        )
    _train(missing, config, rows, data, workdir)
    if not distributed.is_first():
        return []

    found = records.read(workdir / records.FILE_NAME)
    print(table.terminal_table(found, workdir=workdir))
    page = report.write_report(
        workdir,
        examples=clip_media.examples(rows, data),
        look_up=clip_media.Finder(rows, data, workdir),
    )
    _say(f"report: {page}")
    return found


def _train(missing: list[Cell], config, rows, data, workdir: pathlib.Path) -> None:
    """Networks first, by all processes; then what one process does with networks on disk."""
    alone = [
        c
        for c in missing
        if rows[c.row].fusion.method or rows[c.row].optimizer.learning_rate_search
    ]
    places, mine = distributed.share([c for c in missing if c not in alone])
    begun = itertools.count(1)

    def train(cell: Cell, devices, on_steps) -> None:
        if distributed.leads(devices):
            _say(f"[{next(begun)}/{len(mine)}] {cell.name}")
        cells.run_cell(cell, rows[cell.row], data[cell.row], workdir, devices, on_steps)

    together = any(
        distributed.spans(devices) for devices in places
    )  # then in the same order everywhere
    lanes.train_all(mine, places, train, 1 if together else config.run.cells_at_once)
    distributed.wait("networks")
    if distributed.is_first():
        records.merge(workdir)
        for i, cell in enumerate(alone, 1):
            _say(f"[{i}/{len(alone)}] {cell.name}")
            if rows[cell.row].fusion.method:
                late_fusion.run_cell(cell, rows, data, workdir)
            else:
                learning_rate_search.run_cell(cell, rows[cell.row], data[cell.row], workdir)
    distributed.wait("decisions")


def _keep_compiled(folder: pathlib.Path) -> None:
    """Lets cells that are the same program, other seeds above all, be compiled once a workdir."""
    if jax.config.jax_compilation_cache_dir is None:  # else the user has a place for it
        jax.config.update("jax_compilation_cache_dir", os.fspath(folder.absolute()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _digests(data: Mapping[str, pack.Pack]) -> dict[str, str]:
    """Name of a set, and of a modality in it -> digest of what the cells are trained from."""
    found = {}
    for held in data.values():
        masked = " masked" * bool(held.info["options"].get("mask_background"))
        for name in ("table", *held.arrays):
            key = f"{held.info['dataset']} {held.info['builder_config']}{masked} {name}"
            found[key] = held.info["digests"][name]
    return found


def _is_finished(cell: Cell, config, workdir: pathlib.Path) -> bool:
    found = records.read(workdir / records.FILE_NAME)
    keys = (
        records.Key(config.table, cell.row, cell.protocol, cell.fold, cell.seed, epoch)
        for epoch in measured_epochs(config)
    )
    if not all(records.has(found, key) for key in keys):
        return False
    if config.fusion.method or not config.run.keep_params:  # decisions have no parameters
        return True
    return (workdir / "params" / cell.name).exists()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

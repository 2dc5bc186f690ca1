"""Runs an experiment: builds the data, trains and evaluates the cells, writes table and report."""

import contextlib
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections

from mmer_jax import models, training
from mmer_jax.config import plugins, resolve
from mmer_jax.config.cell import Cell, make_cells
from mmer_jax.corpora import emotions
from mmer_jax.datasets import loading, pack
from mmer_jax.experiments import late_fusion, learning_rate_search, scheduling
from mmer_jax.experiments.cell_results import is_finished
from mmer_jax.experiments.cells import run_cell
from mmer_jax.experiments.workdir import check_workdir, claim_workdir, data_digests, lock_workdir
from mmer_jax.protocols import registry, splits
from mmer_jax.reports import clip_media, report, table
from mmer_jax.results import records
from mmer_jax.training import distributed, normalization, preemption

Rows = Mapping[str, ml_collections.ConfigDict]
Packs = Mapping[str, pack.Pack]


def run_experiment(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    overrides: Mapping[str, object] | None = None,
) -> list[records.Record]:
    """Runs the cells that a config asks for and its workdir lacks.

    Args:
      config: A config as one of configs/ returns it.
      workdir: Folder of records, predictions, parameters and the report; continued if it exists.
      overrides: Dotted fields given on the command line, already in `config`; they win over a row's
        own fields.

    Returns:
      All records of the workdir in the primary process, an empty list in the others.

    Raises:
      UserError: Anything that a user can correct.
      training.Interrupted: SIGTERM or SIGINT; the same command continues.
    """
    rows = check_config(config, overrides)
    protocols = {name: registry.get(name) for name in config.protocols}
    is_primary = distributed.is_primary()
    with lock_workdir(workdir) if is_primary else contextlib.nullcontext():
        _cache_programs(workdir / "compiled")

        # Data: the primary process builds what is missing, the others open it.
        if is_primary:
            check_workdir(workdir, config, rows, {})  # before a long build
            data = loading.open_packs(config, rows, workdir)
            claim_workdir(workdir, config, rows, data_digests(data))
            records.merge(workdir)
        distributed.barrier("data")
        if not is_primary:
            data = loading.open_packs(config, rows, workdir)

        # Cells: the networks on all devices, then what is computed from their results.
        cells = _requested_cells(config, rows, data, protocols)
        missing = _missing_cells(cells, rows, workdir)
        needed = _needed_networks(missing, rows)
        networks = _missing_cells(needed, rows, workdir)
        distributed.barrier("missing cells")
        if is_primary:
            _clean_up({*cells, *needed} - {*missing, *networks}, workdir)
            done = len(cells) - len(missing)
            _print(f"{workdir}: {len(cells)} cells requested, {done} finished")
        places, own = distributed.assign(networks)
        with preemption.catch_signals() as stop, scheduling.PlacePool(places, stop) as pool:
            for i, cell in enumerate(own, 1):
                if distributed.is_primary(places[0]):
                    _print(f"[{i}/{len(own)}] {cell.name}")
                pool.submit(run_cell, cell, rows[cell.row], data[cell.row], workdir)
        distributed.barrier("networks")
        if is_primary:
            records.merge(workdir)
            for cell in missing:
                if rows[cell.row].optimizer.learning_rate_search and not _is_fusion(cell, rows):
                    learning_rate_search.choose(cell, rows[cell.row], data[cell.row], workdir)
            for cell in missing:
                if _is_fusion(cell, rows):
                    late_fusion.fuse(cell, rows, data, workdir)
        distributed.barrier("results")
        return _report(rows, data, workdir) if is_primary else []


def check_config(
    config: ml_collections.ConfigDict, overrides: Mapping[str, object] | None = None
) -> dict[str, ml_collections.ConfigDict]:
    """Checks a config before any data are opened, and imports its plugins.

    Args:
      config: As for `run_experiment`.
      overrides: As for `run_experiment`.

    Returns:
      Row -> config of the requested rows, in the order in which they run.

    Raises:
      UserError: A mistake that can be found without data.
    """
    resolve.split_names(config)
    plugins.load(config.plugins)
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


def _requested_cells(config, rows: Rows, data: Packs, protocols) -> list[Cell]:
    seeds = {name: config.protocol_seeds.get(name, config.seeds) for name in protocols}
    cells = []
    for row, resolved in rows.items():
        folds = splits.folds(resolved, data[row], protocols)
        cells += make_cells([row], folds, late_fusion.cell_seeds(resolved, seeds))
    return cells


def _missing_cells(cells: list[Cell], rows: Rows, workdir: pathlib.Path) -> list[Cell]:
    found = records.read(workdir / records.FILE_NAME)
    return [cell for cell in cells if not is_finished(cell, rows[cell.row], workdir, found)]


def _needed_networks(missing: list[Cell], rows: Rows) -> list[Cell]:
    """Returns the cells of the networks to train for the missing cells; some may be finished.

    For a cell these are the cell itself, the candidates of its learning-rate search, or the inner
    networks of its fitted late fusion. The networks that a late fusion combines are requested cells
    themselves.
    """
    networks: list[Cell] = []
    for cell in missing:
        if _is_fusion(cell, rows):
            networks += late_fusion.inner_cells(cell, rows[cell.row])
        elif rows[cell.row].optimizer.learning_rate_search:
            networks += learning_rate_search.candidates(cell, rows[cell.row])
        else:
            networks.append(cell)
    return list(dict.fromkeys(networks))


def _is_fusion(cell: Cell, rows: Rows) -> bool:
    return bool(rows[cell.row].fusion.method)


def _clean_up(finished: set[Cell], workdir: pathlib.Path) -> None:
    """Removes the checkpoints of cells that were killed between their last result and clean-up."""
    for cell in finished:
        shutil.rmtree(workdir / "checkpoints" / cell.name, ignore_errors=True)


def _report(rows: Rows, data: Packs, workdir: pathlib.Path) -> list[records.Record]:
    """Prints the table and writes the report; returns all records."""
    found = records.read(workdir / records.FILE_NAME)
    print(table.format_tables(found, workdir=workdir))
    page = report.write_report(
        workdir,
        examples=clip_media.select_examples(rows, data),
        look_up=clip_media.Finder(rows, data, workdir),
    )
    _print(f"report: {page}")
    return found


def _cache_programs(folder: pathlib.Path) -> None:
    """Lets cells that are the same program, as with other seeds, be compiled once per workdir."""
    # A folder that is set is the user's choice.
    settings: Any = jax.config  # not all versions of JAX declare its attributes
    if settings.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", os.fspath(folder.absolute()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

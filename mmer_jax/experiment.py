"""The whole way from a config to records: data, cells, training, measuring, table and report."""

import contextlib
import fcntl
import itertools
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping

import jax
import ml_collections

from mmer_jax import (
    cells,
    choices,
    configuration,
    decision_level,
    errors,
    models,
    showing,
    sources,
    splits,
    standards,
    training,
)
from mmer_jax.configuration import Cell
from mmer_jax.datasets import emotions, pack, protocols
from mmer_jax.evaluation import records, report, table
from mmer_jax.training import hosts, lanes


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
      All records of the workdir. Of several processes the first returns them, the others none.

    Raises:
      UserError: anything that the person at the keyboard can mend.
      training.Interrupted: SIGTERM or SIGINT; the same command continues.
    """
    rows = check(config, overrides)
    ways = {name: protocols.get(name) for name in config.protocols}
    with alone_in(workdir) if hosts.is_first() else contextlib.nullcontext():
        _keep_compiled(workdir / "compiled")
        return _run(config, rows, ways, workdir)


def check(
    config: ml_collections.ConfigDict, overrides: Mapping[str, object] | None = None
) -> dict[str, ml_collections.ConfigDict]:
    """The rows that a config asks for -> their configs, in the order in which they run.

    Args:
      config, overrides: as `run` has them.

    Raises:
      UserError: a mistake that can be known before any data are opened.
    """
    configuration.split_names(config)
    if config.run.cells_at_once < 0:
        raise errors.UserError(
            f"config.run.cells_at_once is {config.run.cells_at_once}; it must be the number of "
            "networks to train at once on a device, or 0 for what is found fastest"
        )
    rows = {
        row: configuration.resolve_row(config, row, overrides)
        for row in configuration.rows_asked_for(config)
    }
    for row, resolved in rows.items():
        models.build(resolved)
        training.check(resolved)
        standards.check(resolved)
        choices.check(resolved)
        if resolved.fusion.method:
            decision_level.check(row, rows)
        for emotion in resolved.data.emotions:
            emotions.lookup(emotion)
    return rows


def _run(config, rows, ways, workdir: pathlib.Path) -> list[dict]:
    if hosts.is_first():  # the others find what it builds
        configuration.check_workdir(workdir, config, rows, {})  # before a long build
        data = sources.open_rows(config, rows, workdir)
        configuration.claim_workdir(workdir, config, rows, _digests(data))
        records.merge(workdir)
    hosts.wait("data")
    if not hosts.is_first():
        data = sources.open_rows(config, rows, workdir)
    seeds = {name: config.protocol_seeds.get(name, config.seeds) for name in ways}
    wanted = []
    for row, resolved in rows.items():
        folds = splits.folds(resolved, data[row], ways)
        wanted += configuration.cells([row], folds, seeds)
    missing = [cell for cell in wanted if not _is_finished(cell, rows[cell.row], workdir)]
    hosts.wait("missing cells")
    if hosts.is_first():
        for cell in set(wanted) - set(missing):  # killed between its last result and tidying up
            shutil.rmtree(workdir / "checkpoints" / cell.name, ignore_errors=True)
        _say(
            f"{workdir}: {len(wanted)} cells asked for, {len(wanted) - len(missing)} already there"
        )
    _train(missing, config, rows, data, workdir)
    if not hosts.is_first():
        return []

    found = records.read(workdir / records.FILE_NAME)
    print(table.terminal_table(found, workdir=workdir))
    page = report.write_report(
        workdir,
        examples=showing.examples(rows, data),
        look_up=showing.Finder(rows, data, workdir),
    )
    _say(f"report: {page}")
    return found


def _train(missing: list[Cell], config, rows, data, workdir: pathlib.Path) -> None:
    """Networks first, by all processes; then what one process does with networks on disk."""
    alone = [c for c in missing if rows[c.row].fusion.method or rows[c.row].optimizer.choices]
    places, mine = hosts.share([c for c in missing if c not in alone])
    begun = itertools.count(1)

    def train(cell: Cell, devices, on_steps) -> None:
        if hosts.leads(devices):
            _say(f"[{next(begun)}/{len(mine)}] {cell.name}")
        cells.run_cell(cell, rows[cell.row], data[cell.row], workdir, devices, on_steps)

    together = any(hosts.spans(devices) for devices in places)  # then in the same order everywhere
    lanes.train_all(mine, places, train, 1 if together else config.run.cells_at_once)
    hosts.wait("networks")
    if hosts.is_first():
        records.merge(workdir)
        for i, cell in enumerate(alone, 1):
            _say(f"[{i}/{len(alone)}] {cell.name}")
            if rows[cell.row].fusion.method:
                decision_level.run_cell(cell, rows, data, workdir)
            else:
                choices.run_cell(cell, rows[cell.row], data[cell.row], workdir)
    hosts.wait("decisions")


@contextlib.contextmanager
def alone_in(workdir: pathlib.Path):
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
        for epoch in configuration.measured_epochs(config)
    )
    if not all(records.has(found, key) for key in keys):
        return False
    if config.fusion.method or not config.run.keep_params:  # decisions have no parameters
        return True
    return (workdir / "params" / cell.name).exists()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

"""Trained networks in a workdir, found again by their records: config, data and parameters."""

import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections

from mmer_jax import errors, models
from mmer_jax.config import identity, plugins, schema
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import loading, pack, selection
from mmer_jax.protocols import splits
from mmer_jax.training import normalization

# Sections of a config that hold names of the user's choice.
_OPEN_SECTIONS = ("protocol_seeds", "data.rendered", "test_data.rendered", "paper.accuracy", "sets")


def load_config(
    record: Mapping[str, Any], data_fields: Mapping[str, object] | None = None
) -> ml_collections.ConfigDict:
    """Returns the config that a record was made with, and imports its plugins.

    Args:
      record: Record of a row that is one network.
      data_fields: Fields of `config.data` that say where data are now, if they were moved.

    Raises:
      UserError: This version of the software cannot build the network, or files that the config
        names have changed.
    """
    saved = _with_tuples(record["config"])
    config = schema.default_config()
    known = {*identity.flatten(config.to_dict()), "sets"}
    unknown = [
        field
        for field in identity.flatten(saved)
        if field not in known
        and not field.startswith((*(f"{s}." for s in _OPEN_SECTIONS), "model."))
    ]
    if unknown:
        raise errors.UserError(
            f"row {record['row']} was made by another version of the software, whose configs have "
            f"the field {unknown[0]}. Run its config again in another --workdir"
        )
    config.update(saved)
    for field, value in (data_fields or {}).items():
        config.data[field] = value
    plugins.load(config.plugins)
    models.build(config)
    if identity.digest(config) != record["config_digest"]:
        files = (*identity.FILE_FIELDS, "plugins")
        raise errors.UserError(
            f"row {record['row']}: the files that its config names have changed since its networks "
            f"were trained (fields {', '.join(files)})"
        )
    return config


def open_pack(
    record: Mapping[str, Any], config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> pack.Pack:
    """Opens the pack that a record's cell was trained and tested on.

    The dataset must have been built: no recording is read and nothing is rendered.

    Args:
      record: Record of the cell.
      config: Config from `load_config`.
      workdir: The workdir of the record.

    Raises:
      UserError: The pack does not exist any more, or holds other data.
    """
    config = config.copy_and_resolve_references()
    config.sets = {}
    for section in (config.data, config.test_data):
        section.manual_dir = None
        if section.rendered.enabled:
            section.rendered.enabled = False
            section.data_dir = section.data_dir or str(workdir / "data")
    try:
        data = loading.open_packs(config, {record["row"]: config}, workdir)[record["row"]]
    except errors.UserError as e:
        raise errors.UserError(
            f"the data that row {record['row']} of {workdir} was trained on cannot be opened; the "
            f"command of the run builds them again ({e})"
        ) from e
    if data.digest(config.modalities) != record["dataset"]["pack_digest"]:
        raise errors.UserError(
            f"{data.path} holds other data than row {record['row']} of {workdir} was trained on"
        )
    return data


def params_folder(workdir: pathlib.Path, cell: Cell) -> pathlib.Path:
    """Returns the folder of a finished cell's parameters, which exists if its run kept them."""
    return workdir / "params" / cell.name


def test_inputs(
    cell: Cell, config: ml_collections.ConfigDict, data: pack.Pack
) -> tuple[selection.Examples, normalization.Normalization]:
    """Returns the test examples of a cell and the normalization of its inputs."""
    subsets = splits.split_cell(cell, config, data)
    return subsets["test"], normalization.compute(config, data, subsets)


def _with_tuples(value):
    """Returns JSON with its lists as tuples, as configs have them."""
    if isinstance(value, dict):
        return {name: _with_tuples(inner) for name, inner in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value

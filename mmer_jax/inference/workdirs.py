"""Loads the config, the data and the test examples of a trained network, given its record."""

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

# Config sections whose keys are chosen by the user, so that new keys in them are not errors.
_OPEN_SECTIONS = ("protocol_seeds", "data.rendered", "test_data.rendered", "paper.accuracy", "sets")


def load_config(
    record: Mapping[str, Any], data_fields: Mapping[str, object] | None = None
) -> ml_collections.ConfigDict:
    """Restores the config of a record and imports the plugins that the config names.

    Args:
      record: Record of a single network; records of late fusion are not supported.
      data_fields: Overrides for fields of `config.data`, such as `{"pack": path}`, for data that
        have been moved since training.

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
            f"the data that row {record['row']} of {workdir} was trained on cannot be opened "
            f"({e}). Repeat the command of the run to build them again"
        ) from e
    if data.digest(config.modalities) != record["dataset"]["pack_digest"]:
        raise errors.UserError(
            f"{data.path} holds other data than row {record['row']} of {workdir} was trained on"
        )
    return data


def params_folder(workdir: pathlib.Path, cell: Cell) -> pathlib.Path:
    """Returns the path of a cell's saved parameters.

    The folder exists if the cell is finished and its config sets `run.keep_params`.
    """
    return workdir / "params" / cell.name


def load_test_examples(
    cell: Cell, config: ml_collections.ConfigDict, data: pack.Pack
) -> tuple[selection.Examples, normalization.Normalization]:
    """Returns the test examples of a cell and the normalization of its network's inputs.

    Args:
      cell: The cell; its seed and fold determine the split.
      config: Config from `load_config`.
      data: Pack from `open_pack`.
    """
    subsets = splits.split_cell(cell, config, data)
    return subsets["test"], normalization.compute(config, data, subsets)


def _with_tuples(value):
    """Converts lists in a decoded JSON value to tuples, as configs hold them, recursively."""
    if isinstance(value, dict):
        return {name: _with_tuples(inner) for name, inner in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value

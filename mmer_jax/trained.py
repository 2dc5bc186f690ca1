"""Networks that a workdir holds, found again from their records: config, data, parameters."""

import pathlib
from collections.abc import Callable, Mapping

import jax
import ml_collections
import numpy as np

from mmer_jax import configuration, errors, modalities, models, sources
from mmer_jax.configuration import Cell
from mmer_jax.datasets import pack


def config_of(
    record: Mapping, places: Mapping[str, object] | None = None
) -> ml_collections.ConfigDict:
    """The config that a record was made with, as if it were loaded.

    Args:
      record: of a row that is one network.
      places: fields of `config.data` that say where things are now, if they were moved.

    Raises:
      UserError: this version of the software cannot make the network, or files that the config
        names are not what they were.
    """
    config = ml_collections.ConfigDict(_with_tuples(record["config"]))
    config.rows = {}
    for field, value in (places or {}).items():
        config.data[field] = value
    try:
        models.build(config)
    except AttributeError as e:  # a field that configs did not have yet
        raise errors.UserError(
            f"row {record['row']} was made by another version of the software: {e}. Run its config "
            "again in another --workdir"
        ) from e
    if configuration.digest(config) != record["config_digest"]:
        raise errors.UserError(
            f"row {record['row']}: the files that its config names are not those that the networks "
            f"were trained with: {', '.join(configuration.FILE_FIELDS)}"
        )
    return config


def open_data(
    record: Mapping, config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> pack.Pack:
    """The pack that a record's cell was trained and tested on.

    The data set must be built: recordings are not asked for, and nothing is rendered.

    Args:
      record: of the cell.
      config: as `config_of` gives it.
      workdir: where the record is from.

    Raises:
      UserError: it is not there any more, or holds other data.
    """
    config = config.copy_and_resolve_references()
    config.sets = {}
    for part in (config.data, config.test_data):
        part.manual_dir = None
        if part.rendered.enabled:
            part.rendered.enabled = False
            part.data_dir = part.data_dir or str(workdir / "data")
    data = sources.open_rows(config, {record["row"]: config}, workdir)[record["row"]]
    if data.digest(config.modalities) != record["dataset"]["pack_digest"]:
        raise errors.UserError(
            f"{data.path} holds other data than row {record['row']} of {workdir} was trained from"
        )
    return data


def params_folder(workdir: pathlib.Path, cell: Cell) -> pathlib.Path:
    """Where a finished cell's parameters are, if its run kept them."""
    return workdir / "params" / cell.name


def make_predict(
    config: ml_collections.ConfigDict,
) -> Callable[[Mapping, Mapping[str, np.ndarray], Mapping[str, np.ndarray]], np.ndarray]:
    """Compiles a row's network; its parameters are an argument, so that all cells share it.

    Returns:
      (params, pictures: for each modality uint8 [m, s, s, c], rows: for each modality int [n], the
      picture of each example) -> probabilities, float32 [n, classes].
    """
    model = models.build(config)
    names = [m.name for m in modalities.get(config.modalities)]

    @jax.jit
    def forward(params, pictures):
        return jax.nn.softmax(model.apply({"params": params}, pictures, train=False))

    def predict(params, pictures, rows):
        params, found = jax.device_put(params), []
        n = len(rows[names[0]])
        for batch in _batches(n, config.run.predict_batch):
            seen = {name: pictures[name][rows[name][batch]] for name in names}
            found.append(np.asarray(forward(params, seen)))
        return np.concatenate(found)[:n]

    return predict


def _batches(n: int, size: int):
    """Numbers of examples in batches of one size, so that one program serves all; the last batch is
    filled up with the last example."""
    for start in range(0, n, size):
        yield np.minimum(np.arange(start, start + size), n - 1)


def _with_tuples(value):
    """JSON's lists as tuples, as configs have them."""
    if isinstance(value, dict):
        return {name: _with_tuples(inner) for name, inner in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value

"""Networks that a workdir holds, found again from their records: config, data, parameters."""

import pathlib
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from mmer_jax import errors, modalities, models
from mmer_jax.config import identity
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import loading, pack, selection
from mmer_jax.models import tower
from mmer_jax.protocols import splits
from mmer_jax.training import normalization


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
    if identity.digest(config) != record["config_digest"]:
        raise errors.UserError(
            f"row {record['row']}: the files that its config names are not those that the networks "
            f"were trained with: {', '.join(identity.FILE_FIELDS)}"
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
    try:
        data = loading.open_packs(config, {record["row"]: config}, workdir)[record["row"]]
    except errors.UserError as e:
        raise errors.UserError(
            f"what row {record['row']} of {workdir} was trained from cannot be opened; the run's "
            f"own command makes it again ({e})"
        ) from e
    if data.digest(config.modalities) != record["dataset"]["pack_digest"]:
        raise errors.UserError(
            f"{data.path} holds other data than row {record['row']} of {workdir} was trained from"
        )
    return data


def params_folder(workdir: pathlib.Path, cell: Cell) -> pathlib.Path:
    """Where a finished cell's parameters are, if its run kept them."""
    return workdir / "params" / cell.name


def tested(
    cell: Cell, config: ml_collections.ConfigDict, data: pack.Pack
) -> tuple[selection.Examples, dict[str, normalization.Standard]]:
    """A cell's test examples, and what its images are normalized by."""
    parts = splits.split_examples(cell, config, data)
    trained_on = parts.pop("train")
    parts = {name: part for name, part in parts.items() if len(part)}
    return parts["test"], normalization.of(config, data, trained_on, parts)


def make_predict(config: ml_collections.ConfigDict) -> Callable[..., np.ndarray]:
    """Compiles `predict(params, images, rows, standard, absent=())` -> float32 [n, classes].

    Its arguments: the parameters of a cell of this row; for each modality the images, uint8
    [m, s, s, c], and int [n], the image of each example; for the modalities that are normalized
    their standard, with the group of each of these images; and modalities that are not there,
    whose towers see zeros as they do where `augment.modality_dropout` drops them in training. It
    returns probabilities.
    """
    model = models.build(config)
    names = [m.name for m in modalities.get(config.modalities)]

    @jax.jit
    def forward(params, images, standard, present):
        seen = {}
        for name in names:
            x = images[name]
            if name in standard:
                x = normalization.normalize(x, standard[name], np.arange(len(x)))
            seen[name] = jnp.where(present[name], tower.to_unit_range(x), 0.0)
        return jax.nn.softmax(model.apply({"params": params}, seen, train=False))

    def predict(params, images, rows, standard, absent=()):
        params, found = jax.device_put(params), []
        present = {name: name not in absent for name in names}
        n = len(rows[names[0]])
        for batch in _batches(n, config.run.predict_batch):
            row = {name: rows[name][batch] for name in names}
            seen = {name: images[name][row[name]] for name in names}
            of_seen = {
                name: one.replace(group=one.group[row[name]]) for name, one in standard.items()
            }
            found.append(np.asarray(forward(params, seen, of_seen, present)))
        return np.concatenate(found)[:n]

    return predict


def _batches(n: int, size: int) -> Iterator[np.ndarray]:
    """Numbers of examples in batches of one size, so that one program serves all; the last batch is
    filled up with the last example."""
    for start in range(0, n, size):
        yield np.minimum(np.arange(start, start + size), n - 1)


def _with_tuples(value):
    """JSON's lists as tuples, as configs have them."""
    if isinstance(value, dict):
        return {name: _with_tuples(inner) for name, inner in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value

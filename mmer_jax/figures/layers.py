"""Figures 6 and 8: layer tables of a config's networks."""

import runpy
from pathlib import Path

import ml_collections

from mmer_jax import errors
from mmer_jax.config import resolve
from mmer_jax.models import layers
from mmer_jax.utils import columns


def load_config(text: str) -> ml_collections.ConfigDict:
    """Loads a config file.

    Args:
      text: FILE or FILE:ROW,ROW, the same as for run.py's flag --config.

    Raises:
      UserError: FILE does not exist, or is not a config file.
    """
    path, _, rows = text.partition(":")
    if not Path(path).is_file():
        raise errors.UserError(
            f"the config {path} does not exist; try configs/ravdess_strong.py:face"
        )
    try:
        return runpy.run_path(path)["get_config"](rows)
    except ModuleNotFoundError as e:
        raise errors.UserError(
            f"{path} imports {e.name}, which was not found: run this command from the folder that "
            f"holds {e.name}"
        ) from e
    except (KeyError, SyntaxError) as e:
        raise errors.UserError(f"{path} is not a config: it does not define get_config") from e


def format_tables(
    config: ml_collections.ConfigDict, size: int | None = None, markdown: bool = False
) -> str:
    """Formats the layers of the network of each requested config row as a table.

    Args:
      config: Config, as returned by `load_config`.
      size: Side of the inputs in pixels; None for `config.data.size`.
      markdown: Whether to format tables in Markdown; if false, for a terminal.

    Returns:
      Text without a trailing newline.

    Raises:
      UserError: A requested row, or the model of a row, is unknown.
    """
    overrides = {} if size is None else {"data.size": size}
    rows = {
        row: resolve.resolve_row(config, row, overrides) for row in resolve.requested_rows(config)
    }
    return "\n\n".join(_format_row(row, resolved, markdown) for row, resolved in rows.items())


def _format_row(row: str, config: ml_collections.ConfigDict, markdown: bool) -> str:
    inputs = ", ".join(config.modalities)
    title = f"{'## ' * markdown}{row}: {inputs} at {config.data.size} pixels"
    if config.fusion.method:
        inputs = ", ".join(config.fusion.rows)
        return f"{title}\n\nLate fusion of the predictions of {inputs}: this row has no network."
    table = layers.layer_table(config)
    lines = [["layer", "kind", "input", "output", "parameters"]]
    lines += [
        [
            x.name,
            x.kind,
            _format_shape(x.input_shape),
            _format_shape(x.output_shape),
            f"{x.parameters:,}",
        ]
        for x in table
    ]
    convolutions, dense = (layers.count(table, k) for k in (layers.CONVOLUTIONS, layers.DENSE))
    parameters = sum(layer.parameters for layer in table)
    return "\n".join(
        (
            title,
            "",
            *(columns.markdown if markdown else columns.aligned)(lines),
            "",
            f"{convolutions} convolutions, {dense} dense layers, {parameters:,} parameters.",
        )
    )


def _format_shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))

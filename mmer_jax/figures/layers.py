"""Figures 6 and 8: a config's networks as layer tables."""

import runpy
from pathlib import Path

import ml_collections

from mmer_jax import errors
from mmer_jax.config import resolve
from mmer_jax.models import layers
from mmer_jax.utils import columns


def load(text: str) -> ml_collections.ConfigDict:
    """The config that FILE or FILE:ROW,ROW names, as run.py reads it.

    Raises:
      UserError: there is no such file, or no config in it.
    """
    path, _, rows = text.partition(":")
    if not Path(path).is_file():
        raise errors.UserError(f"there is no config {path}; try configs/ravdess_strong.py:face")
    try:
        return runpy.run_path(path)["get_config"](rows)
    except ModuleNotFoundError as e:
        raise errors.UserError(f"{path} imports {e.name}: run from the folder that has it") from e
    except (KeyError, SyntaxError) as e:
        raise errors.UserError(f"{path} is no config: it defines no get_config") from e


def tables(
    config: ml_collections.ConfigDict, size: int | None = None, in_markdown: bool = False
) -> str:
    """The layers of the network of each row that the config asks for.

    Args:
      config: as loaded.
      size: side of the inputs in pixels, if not the config's.
      in_markdown: for documents; else for the terminal.

    Returns:
      Lines without a last newline.

    Raises:
      UserError: an unknown row or model.
    """
    overrides = {} if size is None else {"data.size": size}
    rows = {
        row: resolve.resolve_row(config, row, overrides) for row in resolve.requested_rows(config)
    }
    return "\n\n".join(_section(row, resolved, in_markdown) for row, resolved in rows.items())


def _section(row: str, config: ml_collections.ConfigDict, in_markdown: bool) -> str:
    inputs = ", ".join(config.modalities)
    title = f"{'## ' * in_markdown}{row}: {inputs} at {config.data.size} pixels"
    if config.fusion.method:
        joined = ", ".join(config.fusion.rows)
        return f"{title}\n\nNo network of its own: it joins what those of {joined} say."
    found = layers.layer_table(config)
    lines = [["layer", "kind", "input", "output", "parameters"]]
    lines += [
        [x.name, x.kind, _by(x.input_shape), _by(x.output_shape), f"{x.parameters:,}"]
        for x in found
    ]
    convolutions, dense = (layers.count(found, k) for k in (layers.CONVOLUTIONS, layers.DENSE))
    parameters = sum(layer.parameters for layer in found)
    return "\n".join(
        (
            title,
            "",
            *(columns.markdown if in_markdown else columns.aligned)(lines),
            "",
            f"{convolutions} convolutions, {dense} dense layers, {parameters:,} parameters.",
        )
    )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))

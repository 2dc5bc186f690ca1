"""Plugins: modules outside the package that register models, modalities or decision rules."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from mmer_jax import errors


def load(plugins: Iterable[str]) -> None:
    """Imports plugins, each once per process.

    Args:
      plugins: Names of importable modules, or paths that end in .py.

    Raises:
      UserError: A plugin does not exist or cannot be imported.
    """
    for plugin in plugins:
        try:
            if plugin.endswith(".py"):
                _load_file(Path(plugin).expanduser().resolve())
            else:
                importlib.import_module(plugin)
        except errors.UserError:
            raise
        except Exception as e:
            raise errors.UserError(
                f"config.plugins names {plugin!r}, which cannot be imported: "
                f"{type(e).__name__}: {e}"
            ) from e


def source(plugin: str) -> str | None:
    """Returns the path of a plugin's source file, or None if it has none."""
    if plugin.endswith(".py"):
        return plugin
    try:
        spec = importlib.util.find_spec(plugin)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec and spec.has_location else None


def _load_file(path: Path) -> None:
    name = f"mmer_plugin_{path.stem}"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return
    if not path.is_file():
        raise errors.UserError(f"config.plugins names {path}, and there is no such file")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader  # a .py file has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise

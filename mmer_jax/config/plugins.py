"""Plugins: modules outside the package that register models, modalities, rules or protocols.

Rules are the decision rules of late fusion.
"""

import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mmer_jax import errors

# The plugins that this process has imported, in order.
_loaded: dict[str, None] = {}


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
            _loaded[plugin] = None
        except errors.UserError:
            raise
        except Exception as e:
            raise errors.UserError(
                f"config.plugins names {plugin!r}, which cannot be imported: "
                f"{type(e).__name__}: {e}"
            ) from e


def wrap_for_workers(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wraps a function so that worker processes import this process's plugins before calling it.

    Args:
      function: Picklable function of one argument.

    Returns:
      A picklable function; `function` itself if no plugin is loaded.
    """
    return functools.partial(_load_and_call, tuple(_loaded), function) if _loaded else function


def _load_and_call(plugins: Iterable[str], function: Callable[[Any], Any], item: Any) -> Any:
    load(plugins)
    return function(item)


def source(plugin: str) -> str | None:
    """Returns the path of a plugin's file, or None for a module that is not found or has no file.

    A plugin that ends in .py is returned as it is, whether or not the file exists.
    """
    if plugin.endswith(".py"):
        return plugin
    try:
        spec = importlib.util.find_spec(plugin)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec and spec.has_location else None


def _load_file(path: Path) -> None:
    # Two files of one name are two plugins.
    name = f"mmer_plugin_{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
    if name in sys.modules:
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

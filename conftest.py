"""Which tests are slow, by rule: `make check` leaves those out, and a new test needs no mark."""

import gc
import inspect
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

# A test is slow if it uses one of these names itself, through a fixture, or through a function of
# the tests: it starts processes, renders clips, builds a dataset, trains a network, reads real
# recordings or simulates many experiments. Where there are two, both must be used.
_SLOW_NAMES = (
    *({"subprocess"}, {"multiprocessing"}, {"ordered_map"}, {"tests.forked"}),
    *({"original_clips"}, {"getfixturevalue"}),
    *({"render_ravdess"}, {"render_baum1"}, {"render_missing"}),
    *({"ensure_built"}, {"download_and_prepare"}),
    *({"run_experiment"}, {"run_cell"}, {"mmer_jax.training", "train"}, {"mmer_jax.cli.tune"}),
    {"simulate_subjects"},
)

# A module with such an import at its top is slow as a whole: it loads TensorFlow or Keras.
_SLOW_IMPORT = re.compile(
    r"^(?:import|from) (?:tensorflow|keras|apache_beam|tfds_builders|benchmarks\.peers)"
    r"|^from mmer_jax\.datasets(?: import .*tfds_io|\.tfds_io import)",
    re.MULTILINE,
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves slow modules out unread where slow tests are deselected: TensorFlow stays away."""
    is_checked = config.option.markexpr == "not slow" and collection_path.suffix == ".py"
    return True if is_checked and _is_slow_module(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the slow tests, before pytest deselects by marks, and runs their files first.

    Files are divided among processes: short ones at the end let all processes end at one time.
    """
    slow_paths = set()
    for item in items:
        if isinstance(item, pytest.Function) and _is_slow(item):
            item.add_marker("slow")
            slow_paths.add(item.path)
    items.sort(key=lambda item: item.path not in slow_paths)


@pytest.fixture(scope="module", autouse=True)
def _free_programs():
    """Frees a file's compiled programs after it, or a process comes to hold several GB of them."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
        gc.collect()


def _is_slow_module(path: Path) -> bool:
    return bool(_SLOW_IMPORT.search(path.read_text()))


def _is_slow(item: pytest.Function) -> bool:
    fixtures = item._fixtureinfo.name2fixturedefs
    names, visited = set(fixtures), set()
    for function in (item.function, *(d.func for chain in fixtures.values() for d in chain)):
        names |= _names_used(function, visited)
    is_slow = any(names >= slow for slow in _SLOW_NAMES)
    return is_slow or _is_slow_module(item.path)


def _names_used(function: Callable, visited: set[Callable]) -> set[str]:
    """Returns the names of the globals and attributes that a function uses.

    Those of the functions of tests that it calls are among them. Modules have their full names.

    Args:
      function: A test, a fixture or a helper of tests.
      visited: The functions read so far; is extended.
    """
    function = inspect.unwrap(function)
    if function in visited or not isinstance(function, types.FunctionType):
        return set()
    visited.add(function)
    names = _names_in(function.__code__)
    for value in [function.__globals__.get(name) for name in names]:
        if isinstance(value, types.ModuleType):
            names.add(value.__name__)
        elif callable(value) and "test" in (getattr(value, "__module__", None) or ""):
            names |= _names_used(value, visited)
    return names


def _names_in(code: types.CodeType) -> set[str]:
    nested = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*map(_names_in, nested))

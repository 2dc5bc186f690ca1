"""The mesh of the devices that train a cell, and where arrays live on it.

One device is a mesh of one.
"""

import ctypes
import functools
import importlib.util
import os
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns a mesh with the single axis `data`.

    Axes are Auto: under explicit ones, the default of `jax.make_mesh`, Linen's Dropout fails on
    sharded input.

    Args:
      devices: The devices; all of this process by default.
    """
    array = np.asarray(jax.local_devices() if devices is None else devices)
    return jax.make_mesh(
        array.shape, ("data",), axis_types=(AxisType.Auto,), devices=array.tolist()
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array of which every device has a copy."""
    return NamedSharding(mesh, PartitionSpec())


def by_batch(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Returns the sharding of an array whose given axis is split over the devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def padded_size(batch: int, mesh: Mesh) -> int:
    """Returns the smallest multiple of the number of devices that holds a batch."""
    return -(-batch // mesh.size) * mesh.size


def describe(devices: Sequence[jax.Device] | None = None) -> str:
    """Returns number, platform and kind of some devices, or of all, for records."""
    devices = jax.devices() if devices is None else devices
    return f"{len(devices)} x {devices[0].platform} ({devices[0].device_kind})"


def compiler_options(mesh: Mesh) -> dict[str, str] | None:
    """Returns the options for `jax.jit(compiler_options=...)` on the mesh's devices.

    On CPUs the convolutions of XLA's YNNPACK, its default since jax 0.10, are slower here than its
    own (docs/performance.md). A jaxlib that does not know the option compiles without it.
    """
    return _without_ynnpack() if mesh.devices.flat[0].platform == "cpu" else None


@functools.cache
def _without_ynnpack() -> dict[str, str] | None:
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    empty = jax.jit(lambda: 0, compiler_options=options)
    try:
        empty.lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options


def keep_freed_memory() -> None:
    """Makes the C library keep the memory that a training step on CPUs frees, for the next step.

    That is hundreds of MiB. By default glibc returns such blocks to the system, which has to clear
    every page of them again: up to a tenth of a step (docs/performance.md). The process then stays
    at its largest size, and compilation takes about a second longer. The setting holds for the
    whole process and must be made before JAX starts its threads: by programs such as run.py, not
    when this package is imported. Nothing is changed where there may be an accelerator or another C
    library, or where the environment configures glibc's malloc.
    """
    if any(importlib.util.find_spec(plugin) for plugin in _ACCELERATORS):
        return
    if any(name.startswith(_MALLOC_VARIABLES) for name in os.environ):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        for option, value in _MALLOC_OPTIONS.values():
            library.mallopt(option, value)


_ACCELERATORS = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin", "libtpu")

_MALLOC_VARIABLES = ("MALLOC_", "GLIBC_TUNABLES")

# Name in glibc's malloc.h -> number and value: one arena for all threads, no separate mappings, no
# memory returned to the system, and as much allocated at a time.
_MALLOC_OPTIONS = {
    "M_ARENA_MAX": (-8, 1),
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 2**28),
}

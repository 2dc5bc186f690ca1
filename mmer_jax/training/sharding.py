"""The mesh, and where arrays live on it. One device is a mesh of one."""

import ctypes
import functools
import importlib.util
import os
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def make_mesh(devices=None) -> Mesh:
    """A mesh with the one axis `data` over all devices of this process, or over those given.

    Axes are Auto: under explicit ones, the default of `jax.make_mesh`, Linen's Dropout fails on
    sharded input.
    """
    devices = np.asarray(jax.local_devices() if devices is None else devices)
    return jax.make_mesh(
        devices.shape, ("data",), axis_types=(AxisType.Auto,), devices=devices.tolist()
    )


def keep_freed_memory() -> None:
    """Has the C library keep the memory that a step on CPUs gives back to it, for the next step.

    That is hundreds of MiB. By default glibc hands such blocks back to the system, which has to
    clear every page of them again: up to a tenth of a step (docs/performance.md). The process then
    stays as large as it has been. It is a setting of the whole process, and has to be made before
    JAX starts its threads: so by programs such as run.py, and not by this package when it is
    imported. Compilation takes about a second longer. Where there may be an accelerator, or another
    C library, or where the environment tells glibc what to do, nothing is changed.
    """
    if any(importlib.util.find_spec(plugin) for plugin in _ACCELERATORS):
        return
    if any(name.startswith(_OF_GLIBC) for name in os.environ):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        for option, value in _MALLOC.values():
            library.mallopt(option, value)


_ACCELERATORS = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin", "libtpu")

_OF_GLIBC = ("MALLOC_", "GLIBC_TUNABLES")

# Name in glibc's malloc.h -> number and value: one arena for all threads; no blocks of their own
# from the system; nothing handed back; and as much at a time.
_MALLOC = {
    "M_ARENA_MAX": (-8, 1),
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 2**28),
}


def replicated(mesh: Mesh) -> NamedSharding:
    """A whole copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_batch(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Split over the devices along the given axis, which holds the examples of a batch."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def padded_size(batch: int, mesh: Mesh) -> int:
    """The smallest multiple of the number of devices that holds a batch."""
    return -(-batch // mesh.size) * mesh.size


def compiler_options(mesh: Mesh) -> dict[str, str] | None:
    """How XLA is to compile for the mesh's devices, for `jax.jit(compiler_options=...)`.

    On CPUs the convolutions of XLA's YNNPACK, its default since jax 0.10, are slower here than its
    own (docs/performance.md). A jaxlib that does not know the option compiles without it.
    """
    return _without_ynnpack() if mesh.devices.flat[0].platform == "cpu" else None


@functools.cache
def _without_ynnpack() -> dict[str, str] | None:
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    nothing = jax.jit(lambda: 0, compiler_options=options)
    try:
        nothing.lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options


def describe(devices: Sequence[jax.Device] | None = None) -> str:
    """For records: number, platform and kind of some devices, or of all."""
    devices = jax.devices() if devices is None else devices
    return f"{len(devices)} x {devices[0].platform} ({devices[0].device_kind})"

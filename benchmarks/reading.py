"""Reading a built data set into training, against the device's appetite.

    python -m benchmarks.reading [--size=128] [--row=face_flow_mel] [--gib=2] [--batch=30]
    python -m benchmarks.reading --pack=PACK --row=face_mel     # of a pack that is there
    python -m benchmarks.reading --size=32 --gib=0.05 --steps=20     # on a CPU: a minute

Prints images a second, and MB a second of uncompressed pixels, for each storage of a pack:

    read       by this process alone, batch after batch in random order
    streamed   the same order through training/streaming.py onto the devices, without training
    trained    steps of the row, streamed
    memory     steps of the row with all images on the devices: what these ask for at most

Without --pack it writes packs of made images, which records compress to about two thirds, as they
do frames of RAVDESS (0.61 at 128 pixels). --cold forgets what the page cache has of a pack before
each measurement: without it a pack that fits there is read from memory.
"""

import argparse
import itertools
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator

import jax
import numpy as np

from configs import base
from mmer_jax import models
from mmer_jax.config import resolve
from mmer_jax.datasets import pack, storage
from mmer_jax.datasets.selection import Examples
from mmer_jax.models import registry
from mmer_jax.training import batches, feeds, optimizers, sharding, step, streaming

INFO = {"dataset": "none", "origin": "made", "builder_config": "triplets", "version": "1.0.0"}


def make_pack(folder: pathlib.Path, config, size: int, nbytes: float, kind: str) -> None:
    """Writes a pack of about so many bytes of images: patches of few values, with noise."""
    rng = np.random.default_rng(0)
    a_batch = 256
    channels = {name: x.shape[-1] for name, x in registry.input_shapes(config).items()}
    n = max(a_batch, int(nbytes / (size**2 * sum(channels.values()))))
    table = {name: np.zeros(n, np.int32) for name in pack.COLUMNS}
    table |= {name: np.zeros(n, "U1") for name, k in pack.COLUMNS.items() if k == "U"}
    table |= {name: np.zeros(n, np.float32) for name, k in pack.COLUMNS.items() if k == "f"}
    table["clip"] = np.array([f"clip{i:09d}" for i in range(n)])
    table["emotion"] = np.resize(config.data.emotions, n)
    table["audio_variant"] = np.resize(config.data.audio_variants, n)
    info = INFO | {"options": {}, "skipped": {}}
    with pack.PackWriter(folder, info, table, list(channels), size, kind) as writer:
        for start in range(0, n, a_batch):
            for name, c in channels.items():
                coarse = 32 * rng.integers(0, 8, (a_batch, -(-size // 8), -(-size // 8), c))
                fine = coarse.repeat(8, 1).repeat(8, 2)[:, :size, :size]
                made = fine + rng.integers(0, 4, fine.shape)
                writer.arrays[name][start : start + a_batch] = made[: n - start]


def open_arrays(folder: pathlib.Path, names, cold: bool) -> dict:
    """The arrays of a pack; if cold, nothing of it is in the page cache."""
    if cold:
        for file in folder.iterdir():
            with open(file, "rb") as f:
                os.fsync(f.fileno())
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return pack.open_pack(folder, names).arrays


def examples(names, n: int) -> Examples:
    numbers = np.arange(n, dtype=np.int32)
    return Examples(dict.fromkeys(names, numbers), numbers % 5, numbers.astype(str), 0 * numbers)


def read(arrays, order) -> float:
    """Examples a second, batch after batch."""
    started = time.perf_counter()
    for batch in order[0]:
        for array in arrays.values():
            array[batch]
    return order[0].size / (time.perf_counter() - started)


def streamed(feed: feeds.Feed, order) -> float:
    """Examples a second onto the devices."""
    started = time.perf_counter()
    for window in feed.windows("train", *order):
        jax.block_until_ready(window.data)
    return order[0].size / (time.perf_counter() - started)


def trained(windows: Iterator[feeds.Window], config, mesh, steps: int) -> float:
    """Examples a second in so many steps of training, without the first one, which compiles."""
    model, optimizer = models.build(config), optimizers.make_optimizer(config, 1)
    state = jax.jit(
        lambda: step.init_state(model, optimizer, registry.input_shapes(config), 0),
        out_shardings=sharding.replicated(mesh),
    )()
    chunk = step.make_chunk(model, optimizer, 0, mesh)
    done, started = 0, None  # timed from when the first step, which compiles, is made
    for window in windows:
        order = jax.device_put((window.index, window.weight), sharding.by_batch(mesh, axis=1))
        first = 0
        if started is None:
            state = jax.block_until_ready(chunk(state, window.data, *order, 0, 1))
            first, started = 1, time.perf_counter()
        last = min(window.last - window.first, first + steps - done)
        state = jax.block_until_ready(chunk(state, window.data, *order, first, last))
        done += last - first
        if done >= steps:
            return done * config.batch_size / (time.perf_counter() - started)
    raise AssertionError("windows do not end")


def epochs(feed: feeds.Feed, n: int, batch: int, width: int) -> Iterator[feeds.Window]:
    for epoch in itertools.count():
        yield from feed.windows("train", *batches.batches(n, batch, width, seed=(0, epoch)))


def measure(folder: pathlib.Path, config, mesh, given) -> tuple[float, float, float]:
    """Examples a second: read, streamed, trained while streaming."""
    names, batch = list(config.modalities), config.batch_size
    width = sharding.padded_size(batch, mesh)
    n = len(pack.open_pack(folder, names))
    n -= n % batch  # whole batches: every example counts once
    order = batches.batches(n, batch, width, seed=0)
    few = {"train": examples(names, n)}
    found = [read(open_arrays(folder, names, given.cold), batches.batches(n, batch, batch, seed=0))]
    feed = streaming.Streamed(open_arrays(folder, names, given.cold), few, {}, mesh)
    found.append(streamed(feed, order) * batch / width)
    feed = streaming.Streamed(open_arrays(folder, names, given.cold), few, {}, mesh)
    found.append(trained(epochs(feed, n, batch, width), config, mesh, given.steps))
    return tuple(found)


def appetite(folder: pathlib.Path, config, mesh, steps: int) -> float:
    """Examples a second in training, of a few that are on the devices."""
    names, batch = list(config.modalities), config.batch_size
    few = {"train": examples(names, min(8 * batch, len(pack.open_pack(folder, names))))}
    used = {name: np.arange(len(few["train"])) for name in names}
    feed = feeds.InMemory(pack.open_pack(folder, names).arrays, used, few, {}, mesh)
    width = sharding.padded_size(batch, mesh)
    windows = epochs(feed, len(few["train"]), batch, width)
    return trained(windows, config, mesh, steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pack", type=pathlib.Path, help="measure this one")
    parser.add_argument("--folder", type=pathlib.Path, help="where packs are made, for a while")
    parser.add_argument("--row", default="face_flow_mel")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--gib", type=float, default=2.0, help="of images in a made pack")
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--steps", type=int, default=50, help="of training that are timed")
    parser.add_argument("--dtype", default="float32", help="of training")
    parser.add_argument("--cold", action="store_true")
    given = parser.parse_args()
    size = pack.open_pack(given.pack).info["size"] if given.pack else given.size
    fields = {"data.size": size, "batch_size": given.batch, "model.dtype": given.dtype}
    config, mesh = resolve.resolve_row(base.get_config(), given.row, fields), sharding.make_mesh()
    shapes = registry.input_shapes(config).values()
    images, nbytes = len(shapes), sum(int(np.prod(x.shape[1:])) for x in shapes)

    print(f"jax {jax.__version__}, {sharding.describe()}, {os.cpu_count()} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}; {given.row} at {size} pixels, batch {given.batch}, ")
    print(f"{given.dtype}, page cache {'cold' if given.cold else 'warm'}")
    print(f"{'':<14}{'GiB on disk':>12}", end="")
    for name in ("read", "streamed", "trained"):
        print(f"{name + ' /s':>12}{'MB/s':>8}", end="")
    print()

    def show(name: str, gib: float | None, rates) -> None:
        print(f"{name:<14}" + (f"{gib:>12.2f}" if gib is not None else " " * 12), end="")
        for rate in rates:
            told = f"{rate * images:>12.0f}{rate * nbytes / 1e6:>8.0f}" if rate else " " * 20
            print(told, end="")
        print(flush=True)

    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        folders = {"pack": given.pack} if given.pack else {}
        for kind in () if given.pack else storage.KINDS:
            folders[kind] = pathlib.Path(made) / kind
            make_pack(folders[kind], config, size, given.gib * 2**30, kind)
        for name, folder in folders.items():
            gib = sum(file.stat().st_size for file in folder.iterdir()) / 2**30
            show(name, gib, measure(folder, config, mesh, given))
        show("memory", None, (0, 0, appetite(folder, config, mesh, given.steps)))


if __name__ == "__main__":
    main()

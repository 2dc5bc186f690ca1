"""Rates at which a pack is read and placed on the devices, and at which a network trains on it.

    python -m benchmarks.reading [--size=128] [--row=face_flow_mel] [--gib=2] [--batch=30]
    python -m benchmarks.reading --pack=PACK --row=face_mel     # an existing pack
    python -m benchmarks.reading --size=32 --gib=0.05 --steps=20     # on a CPU: a minute

Prints images per second, and MB per second of uncompressed pixels, for each storage of a pack:

    read        by one thread, batch after batch in random order
    piped       the same by the input pipeline onto the devices, without training
    trained     training steps of the row with the input pipeline
    on devices  training steps on batches that stay on the devices: the most that they can consume

Without --pack it writes packs of synthetic images, which records compress to about two thirds, as
they do frames of RAVDESS (0.61 at 128 pixels). --cold removes a pack from the page cache before
each measurement; without it, a pack that fits there is read from memory.
"""

import argparse
import itertools
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator, Mapping

import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh

from benchmarks import rates, trainer
from configs import base
from mmer_jax.config import resolve
from mmer_jax.datasets import pack, storage
from mmer_jax.datasets.selection import Examples
from mmer_jax.models import registry
from mmer_jax.training import input_pipeline, sharding, step

COLUMNS = ("read", "piped", "trained", "on devices")

_INFO = {"dataset": "none", "origin": "made", "builder_config": "triplets", "version": "1.0.0"}
_CHUNK = 256  # examples that are drawn at a time


def make_pack(
    folder: pathlib.Path, config: ml_collections.ConfigDict, nbytes: float, kind: str
) -> None:
    """Writes a pack of synthetic images: patches of few values, with noise.

    Args:
      folder: Folder of the pack.
      config: Config of one row, whose modalities, size, emotions and audio variants the pack has.
      nbytes: Bytes of images, approximately; the pack has 256 examples at least.
      kind: Storage, one of storage.KINDS.
    """
    rng = np.random.default_rng(0)
    size = config.data.size
    channels = {name: x.shape[-1] for name, x in registry.input_shapes(config).items()}
    n = max(_CHUNK, int(nbytes / (size**2 * sum(channels.values()))))
    dtypes = {"U": "U1", "i": np.int32, "f": np.float32}
    table = {name: np.zeros(n, dtypes[column]) for name, column in pack.COLUMNS.items()}
    table["clip"] = np.array([f"clip{i:09d}" for i in range(n)])
    table["emotion"] = np.resize(config.data.emotions, n)
    table["audio_variant"] = np.resize(config.data.audio_variants, n)
    info = _INFO | {"options": {}, "skipped": {}}
    with pack.PackWriter(folder, info, table, list(channels), size, kind) as writer:
        for start in range(0, n, _CHUNK):
            for name, c in channels.items():
                patches = 32 * rng.integers(0, 8, (_CHUNK, -(-size // 8), -(-size // 8), c))
                patches = patches.repeat(8, 1).repeat(8, 2)[:, :size, :size]
                images = patches + rng.integers(0, 4, patches.shape)
                writer.arrays[name][start : start + _CHUNK] = images[: n - start]


def measure(
    folder: pathlib.Path, config: ml_collections.ConfigDict, mesh: Mesh, steps: int, cold: bool
) -> list[float]:
    """Returns examples per second for each of COLUMNS."""

    def open_arrays() -> Mapping[str, np.ndarray]:
        if cold:
            _remove_from_page_cache(folder)
        return pack.open_pack(folder, config.modalities).arrays

    n = len(pack.open_pack(folder, config.modalities))
    n -= n % config.batch_size  # equal batches
    examples = trainer.make_examples(config, np.arange(n))
    rate_read = _rate_read(open_arrays(), examples, config.batch_size)
    pipeline = input_pipeline.InputPipeline(open_arrays(), {}, mesh)
    rate_piped = _rate_piped(pipeline, examples, config.batch_size)
    pipeline = input_pipeline.InputPipeline(open_arrays(), {}, mesh)
    batches = _endless_batches(pipeline, examples, config.batch_size)
    rate_trained = _rate_trained(batches, config, mesh, steps)
    on_devices = list(itertools.islice(batches, 8))
    rate_on_devices = _rate_trained(itertools.cycle(on_devices), config, mesh, steps)
    return [rate_read, rate_piped, rate_trained, rate_on_devices]


def _remove_from_page_cache(folder: pathlib.Path) -> None:
    for path in folder.iterdir():
        with open(path, "rb") as f:
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _rate_read(arrays: Mapping[str, np.ndarray], examples: Examples, batch_size: int) -> float:
    order = input_pipeline.shuffled(len(examples), 0, 0).reshape(-1, batch_size)
    start = time.perf_counter()
    for batch in order:
        for array in arrays.values():
            array[batch]
    return len(examples) / (time.perf_counter() - start)


def _rate_piped(
    pipeline: input_pipeline.InputPipeline, examples: Examples, batch_size: int
) -> float:
    start = time.perf_counter()
    for batch in trainer.epoch_batches(pipeline, examples, batch_size):
        jax.block_until_ready(batch)
    return len(examples) / (time.perf_counter() - start)


def _rate_trained(
    batches: Iterator[input_pipeline.Batch],
    config: ml_collections.ConfigDict,
    mesh: Mesh,
    steps: int,
) -> float:
    """Returns examples per second without the first step, which compiles."""
    training = trainer.Trainer(config, mesh)
    training.train([next(batches)])
    start = time.perf_counter()
    training.train(itertools.islice(batches, steps))
    return steps * config.batch_size / (time.perf_counter() - start)


def _endless_batches(
    pipeline: input_pipeline.InputPipeline, examples: Examples, batch_size: int
) -> Iterator[input_pipeline.Batch]:
    for epoch in itertools.count():
        yield from trainer.epoch_batches(pipeline, examples, batch_size, epoch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pack", type=pathlib.Path, help="the pack to read, instead of new ones")
    parser.add_argument("--folder", type=pathlib.Path, help="parent of the temporary packs")
    parser.add_argument("--row", default="face_flow_mel")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--gib", type=float, default=2.0, help="images in a new pack")
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--steps", type=int, default=50, help="training steps that are timed")
    parser.add_argument("--dtype", default="float32", choices=step.DTYPES, help="of training")
    parser.add_argument("--cold", action="store_true", help="empty the page cache first")
    args = parser.parse_args()
    sharding.keep_freed_memory()  # as run.py does
    size = pack.open_pack(args.pack).info["size"] if args.pack else args.size
    fields = {"data.size": size, "batch_size": args.batch, "compute_dtype": args.dtype}
    config = resolve.resolve_row(base.get_config(), args.row, fields)
    mesh = sharding.make_mesh()
    shapes = registry.input_shapes(config).values()
    images, mb = len(shapes), sum(x.size for x in shapes) / 1e6  # of an example

    print(
        f"{rates.machine()}; {args.row} at {size} pixels, batch {args.batch}, {args.dtype}, page "
        f"cache {'cold' if args.cold else 'warm'}; images/s and MB/s"
    )
    print(f"{'':<14}{'GiB on disk':>12}" + "".join(f"{name:>20}" for name in COLUMNS))
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        packs = {"pack": args.pack} if args.pack else {}
        for kind in () if args.pack else storage.KINDS:
            packs[kind] = pathlib.Path(temporary) / kind
            make_pack(packs[kind], config, args.gib * 2**30, kind)
        for name, folder in packs.items():
            gib = sum(path.stat().st_size for path in folder.iterdir()) / 2**30
            examples_per_second = measure(folder, config, mesh, args.steps, args.cold)
            cells = "".join(f"{x * images:>12.0f}{x * mb:>8.0f}" for x in examples_per_second)
            print(f"{name:<14}{gib:>12.2f}{cells}", flush=True)


if __name__ == "__main__":
    main()

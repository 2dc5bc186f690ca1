"""How fast the RAVDESS builder makes triplets, and how much memory that takes (Linux).

    python benchmarks/build_dataset.py FOLDER [--clips=60] [--workers=N] [--ways=...]
    python benchmarks/build_dataset.py FOLDER --clips=10,100,1000 --ways=build,beam    # memory

FOLDER holds original clips (.mp4 under RAVDESS names). They are linked under further names, so that
a handful lasts long enough to measure. Each way is measured in a process of its own:

    decode1, decode   the floor: every frame of the clips decoded and none converted, by one
                      worker, and by all
    build1, build     the plain build, by one worker, and by all
    beam              the build under Apache Beam's local runner, its workers being processes

The time is that of the whole run: workers start and load their libraries in it, Beam's TensorFlow
too. It is set beside the floor of as many workers. "Once started" leaves out the first clip of each
worker. Memory is the peak of all processes together; what they share is counted once.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from unittest import mock

from mmer_jax.corpora import ravdess, recordings
from mmer_jax.media import video
from mmer_jax.synthetic.ravdess import clip_names
from mmer_jax.utils import parallel

CHANNELS = [("audio_video",)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", default="60", help="how many; several by commas (default 60)")
    parser.add_argument("--ways", default=",".join(WAYS), help=f"of {','.join(WAYS)} (default all)")
    parser.add_argument("--workers", type=int, default=parallel.cores())
    arguments = parser.parse_args()
    ways = arguments.ways.split(",")
    if unknown := set(ways) - set(WAYS):
        raise SystemExit(f"unknown ways {', '.join(unknown)}; known: {', '.join(WAYS)}")
    print(
        f"builder config triplets, {arguments.workers} workers\n\n"
        f"{'clips':>6}  {'':<9}{'clips/s':>9}{'once started':>14}{'whole run, s':>14}"
        f"{'x floor':>9}{'CPU s a clip':>14}{'peak MiB':>10}"
    )
    for clips in map(int, arguments.clips.split(",")):
        measured: dict[str, Measured] = {}
        for way in ways:
            found = measured[way] = measure(arguments.folder, clips, way, arguments.workers)
            floor = measured.get("decode1" if way.endswith("1") else "decode")
            times = f"{found.seconds / floor.seconds:.2f}" if floor else ""
            started = f"{found.rate:.2f}" if found.rate else ""
            print(
                f"{clips:>6}  {way:<9}{clips / found.seconds:>9.2f}{started:>14}"
                f"{found.seconds:>14.1f}{times:>9}{found.cpu / clips:>14.2f}"
                f"{found.memory / 2**20:>10.0f}",
                flush=True,
            )


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one way took.

    Attributes:
      seconds: of the whole run.
      rate: clips a second, without each worker's first; None where clips are not seen to pass.
      cpu: processor seconds in all processes, their start included; other programs on a busy
        machine lengthen the time, this they leave as it is.
      memory: bytes, the peak.
    """

    seconds: float
    rate: float | None
    cpu: float
    memory: int


def measure(folder: Path, clips: int, way: str, workers: int) -> Measured:
    """Measures one way in a fresh process."""
    fresh = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as place,
        concurrent.futures.ProcessPoolExecutor(1, mp_context=fresh) as process,
    ):
        link_clips(folder, Path(place) / "clips", clips)
        return process.submit(_measure, Path(place), clips, way, workers).result()


def _measure(place: Path, clips: int, way: str, workers: int) -> Measured:
    workers = 1 if way.endswith("1") else workers
    run = Run(workers)
    with contextlib.redirect_stdout(sys.stderr):  # TFDS's own words stay out of the table
        examples = WAYS[way](place / "clips", place / "data", workers, run)
    measured = run.end()
    if examples not in (None, 3 * clips):
        raise SystemExit(f"{clips} clips gave {examples} examples")
    return measured


def decode(manual: Path, data_dir: Path, workers: int, run: "Run") -> None:
    """Decodes every frame of every clip and does nothing with it."""
    paths = [r.path for r in recordings.select(manual, CHANNELS).recordings]
    work = partial(video.read_frames, indices=())
    for _ in run.count(parallel.ordered_map(work, paths, workers)):
        pass


def build(manual: Path, data_dir: Path, workers: int, run: "Run") -> int:
    """The real builder, with its stream of finished clips counted as TFDS takes them."""
    from mmer_jax.datasets import tfds_io

    original = parallel.ordered_map
    with mock.patch("mmer_jax.utils.parallel.ordered_map", lambda *a: run.count(original(*a))):
        return tfds_io.ensure_built(data_dir=data_dir, manual_dir=manual, workers=workers).examples


def build_by_beam(manual: Path, data_dir: Path, workers: int, run: "Run") -> int:
    """The real builder under Beam, as `tfds build --beam_pipeline_options=...` has it."""
    import tensorflow_datasets as tfds
    from apache_beam.options.pipeline_options import PipelineOptions

    from tfds_builders.ravdess.ravdess_dataset_builder import Builder

    options = PipelineOptions(
        runner="FnApiRunner", direct_running_mode="multi_processing", direct_num_workers=workers
    )
    builder = Builder(config="triplets", data_dir=data_dir)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual, beam_options=options)
    )
    return builder.info.splits["train"].num_examples


# Each gives the number of examples, if there are any.
WAYS: dict[str, Callable[..., int | None]] = {
    "decode1": decode,
    "decode": decode,
    "build1": build,
    "build": build,
    "beam": build_by_beam,
}


class Run:
    """Times a stream of finished clips, and watches the memory of this process and those below."""

    def __init__(self, workers: int):
        self._workers = workers
        self._start = time.monotonic()
        self._used = sum(os.times()[:4])
        self._finished: list[float] = []
        self._peak = 0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def count(self, outcomes: Iterable) -> Iterator:
        for outcome in outcomes:
            self._finished.append(time.monotonic())
            yield outcome

    def end(self) -> Measured:
        seconds = time.monotonic() - self._start
        self._over.set()
        self._watcher.join()
        times = self._finished[self._workers - 1 :]
        rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else None
        return Measured(seconds, rate, sum(os.times()[:4]) - self._used, self._peak)

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            self._peak = max(self._peak, used_memory(os.getpid()))


def link_clips(folder: Path, manual: Path, clips: int) -> None:
    """Links the audio-video clips below `folder`, one after the other, under `clips` names."""
    originals = [Path(r.path).resolve() for r in recordings.select(folder, CHANNELS).recordings]
    names = clip_names(len(ravdess.ACTORS), ravdess.EMOTIONS.values())
    if not 1 <= clips <= len(names):
        raise SystemExit(f"--clips goes from 1 to {len(names)}: RAVDESS has no more names")
    for name, original in zip(names[:clips], itertools.cycle(originals), strict=False):
        target = manual / f"Actor_{name[-2:]}" / f"{name}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(original)


def used_memory(pid: int) -> int:
    """Bytes of a process and its descendants; pages that several share are divided among them."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
        children = Path(f"/proc/{pid}/task").glob("*/children")
        pids = [int(p) for file in children for p in file.read_text().split()]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return total  # it has just ended
    return total + sum(map(used_memory, pids))


if __name__ == "__main__":
    main()

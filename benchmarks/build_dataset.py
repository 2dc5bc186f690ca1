"""Throughput and memory of building triplets with the RAVDESS builder (Linux).

    python benchmarks/build_dataset.py FOLDER [--clips=60] [--workers=N] [--ways=...]
    python benchmarks/build_dataset.py FOLDER --clips=10,100,1000 --ways=build,beam    # memory

FOLDER contains original clips (.mp4 under RAVDESS names). They are linked under further names, so
that a handful lasts long enough to measure. Each way is measured in a process of its own:

    decode1, decode   the baseline: every frame of the clips decoded and none converted, by one
                      worker, and by all
    build1, build     the build, by one worker, and by all
    beam              the build under Apache Beam's local runner, whose workers are processes

Times are those of the whole run, in which workers start and load their libraries (TensorFlow too in
Beam's), also as multiples of the baseline with as many workers. "After start-up" leaves out each
worker's first clip, and needs dozens of clips. Memory is the peak of all processes together; shared
pages are counted once.
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
    parser.add_argument("--clips", default="60", help="numbers of clips, comma-separated")
    parser.add_argument("--ways", default=",".join(WAYS), help=f"of {','.join(WAYS)} (default all)")
    parser.add_argument("--workers", type=int, default=parallel.cores())
    args = parser.parse_args()
    ways = args.ways.split(",")
    if unknown := set(ways) - set(WAYS):
        raise SystemExit(f"unknown ways {', '.join(unknown)}; available: {', '.join(WAYS)}")
    print(
        f"builder config triplets, {args.workers} workers\n\n"
        f"{'clips':>6}  {'':<9}{'clips/s':>9}{'after start-up':>16}{'whole run, s':>14}"
        f"{'x baseline':>12}{'CPU s per clip':>16}{'peak MiB':>10}"
    )
    for clips in map(int, args.clips.split(",")):
        measurements: dict[str, Measurement] = {}
        for way in ways:
            m = measurements[way] = measure(args.folder, clips, way, args.workers)
            baseline = measurements.get("decode1" if way.endswith("1") else "decode")
            ratio = f"{m.seconds / baseline.seconds:.2f}" if baseline else ""
            rate = f"{m.rate:.2f}" if m.rate else ""
            print(
                f"{clips:>6}  {way:<9}{clips / m.seconds:>9.2f}{rate:>16}{m.seconds:>14.1f}"
                f"{ratio:>12}{m.cpu_seconds / clips:>16.2f}{m.peak_bytes / 2**20:>10.0f}",
                flush=True,
            )


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Time and memory of one run.

    Attributes:
      seconds: Duration of the whole run.
      rate: Clips per second without each worker's first; None where single clips are not observed.
      cpu_seconds: Processor time of all processes, their start included. Unlike the duration, it
        hardly depends on what else runs on the machine.
      peak_bytes: Peak memory.
    """

    seconds: float
    rate: float | None
    cpu_seconds: float
    peak_bytes: int


def measure(folder: Path, clips: int, way: str, workers: int) -> Measurement:
    """Measures one of WAYS in a new process."""
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as temporary,
        concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as process,
    ):
        link_clips(folder, Path(temporary) / "clips", clips)
        return process.submit(_measure, Path(temporary), clips, way, workers).result()


def _measure(folder: Path, clips: int, way: str, workers: int) -> Measurement:
    workers = 1 if way.endswith("1") else workers
    monitor = Monitor(workers)
    with contextlib.redirect_stdout(sys.stderr):  # keeps the messages of TFDS out of the table
        examples = WAYS[way](folder / "clips", folder / "data", workers, monitor)
    measurement = monitor.stop()
    if examples not in (None, 3 * clips):
        raise SystemExit(f"{clips} clips gave {examples} examples, expected {3 * clips}")
    return measurement


class Monitor:
    """Counts finished clips, and samples the memory of this process and its descendants.

    Args:
      workers: Number of workers, whose first clips are not part of the rate.
    """

    def __init__(self, workers: int):
        self._workers = workers
        self._start = time.monotonic()
        self._cpu_start = sum(os.times()[:4])
        self._finish_times: list[float] = []
        self._peak = 0
        self._stopped = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    def count(self, outcomes: Iterable) -> Iterator:
        """Yields the outcomes of clips, and records when each was finished."""
        for outcome in outcomes:
            self._finish_times.append(time.monotonic())
            yield outcome

    def stop(self) -> Measurement:
        """Ends the measurement."""
        seconds = time.monotonic() - self._start
        self._stopped.set()
        self._sampler.join()
        times = self._finish_times[self._workers - 1 :]
        rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else None
        return Measurement(seconds, rate, sum(os.times()[:4]) - self._cpu_start, self._peak)

    def _sample(self) -> None:
        while not self._stopped.wait(0.25):
            self._peak = max(self._peak, memory_bytes(os.getpid()))


def decode(manual_dir: Path, data_dir: Path, workers: int, monitor: Monitor) -> None:
    """Decodes every frame of every clip and discards it."""
    del data_dir
    paths = [r.path for r in recordings.select(manual_dir, CHANNELS).recordings]
    function = partial(video.read_frames, indices=())
    for _ in monitor.count(parallel.ordered_map(function, paths, workers)):
        pass


def build(manual_dir: Path, data_dir: Path, workers: int, monitor: Monitor) -> int:
    """Builds the dataset, and counts clips as TFDS takes them."""
    from mmer_jax.datasets import tfds_io

    original = parallel.ordered_map
    with mock.patch("mmer_jax.utils.parallel.ordered_map", lambda *a: monitor.count(original(*a))):
        built = tfds_io.ensure_built(data_dir=data_dir, manual_dir=manual_dir, workers=workers)
    return built.examples


def build_with_beam(manual_dir: Path, data_dir: Path, workers: int, monitor: Monitor) -> int:
    """Builds the dataset under Beam, as `tfds build --beam_pipeline_options=...` does."""
    del monitor
    import tensorflow_datasets as tfds
    from apache_beam.options.pipeline_options import PipelineOptions

    from tfds_builders.ravdess.ravdess_dataset_builder import Builder

    options = PipelineOptions(
        runner="FnApiRunner", direct_running_mode="multi_processing", direct_num_workers=workers
    )
    builder = Builder(config="triplets", data_dir=data_dir)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, beam_options=options)
    )
    return builder.info.splits["train"].num_examples


# Name -> function that returns the number of examples, or None.
WAYS: dict[str, Callable[[Path, Path, int, Monitor], int | None]] = {
    "decode1": decode,
    "decode": decode,
    "build1": build,
    "build": build,
    "beam": build_with_beam,
}


def link_clips(folder: Path, manual_dir: Path, clips: int) -> None:
    """Links the audio-video clips in `folder`, in turn, under the given number of names."""
    originals = [Path(r.path).resolve() for r in recordings.select(folder, CHANNELS).recordings]
    names = clip_names(len(ravdess.ACTORS), ravdess.EMOTIONS.values())
    if not 1 <= clips <= len(names):
        raise SystemExit(f"--clips is {clips}; it must be 1 to {len(names)}, RAVDESS's clips")
    for name, original in zip(names[:clips], itertools.cycle(originals), strict=False):
        target = manual_dir / f"Actor_{name[-2:]}" / f"{name}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(original)


def memory_bytes(pid: int) -> int:
    """Returns the memory of a process and its descendants; each shared page counts once."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):  # shared pages are divided among the processes
                total += int(line.split()[1]) * 1024
        children = Path(f"/proc/{pid}/task").glob("*/children")
        pids = [int(p) for file in children for p in file.read_text().split()]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return total  # the process has just ended
    return total + sum(map(memory_bytes, pids))


if __name__ == "__main__":
    main()

"""How fast the RAVDESS builder makes triplets, and how much memory that takes (Linux).

    python -m benchmarks.build_dataset FOLDER [--clips=60] [--ways=one,all,beam]
    python -m benchmarks.build_dataset FOLDER --clips=10,100,1000 --ways=all     # is memory flat?

FOLDER holds original clips (.mp4 under RAVDESS names). They are linked under further names, so that
a handful lasts long enough to measure. The floor of `one` and `all` is decoding alone: every frame
of the same clips, in as many processes of one thread each, none converted. Beam runs with its
direct runner, as many processes, and its floor is that of `all`. "Once started" leaves out the
first clip of each worker, which waits for processes to start and libraries to load; Beam does not
tell of single clips.
"""

import argparse
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import tensorflow_datasets as tfds

from mmer_jax import parallel
from mmer_jax.datasets import recordings, tfds_io
from mmer_jax.media import video

CHANNELS = [("audio_video",)]
WAYS = ("one", "all", "beam")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", default="60", help="how many; several numbers are several runs")
    parser.add_argument("--ways", default=",".join(WAYS))
    given = parser.parse_args()
    print(f"{parallel.cores()} cores, load {os.getloadavg()[0]:.1f} before the start, triplets")
    print(
        f"{'':<22}{'clips':>6}{'once started, s a clip':>24}{'of floor':>10}{'CPU s a clip':>14}"
        f"{'whole run, s':>14}{'peak, 1st and 2nd half':>26}",
        flush=True,
    )
    for way, count in itertools.product(given.ways.split(","), map(int, given.clips.split(","))):
        workers = 1 if way == "one" else parallel.cores()
        with tempfile.TemporaryDirectory() as folder:
            manual, data_dir = Path(folder) / "clips", Path(folder) / "data"
            link_clips(given.folder, manual, count)
            if way == "beam":
                show(f"Beam, {workers} processes", build_with_beam(manual, data_dir, workers))
            else:
                floor = decode_all(manual, workers)
                show(f"decoding, {workers} workers", floor)
                show(f"build, {workers} workers", build(manual, data_dir, workers), floor)


def show(name: str, run: "Run", floor: "Run | None" = None) -> None:
    """One line of the table."""
    started = f"{run.pace:.3f}" if run.pace else "-"
    times = f"{run.pace / floor.pace:.2f}" if floor else ""
    halves = " ".join(f"{half / 2**20:.0f}" for half in run.memory) + " MiB"
    print(
        f"{name:<22}{run.clips:>6}{started:>24}{times:>10}{run.cpu:>14.2f}"
        f"{run.seconds:>14.1f}{halves:>26}",
        flush=True,
    )


class Run:
    """Times a stream of finished clips, and watches memory meanwhile.

    Attributes:
      clips, seconds: how many were finished in how long.
      pace: seconds between finished clips, without each worker's first; None if it is not told.
      cpu: processor seconds a clip in all processes, their start included; other programs on a busy
        machine slow the rate down, this they leave as it is.
      memory: bytes, the peak in the first and in the second half of the run.
    """

    def __init__(self, workers: int):
        self._workers = workers
        self._start = time.monotonic()
        self._used = sum(os.times()[:4])
        self._finished: list[float] = []
        self._seen: list[int] = []
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def count(self, outcomes: Iterable) -> Iterator:
        for outcome in outcomes:
            self._finished.append(time.monotonic())
            yield outcome

    def end(self, clips: int | None = None) -> "Run":
        self.seconds = time.monotonic() - self._start
        self._over.set()
        self._watcher.join()
        self.clips = clips or len(self._finished)
        self.cpu = (sum(os.times()[:4]) - self._used) / self.clips
        first = self._workers - 1
        self.pace = None
        if self._finished:
            span = self._finished[-1] - self._finished[first]
            self.pace = span / (self.clips - 1 - first)
        half = max(1, len(self._seen) // 2)
        self.memory = max(self._seen[:half]), max(self._seen[half:] or [0])
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            self._seen.append(used_memory(os.getpid()))


def decode_all(manual: Path, workers: int) -> Run:
    """Decodes every frame of every clip and does nothing with it."""
    paths = [r.path for r in recordings.select(manual, CHANNELS).recordings]
    run = Run(workers)
    decode = partial(video.read_frames, wanted=())
    for _ in run.count(parallel.ordered_map(decode, paths, workers)):
        pass
    return run.end()


def build(manual: Path, data_dir: Path, workers: int) -> Run:
    """The real builder, with its stream of finished clips counted as TFDS takes them."""
    run = Run(workers)
    original = parallel.ordered_map
    with mock.patch("mmer_jax.parallel.ordered_map", lambda *a: run.count(original(*a))):
        built = tfds_io.ensure_built(data_dir=data_dir, manual_dir=manual, workers=workers)
    run.end()
    if built.examples != 3 * run.clips:
        raise SystemExit(f"{run.clips} clips gave {built.examples} examples")
    return run


def build_with_beam(manual: Path, data_dir: Path, workers: int) -> Run:
    """The builder under Apache Beam's direct runner."""
    from apache_beam.options.pipeline_options import PipelineOptions

    from tfds_builders.ravdess import ravdess_dataset_builder

    options = ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
    builder = ravdess_dataset_builder.Builder(config="triplets", data_dir=data_dir)
    run = Run(workers)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            manual_dir=manual, beam_options=PipelineOptions(options)
        )
    )
    return run.end(builder.info.splits["train"].num_examples // 3)


def link_clips(folder: Path, manual: Path, count: int) -> None:
    """Links the audio-video clips below `folder`, in turn, under `count` names of RAVDESS."""
    names = (
        f"01-01-{emotion:02d}-{intensity:02d}-{statement:02d}-{repetition:02d}-{actor:02d}.mp4"
        for emotion, intensity, statement, repetition, actor in itertools.product(
            range(2, 9), (1, 2), (1, 2), (1, 2), range(1, 25)
        )
    )
    originals = itertools.cycle(recordings.select(folder, CHANNELS).recordings)
    for name, original in zip(itertools.islice(names, count), originals, strict=False):
        target = manual / f"Actor_{name[-6:-4]}" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(Path(original.path).resolve())


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

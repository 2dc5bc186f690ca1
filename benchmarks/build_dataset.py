"""How fast the RAVDESS builder makes triplets, and how much memory that takes (Linux).

    python benchmarks/build_dataset.py FOLDER [--copies=12] [--workers=N]

FOLDER holds original clips (.mp4 under RAVDESS names). They are linked under further names, so that
a handful lasts long enough to measure. The floor is decoding alone: every frame of the same clips,
in as many processes, none converted. "Once started" leaves out the first clip of each worker,
which waits for processes to start and libraries to load.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from unittest import mock

from mmer_jax import parallel
from mmer_jax.datasets import recordings, tfds_io
from mmer_jax.media import video

CHANNELS = [("audio_video",)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=12, help="of each clip (default 12)")
    parser.add_argument("--workers", type=int, default=parallel.cores())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        manual = Path(folder) / "clips"
        link_copies(arguments.folder, manual, arguments.copies)
        floor = decode_all(manual, arguments.workers)
        built = build(manual, Path(folder) / "data", arguments.workers)
    print(f"\n{built.clips} clips, {arguments.workers} workers, builder config triplets")
    print(
        f"{'':<18}{'clips/s once started':>22}{'share of floor':>16}{'CPU s a clip':>14}"
        f"{'whole run, s':>14}"
    )
    for name, run in (("decoding alone", floor), ("tfds build", built)):
        share = f"{run.rate / floor.rate:.0%}"
        print(f"{name:<18}{run.rate:>22.2f}{share:>16}{run.cpu:>14.2f}{run.seconds:>14.1f}")
    first, second = (f"{half / 2**20:.0f} MiB" for half in built.memory)
    print(f"peak memory of all processes: {first} in the first half, {second} in the second")


class Run:
    """Times a stream of finished clips, and watches memory meanwhile.

    Attributes:
      clips, seconds: how many were finished in how long.
      rate: clips a second, without each worker's first.
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

    def end(self) -> "Run":
        self.seconds = time.monotonic() - self._start
        self._over.set()
        self._watcher.join()
        self.clips = len(self._finished)
        self.cpu = (sum(os.times()[:4]) - self._used) / self.clips
        first = self._workers - 1
        self.rate = (self.clips - 1 - first) / (self._finished[-1] - self._finished[first])
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


def link_copies(folder: Path, manual: Path, copies: int) -> None:
    """Links each audio-video clip below `folder` under the names of `copies` actors."""
    if not 1 <= copies <= 24:
        raise SystemExit("--copies goes from 1 to 24: there is one for each actor")
    for recording in recordings.select(folder, CHANNELS).recordings:
        for actor in range(1, copies + 1):
            target = manual / f"Actor_{actor:02d}" / f"{recording.name[:-2]}{actor:02d}.mp4"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(recording.path).resolve())


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

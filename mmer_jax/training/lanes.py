"""Cells on their places: one after the other, or several at once where that was found faster.

A place is a row of the mesh of cells and data (see hosts.py): the devices that train one cell. The
networks are small, and between their steps a device waits for checkpoints, for measuring, for the
next cell to be compiled. So several cells can be trained on one place at once, each by a thread of
its own: the device computes for one while another's host is busy. (A GPU takes the kernels of one
process one after the other: what one kernel leaves idle of it stays idle.) Every cell is computed
by the same program as by itself: its numbers are equal, bit for bit.

How many is measured while they train. First one trains alone; then two, then four: as long as the
steps that are made in a second grow by a worthwhile part. Only cells of one row are compared.
"""

import concurrent.futures
import dataclasses
import functools
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mmer_jax.training import feeds, preemption
from mmer_jax.training.loop import DeviceMemoryError

# More at once must make so many times the steps of fewer.
WORTHWHILE = 1.05
# Numbers tried, the most at once.
MOST = feeds.MOST_AT_ONCE
# Seconds over which a number is measured.
WINDOW = 10.0
# Seconds between two looks at how far it is.
_LOOK = 0.25


class Meter:
    """Counts the steps of cells that are trained at once, each on a lane of its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._chunks: list[tuple[float, float, int]] = []
        self._reports: dict[int, list[float]] = {}  # lane -> ends of its chunks

    def count(self, lane: int, steps: int, seconds: float) -> None:
        """So many steps have just been made on a lane, in so many seconds."""
        now = self._clock()
        with self._lock:
            self._reports.setdefault(lane, []).append(now)
            self._chunks.append((now - seconds, now, steps))

    def clear(self) -> None:
        """Forgets; those who count now are others, or more."""
        with self._lock:
            self._chunks, self._reports = [], {}

    def rate(self, lanes: int, window: float) -> float | None:
        """Steps a second over a window at whose ends all lanes were in use, or None by now.

        A lane's first chunk, which may hold compilation, is left out.
        """
        with self._lock:
            reports = [list(r) for r in self._reports.values() if len(r) > 1]
            chunks = list(self._chunks)
        if len(reports) < lanes:
            return None
        start, end = max(r[0] for r in reports), min(r[-1] for r in reports)
        if end - start < window:
            return None
        made = sum(
            steps * max(0.0, min(b, end) - max(a, start)) / max(b - a, 1e-9)
            for a, b, steps in chunks
        )
        return made / (end - start)


class Choice:
    """How many cells at once, settled while they train.

    Attributes:
      wanted: how many may train now.
    """

    def __init__(
        self, fixed: int, window: float = WINDOW, clock: Callable[[], float] = time.monotonic
    ):
        self.wanted = fixed or 1
        self.meter = Meter(clock)
        self._settled = bool(fixed)
        self._window = window
        self._row: str | None = None  # what `_best` was measured with
        self._best = (1, 0.0)

    def count(self, lane: int, steps: int, seconds: float) -> None:
        """As the meter has it, while anything is to be found out."""
        if not self._settled:
            self.meter.count(lane, steps, seconds)

    def look(self, rows: Sequence[str], waiting: Sequence[str]) -> None:
        """Tries more, or settles, if enough is known.

        Args:
          rows: of the cells in training.
          waiting: rows of those that come next, in their order.
        """
        if self._settled or len(rows) != self.wanted:
            return
        if len(set(rows)) > 1:
            self.meter.clear()  # of two sorts: nothing that could be compared
            return
        if rows[0] != self._row:  # other networks: what was found does not hold for them
            self._row, self._best = rows[0], (1, 0.0)
            self._try(1)
            return
        rate = self.meter.rate(self.wanted, self._window)
        if rate is None:
            return
        if self.wanted > 1 and rate < WORTHWHILE * self._best[1]:
            self.settle(self._best[0])
            return
        self._best = (self.wanted, rate)
        if self.wanted == MOST:
            self.settle(MOST)
            return
        more = min(2 * self.wanted, MOST)
        same = sum(1 for _ in itertools.takewhile(lambda row: row == rows[0], waiting))
        if same >= more - self.wanted:  # else the next row may have enough
            self._try(more)

    def settle(self, number: int) -> None:
        """No more than so many from now on."""
        self.wanted, self._settled = max(1, number), True

    def _try(self, number: int) -> None:
        self.wanted = number
        self.meter.clear()


Work = Callable[[Any, Any, Callable[[int, float], None]], None]


def train_all(
    cells: Sequence[Any], places: Sequence[Any], work: Work, at_once: int = 0, **choice
) -> None:
    """Has every cell trained.

    Args:
      cells: have a `row`.
      places: devices of each; cells go to whichever is free.
      work: called as work(cell, place, on_steps) in a thread; must continue a cell that was begun
        before (see loop.train).
      at_once: how many cells of one place; 0: measured.
      choice: other arguments of Choice.

    Raises:
      whatever `work` raised first; the others are asked to save and stop, and waited for.
      preemption.Interrupted: a signal came.
    """
    if len(cells) < 2 or (len(places) == 1 and at_once == 1):
        for cell in cells:  # nothing is ever at once: no threads
            work(cell, places[0], lambda steps, seconds: None)
        return
    with preemption.noted() as asked:
        queue = _Queue(cells, len(places))
        with concurrent.futures.ThreadPoolExecutor(len(places), "place") as threads:
            runs = [
                threads.submit(_serve, queue, place, work, Choice(at_once, **choice), asked)
                for place in places
            ]
        problems = [p for p in (run.exception() for run in runs) if p is not None]
        # What stopped the others comes first.
        for problem in sorted(problems, key=lambda p: isinstance(p, preemption.Interrupted)):
            raise problem


class _Queue:
    """Cells that wait, taken and given back by the threads of several places."""

    def __init__(self, cells: Iterable[Any], places: int):
        self._cells = deque(cells)
        self._idle = places
        self._lock = threading.Lock()

    def take(self, running: int) -> Any:
        """The next cell, or None; for a place that has so many in training already.

        A second one is given only when there is one for every place that has none.
        """
        with self._lock:
            if len(self._cells) <= (self._idle if running else 0):
                return None
            self._idle -= not running
            return self._cells.popleft()

    def has_none(self) -> None:
        """A place has none in training any more."""
        with self._lock:
            self._idle += 1

    def give_back(self, cell: Any) -> None:
        with self._lock:
            self._cells.appendleft(cell)

    def rows(self) -> list[str]:
        with self._lock:
            return [cell.row for cell in self._cells]


@dataclasses.dataclass
class _Running:
    """A cell in training, its lane, and whether another was in training beside it."""

    cell: Any
    lane: int
    beside: bool


def _serve(queue: _Queue, place, work: Work, choice: Choice, asked: preemption.Noted) -> None:
    """Trains cells on one place until none is left, or until something is wrong."""
    running: dict[concurrent.futures.Future, _Running] = {}
    lanes = range(max(MOST, choice.wanted))
    with concurrent.futures.ThreadPoolExecutor(len(lanes), "cell") as threads:
        try:
            while True:
                while len(running) < choice.wanted and not asked.received:
                    if (cell := queue.take(len(running))) is None:
                        break
                    lane = min(set(lanes) - {r.lane for r in running.values()})
                    count = functools.partial(choice.count, lane)
                    new = threads.submit(work, cell, place, count)
                    running[new] = _Running(cell, lane, False)
                    for r in running.values():
                        r.beside |= len(running) > 1
                if not running:
                    if asked.received and queue.rows():
                        raise preemption.Interrupted(asked.received)
                    return
                for run in list(concurrent.futures.wait(running, _LOOK, "FIRST_COMPLETED").done):
                    ended = running.pop(run)
                    if not running:
                        queue.has_none()
                    try:
                        run.result()
                    except DeviceMemoryError:
                        if not ended.beside:
                            raise
                        # Fewer at once; this one goes on from where it was saved.
                        choice.settle(min(choice.wanted - 1, len(running)))
                        queue.give_back(ended.cell)
                    del run  # an error in it would keep the arrays of its training
                choice.look([r.cell.row for r in running.values()], queue.rows())
        except BaseException:
            asked.stop()  # the others save and end, here and on other places
            raise

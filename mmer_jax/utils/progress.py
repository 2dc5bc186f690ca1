"""Progress of long work: one rewritten line on a terminal, plain lines in a log."""

import shutil
import sys
import time
import weakref
from collections.abc import Callable
from typing import TextIO

# Open Progress objects on a terminal. A single one rewrites its line. Several write plain lines,
# since each would overwrite the lines of the others.
_on_terminal: "weakref.WeakSet[Progress]" = weakref.WeakSet()

_LOG_SECONDS = 30.0  # between lines in a log
_TERMINAL_SECONDS = 0.1  # between updates of a terminal's line


class Progress:
    """Progress line with a count, a rate and the time left.

        with Progress(len(clips), "rendering", "clips") as progress:
            for clip in clips:
                ...
                progress.update(1, note=clip.name)

    A terminal shows one line, which is rewritten at most ten times per second. Other streams, and a
    terminal with several Progress objects, get a line at the first update, one every 30 seconds,
    and a closing line.

    The rate and the time left are computed from the updates after the first one, which often
    includes start-up or compilation. They are shown from the second update on.

    Args:
      total: Number of items; None if unknown.
      what: Name of the work, such as "rendering".
      unit: Name of the items in the plural, such as "clips".
      stream: Stream to write to; None for standard error.
      done: Number of items that an earlier run, which is resumed, has done. They are included in
        the count but not in the rate.
      clock: Function that returns seconds since any fixed point in time.

    Attributes:
      total: Number of items, or None if unknown. May be set later.
      done: Number of items done, including those of an earlier run.
    """

    def __init__(
        self,
        total: int | None,
        what: str,
        unit: str,
        stream: TextIO | None = None,
        *,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.total, self.what, self.unit = total, what, unit
        self.done = done
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        if self._is_terminal:
            _on_terminal.add(self)
        self._clock = clock
        self._start = self._next_line = clock()
        self._first_update: float | None = None  # time
        self._done_untimed = 0  # items that the rate does not include
        self._width = 0  # width of the current line of the terminal
        self._note = ""
        self._is_closed = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.close(finished=kind is None)

    def update(self, n: int = 1, note: str = "") -> None:
        """Counts more items as done.

        Args:
          n: Number of items.
          note: Text that is shown at the end of the line until the next note; empty to keep the
            current note.
        """
        self.done += n
        self._note = note or self._note
        now = self._clock()
        if self._first_update is None:
            self._first_update, self._done_untimed = now, self.done
        if now >= self._next_line:
            self._next_line = now + (_TERMINAL_SECONDS if self._rewrites() else _LOG_SECONDS)
            self._write(self._line(now))

    def skip_to(self, done: int) -> None:
        """Raises the count to `done` items without including the new items in the rate."""
        if done > self.done:
            self._done_untimed += done - self.done
            self.done = done

    def close(self, finished: bool = True) -> None:
        """Writes the closing line. Further calls do nothing.

        Args:
          finished: Whether the work is complete; otherwise the line says where it stopped.
        """
        if self._is_closed:
            return
        self._is_closed = True
        _on_terminal.discard(self)
        now = self._clock()
        stopped = "" if finished else "stopped after "
        line = f"{self.what}: {stopped}{self._count()} in {_format_duration(now - self._start)}"
        rate = self._rate(now)
        self._write(line + (f" ({self._format_rate(rate)})" if rate else ""), is_last=True)

    def _rewrites(self) -> bool:
        return self._is_terminal and not (_on_terminal - {self})

    def _count(self) -> str:
        total = "" if self.total is None else f"/{self.total}"
        return f"{self.done}{total} {self.unit}"

    def _rate(self, now: float) -> float:
        """Returns the number of items per second since the first update; 0 if not known yet."""
        if self._first_update is None or now <= self._first_update:
            return 0.0
        return max(0, self.done - self._done_untimed) / (now - self._first_update)

    def _format_rate(self, rate: float) -> str:
        if rate >= 1:
            return f"{rate:.1f} {self.unit}/s"
        return f"{1 / rate:.1f} s per {self.unit.removesuffix('s')}"

    def _line(self, now: float) -> str:
        parts = [f"{self.what}: {self._count()}"]
        if self.total:
            parts[0] += f" ({100 * self.done / self.total:.0f}%)"
        if rate := self._rate(now):
            parts.append(self._format_rate(rate))
            if self.total:
                left = max(0, self.total - self.done) / rate
                parts.append(f"{_format_duration(left)} left")
        if self._note:
            parts.append(self._note)
        return ", ".join(parts)

    def _write(self, line: str, is_last: bool = False) -> None:
        if not self._is_terminal:
            self._stream.write(line + "\n")
        else:
            # A line wider than the window would wrap, and "\r" does not return to before the wrap.
            line = line[: max(1, shutil.get_terminal_size().columns - 1)]
            ends = is_last or not self._rewrites()
            self._stream.write("\r" + line.ljust(self._width) + "\n" * ends)
            self._width = 0 if ends else len(line)
        self._stream.flush()


def _format_duration(seconds: float) -> str:
    """Formats seconds as m:ss or h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

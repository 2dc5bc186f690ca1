"""How far a long piece of work is: one rewritten line on a terminal, plain lines in a log."""

import shutil
import sys
import time
import weakref
from collections.abc import Callable
from typing import TextIO

# Those that rewrite a line of a terminal. Where there are several, none can: they write lines.
_on_terminal: "weakref.WeakSet[Progress]" = weakref.WeakSet()

_LINE_EVERY = 30.0  # seconds, in a log


class Progress:
    """Count, rate and time left, for people.

        with Progress(len(clips), "rendering", "clips") as progress:
            for clip in clips:
                ...
                progress.update(1, note=clip.name)

    A terminal gets one line, rewritten at most ten times a second. Anything else, and a terminal on
    which several show themselves at once, gets a line at the first update, one every half a minute,
    and a closing one. `update` costs less than a
    microsecond when nothing is due.

    Args:
      total: how many there are; None if that isn't known.
      what: what is being done, as "rendering".
      unit: what is counted, in the plural, as "clips".
      stream: where to; standard error if None.
      done: how many were there before (a resumed run). They count, but not in the rate.
      clock: seconds from any start.
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
        self.done = self._before = done
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        if self._is_terminal:
            _on_terminal.add(self)
        self._clock = clock
        self._start = self._next = clock()
        self._width = 0  # of what stands on the terminal's line
        self._note = ""
        self._closed = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.close(finished=kind is None)

    def update(self, n: int = 1, note: str = "") -> None:
        """Counts `n` more; `note` is shown at the end of the line until the next one."""
        self.done += n
        self._note = note or self._note
        now = self._clock()
        if now >= self._next:
            self._next = now + (0.1 if self._rewrites() else _LINE_EVERY)
            self._show(self._line(now - self._start))

    def skip_to(self, done: int) -> None:
        """Counts up to `done` as there before: in the count, not in the rate."""
        if done > self.done:
            self._before += done - self.done
            self.done = done

    def close(self, finished: bool = True) -> None:
        """Writes the closing line. Only the first call does something."""
        if self._closed:
            return
        self._closed = True
        _on_terminal.discard(self)
        seconds = self._clock() - self._start
        stopped = "" if finished else "stopped after "
        line = f"{self.what}: {stopped}{self._count()} in {_duration(seconds)}"
        rate = self._rate(seconds)
        self._show(line + (f" ({rate})" if rate else ""), last=True)

    def _rewrites(self) -> bool:
        return self._is_terminal and not (_on_terminal - {self})

    def _count(self) -> str:
        of = "" if self.total is None else f"/{self.total}"
        return f"{self.done}{of} {self.unit}"

    def _rate(self, seconds: float) -> str:
        made = self.done - self._before
        if made <= 0 or seconds <= 0:
            return ""
        if made >= seconds:
            return f"{made / seconds:.1f} {self.unit}/s"
        return f"{seconds / made:.1f} s per {self.unit.removesuffix('s')}"

    def _line(self, seconds: float) -> str:
        parts = [f"{self.what}: {self._count()}", self._rate(seconds)]
        made = self.done - self._before
        if self.total and made > 0 and seconds > 0:
            left = max(0, self.total - self.done) * seconds / made
            parts[0] += f" ({100 * self.done / self.total:.0f}%)"
            parts.append(f"{_duration(left)} left")
        parts.append(self._note)
        return ", ".join(part for part in parts if part)

    def _show(self, line: str, last: bool = False) -> None:
        if not self._is_terminal:
            self._stream.write(line + "\n")
        else:
            # A line wider than the window would wrap, and a return doesn't go back over a wrap.
            line = line[: max(1, shutil.get_terminal_size().columns - 1)]
            ends = last or not self._rewrites()
            self._stream.write("\r" + line.ljust(self._width) + "\n" * ends)
            self._width = 0 if ends else len(line)
        self._stream.flush()


def _duration(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

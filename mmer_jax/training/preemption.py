"""SIGTERM and SIGINT, noted instead of obeyed, so that what is in hand is saved first."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interrupted(Exception):
    """A signal asked a run to stop; its state is saved.

    Attributes:
      signum: the signal.
    """

    def __init__(self, signum: int):
        super().__init__(f"stopped by {signal.Signals(signum).name}; the state is saved")
        self.signum = signum


class Noted:
    """What was asked for while `noted` is open.

    Attributes:
      received: the signal that asks to stop, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def stop(self) -> None:
        """Asks as SIGTERM does."""
        self.received = self.received or signal.SIGTERM

    def _note(self, signum, frame) -> None:
        del frame
        if self.received == signal.SIGINT == signum:
            raise KeyboardInterrupt
        self.received = signum


_open: Noted | None = None


@contextlib.contextmanager
def noted() -> Iterator[Noted]:
    """While open, SIGTERM and SIGINT are noted. A second SIGINT is obeyed.

    Within another one, in whichever thread, it is that one: several networks in training are asked
    together. Only the main thread can be told of signals; opened first in another it notes none.
    """
    global _open
    if _open is not None:
        yield _open
        return
    _open, old = Noted(), {}
    try:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT):
                old[signum] = signal.signal(signum, _open._note)
        yield _open
    finally:
        for signum, handler in old.items():
            signal.signal(signum, handler)
        _open = None

"""Preemption: SIGTERM and SIGINT stop a run after its state is saved."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interrupted(Exception):
    """A signal stopped a run; its state is saved.

    Attributes:
      signum: The signal.
    """

    def __init__(self, signum: int):
        super().__init__(f"stopped by {signal.Signals(signum).name}; the state is saved")
        self.signum = signum


class Preemption:
    """Request to stop a run, shared by all networks that train at the same time.

    Attributes:
      signum: The signal that asked to stop, or 0.
    """

    def __init__(self) -> None:
        self.signum = 0

    def request(self) -> None:
        """Asks to stop, as SIGTERM does."""
        self.signum = self.signum or signal.SIGTERM

    def _handle(self, signum, frame) -> None:
        del frame
        if self.signum == signal.SIGINT == signum:
            raise KeyboardInterrupt
        self.signum = signum


@contextlib.contextmanager
def catch_signals() -> Iterator[Preemption]:
    """Records SIGTERM and SIGINT in the yielded object while the context is open.

    A second SIGINT raises KeyboardInterrupt. Outside the main thread, where no handler can be set,
    nothing is recorded.
    """
    preemption, handlers = Preemption(), {}
    try:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT):
                handlers[signum] = signal.signal(signum, preemption._handle)
        yield preemption
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)

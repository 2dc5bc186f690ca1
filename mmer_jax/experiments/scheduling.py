"""Cells distributed over the devices of this process."""

import concurrent.futures
import queue
from collections.abc import Callable, Sequence
from typing import Any

import jax

from mmer_jax.training import Interrupted, Preemption, distributed, sharding


class PlacePool:
    """Runs functions on places: groups of devices, each of which does one thing at a time.

    With one place functions run at once, in the calling thread; with several, each place has a
    thread. As a context manager it waits for what was submitted.

    Args:
      places: The devices of each place, see `distributed.assign`.
      preemption: Asks all places to stop.
    """

    def __init__(self, places: Sequence[Sequence[jax.Device]], preemption: Preemption):
        self._preemption = preemption
        self._places = list(places)
        self._free: queue.SimpleQueue[Sequence[jax.Device]] = queue.SimpleQueue()
        for devices in places:
            self._free.put(devices)
        self._threads = concurrent.futures.ThreadPoolExecutor(len(places), "place")
        self._futures: list[concurrent.futures.Future] = []

    def submit(self, function: Callable[..., None], *args: Any) -> None:
        """Runs `function(*args, devices, preemption)` on the next free place.

        Args:
          function: Saves and raises Interrupted when `preemption` asks for it.
          args: Its arguments before the devices.

        Raises:
          Interrupted: With one place: `preemption` asked to stop.
        """
        if len(self._places) == 1:
            function(*args, self._places[0], self._preemption)
            self._check(self._places[0])
            return
        devices = self._free.get()
        if self._preemption.signum:
            self._free.put(devices)  # or a later call would wait for a place forever
            return
        self._futures.append(self._threads.submit(self._run, function, args, devices))

    def _run(self, function, args, devices) -> None:
        try:
            function(*args, devices, self._preemption)
        except BaseException:
            self._preemption.request()  # the other places save and stop
            raise
        finally:
            self._free.put(devices)

    def _check(self, devices: Sequence[jax.Device]) -> None:
        """Raises Interrupted for a signal that came after the last save of a cell."""
        (signum,) = distributed.sync_max(sharding.make_mesh(devices), self._preemption.signum)
        if signum:
            raise Interrupted(signum)

    def __enter__(self) -> "PlacePool":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._threads.shutdown()
        exceptions = [e for e in (f.exception() for f in self._futures) if e is not None]
        # The error that stopped the others comes first.
        for exception in sorted(exceptions, key=lambda e: isinstance(e, Interrupted)):
            raise exception
        if self._preemption.signum and kind is None and len(self._places) > 1:
            raise Interrupted(self._preemption.signum)

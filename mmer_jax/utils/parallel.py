"""An ordered parallel map over processes, for work on recordings.

Workers are fresh processes that import the module of the function and nothing else: not the
program's main module. So they start fast, without TensorFlow, even where the parent has loaded it.
"""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import threadpoolctl

from mmer_jax import errors

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items in hand for each worker: one to work on and one waiting, so that memory stays flat however
# many items there are.
IN_HAND = 2

# One thread in each worker, or as many processes as cores would each start as many threads again.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


def cores() -> int:
    """Number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
) -> Iterator[Result]:
    """Yields function(item) for each item, in the order of the items.

    Args:
      function: picklable, in a module that imports what it needs and no more, not the main one.
      items: picklable; taken from the iterable only a few ahead of the results.
      workers: processes; None for one a core. With 1 the work is done in this process.

    Raises:
      UserError: a worker died, e.g. for want of memory.
      whatever `function` raises.
    """
    workers = cores() if workers is None else workers
    if getattr(function, "func", function).__module__ == "__main__":
        raise ValueError(f"{function} is in the main module, which workers do not import")
    if workers < 1:
        raise errors.UserError(f"the number of workers must be at least 1, found {workers}")
    if workers == 1:
        with _one_thread_meanwhile():
            yield from map(function, items)
        return
    executor = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=_Context(), initializer=_start_worker
    )
    pending: collections.deque[tuple[Item, concurrent.futures.Future[Result]]]
    pending = collections.deque()
    try:
        for item in items:
            pending.append((item, executor.submit(function, item)))
            if len(pending) >= workers * IN_HAND:
                yield pending.popleft()[1].result()
        while pending:
            yield pending.popleft()[1].result()
    except concurrent.futures.process.BrokenProcessPool as e:
        raise errors.UserError(
            "a worker process died, most often for want of memory; try fewer workers. In hand were "
            + ", ".join(str(item) for item, _ in pending)
        ) from e
    finally:
        # Also on Ctrl-C and when the caller stops early: what has not begun never does.
        executor.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    # Ctrl-C reaches the whole group of processes; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    one_thread()


def one_thread() -> None:
    """Keeps libraries to one thread in this process, from now on: for one of many workers.

    As many processes as cores would otherwise each start as many threads again.
    """
    os.environ.update(_ONE_THREAD)  # heeded by those that are loaded later, and by Numba
    threadpoolctl.threadpool_limits(1)
    if cv2 := _opencv():
        cv2.setNumThreads(1)


def _opencv() -> types.ModuleType | None:
    """OpenCV, if it is installed; loaded, since the number of its threads is set by a call."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2


@contextlib.contextmanager
def _one_thread_meanwhile() -> Iterator[None]:
    """The same for as long as this is open: threads that wait for work slow those that have it."""
    cv2 = _opencv()
    before = cv2.getNumThreads() if cv2 else 0
    with threadpoolctl.threadpool_limits(1):
        try:
            if cv2:
                cv2.setNumThreads(1)
            yield
        finally:
            if cv2:
                cv2.setNumThreads(before)


def _end_with_parent() -> None:
    """Ends this process when its parent is gone: a killed parent leaves no workers behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _Process(multiprocessing.context.SpawnProcess):
    @staticmethod
    def _Popen(process_obj):
        with _hidden_main(), _environment(_ONE_THREAD):
            return multiprocessing.context.SpawnProcess._Popen(process_obj)


class _Context(multiprocessing.context.SpawnContext):
    Process = _Process


@contextlib.contextmanager
def _hidden_main() -> Iterator[None]:
    """Makes a spawned process skip the main module, which it would otherwise run again."""
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {
        name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in vars(main)
    }
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(kept)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

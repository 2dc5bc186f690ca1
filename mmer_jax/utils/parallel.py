"""Ordered parallel map over processes, for work on recordings.

Workers are new processes that import the module of the mapped function, but not the main module of
the program. They start quickly and without TensorFlow, even if the parent process has loaded it.

Neither joblib nor `concurrent.futures.Executor.map` replaces this module. joblib's generators keep
dispatching items while the caller is busy, so that results accumulate in memory, and
`Executor.map` takes all items at once (its `buffersize` needs Python 3.14).
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

# Items submitted per worker: one in progress and one waiting, which bounds the memory in use.
ITEMS_PER_WORKER = 2

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


def cores() -> int:
    """Returns the number of processor cores that this process may use."""
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
      function: Picklable function that is not defined in the main module. Workers import its
        module, which should import only what it needs.
      items: Picklable items. The iterable is consumed only a few items ahead of the results.
      workers: Number of processes; None for one per core. With 1, the function runs in this
        process.

    Raises:
      UserError: A worker process died, for example because memory ran out, or `workers` is below 1.
      ValueError: `function` is defined in the main module.
      Exception: Any exception that `function` raises.
    """
    workers = cores() if workers is None else workers
    if getattr(function, "func", function).__module__ == "__main__":
        raise ValueError(f"{function} is defined in the main module, which workers do not import")
    if workers < 1:
        raise errors.UserError(f"the number of workers must be at least 1, found {workers}")
    if workers == 1:
        with _limited_threads():
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
            if len(pending) >= workers * ITEMS_PER_WORKER:
                yield pending.popleft()[1].result()
        while pending:
            yield pending.popleft()[1].result()
    except concurrent.futures.process.BrokenProcessPool as e:
        raise errors.UserError(
            "a worker process died, most often because memory ran out; try fewer workers. Items in "
            "progress: " + ", ".join(str(item) for item, _ in pending)
        ) from e
    finally:
        # Cancels waiting items on an error, on Ctrl-C, and when the caller stops early.
        executor.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    # Ctrl-C is sent to the whole process group; only the parent reacts to it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    limit_to_one_thread()


def limit_to_one_thread() -> None:
    """Limits the libraries in this process to one thread each, for use in a worker process.

    Without this limit, each of the workers would start as many threads as there are cores.
    """
    os.environ.update(_ONE_THREAD)  # for Numba, and for libraries that are loaded later
    threadpoolctl.threadpool_limits(1)
    if cv2 := _import_opencv():
        cv2.setNumThreads(1)


def _import_opencv() -> types.ModuleType | None:
    """Returns the module cv2, or None if OpenCV is not installed.

    The number of OpenCV's threads can only be set by a call, not by threadpoolctl.
    """
    try:
        import cv2
    except ImportError:
        return None
    return cv2


@contextlib.contextmanager
def _limited_threads() -> Iterator[None]:
    """Limits libraries to one thread in a block, since idle threads slow down working ones."""
    cv2 = _import_opencv()
    threads = cv2.getNumThreads() if cv2 else 0
    with threadpoolctl.threadpool_limits(1):
        try:
            if cv2:
                cv2.setNumThreads(1)
            yield
        finally:
            if cv2:
                cv2.setNumThreads(threads)


def _exit_with_parent() -> None:
    """Ends this process when its parent ends, so that a killed parent leaves no workers behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _Process(multiprocessing.context.SpawnProcess):
    @staticmethod
    def _Popen(process_obj):
        with _hidden_main_module():
            return multiprocessing.context.SpawnProcess._Popen(process_obj)


class _Context(multiprocessing.context.SpawnContext):
    Process = _Process


@contextlib.contextmanager
def _hidden_main_module() -> Iterator[None]:
    """Keeps a process that is spawned in the block from importing the main module."""
    main = vars(sys.modules["__main__"])
    attributes: dict[str, Any] = {
        name: main.pop(name) for name in ("__file__", "__spec__") if name in main
    }
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(attributes)

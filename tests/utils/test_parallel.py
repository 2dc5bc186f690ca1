import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmer_jax import errors
from mmer_jax.utils import parallel

# Workers import a function by the name of its module. Under pytest's importlib mode other processes
# cannot import this module, so tasks are functions that any process can import.


def test_results_are_in_the_order_of_the_items():
    for workers in (1, 2):
        assert list(parallel.ordered_map(abs, range(-20, 0), workers)) == list(range(20, 0, -1))


def test_items_are_consumed_only_a_few_ahead():
    consumed = []

    def items():
        for i in range(50):
            consumed.append(i)
            yield i

    results = parallel.ordered_map(abs, items(), 2)
    next(results)
    assert len(consumed) <= 2 * parallel.ITEMS_PER_WORKER
    results.close()
    assert len(consumed) <= 2 * parallel.ITEMS_PER_WORKER


def test_workers_have_one_thread_and_neither_tensorflow_nor_the_main_module():
    import tensorflow  # noqa: F401  loaded in the parent

    before = _main_module()
    (loaded,) = parallel.ordered_map(eval, ["__import__('sys').modules.keys() & {'tensorflow'}"], 2)
    assert loaded == set()
    (threads,) = parallel.ordered_map(os.getenv, ["OMP_NUM_THREADS"], 2)
    assert threads == "1"
    (main,) = parallel.ordered_map(
        eval, ["getattr(__import__('sys').modules['__main__'], '__file__', '')"], 2
    )
    assert os.path.basename(main or "") not in ("pytest", "__main__.py")
    assert _main_module() == before


def test_limit_to_one_thread_applies_to_loaded_libraries():
    program = (
        "import cv2, numba, numpy, os, threadpoolctl; from mmer_jax.utils import parallel; "
        "cv2.setNumThreads(2); parallel.limit_to_one_thread(); numba.njit(lambda x: x)(1); "
        "pools = [p['num_threads'] for p in threadpoolctl.threadpool_info()]; "
        "print(cv2.getNumThreads(), os.environ['NUMBA_NUM_THREADS'], set(pools))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert completed.stdout.split() == ["1", "1", "{1}"], completed.stderr


def test_one_worker_restores_the_number_of_threads():
    """Whether OpenCV is loaded by the map, or before it with another number of threads."""
    program = (
        "from mmer_jax.utils import parallel; threads = '__import__(\"cv2\").getNumThreads()'; "
        "print(*parallel.ordered_map(eval, [threads], 1), eval(threads)); "
        "eval('__import__(\"cv2\").setNumThreads(2)'); "
        "print(*parallel.ordered_map(eval, [threads], 1), eval(threads))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": ".", "OPENCV_FOR_THREADS_NUM": "3"},
        capture_output=True,
        text=True,
    )
    assert completed.stdout.split() == ["1", "3", "1", "2"], completed.stderr


def _main_module():
    main = sys.modules["__main__"]
    return main, main.__spec__, getattr(main, "__file__", None)


def test_exception_of_the_function_propagates():
    with pytest.raises(ValueError, match="invalid literal"):
        list(parallel.ordered_map(int, ["1", "x", "3"], 2))


def test_dead_worker_is_a_user_error():
    with pytest.raises(errors.UserError, match=r"worker process died.*fewer workers"):
        list(parallel.ordered_map(os._exit, [1], 2))


def test_stopping_early_is_quick():
    results = parallel.ordered_map(time.sleep, [0.01] * 500, 2)
    next(results)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 3


def test_workers_end_when_their_parent_is_killed():
    program = (
        "import os; from mmer_jax.utils import parallel; "
        "results = parallel.ordered_map(eval, ['os.getpid()'] * 9, 2); "
        "print(next(results), flush=True); os.kill(os.getpid(), 9)"
    ).replace("'os.getpid()'", "'__import__(\"os\").getpid()'")
    completed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    worker = int(completed.stdout)
    deadline = time.monotonic() + 30
    while _is_running(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_no_workers_is_an_error():
    with pytest.raises(errors.UserError, match="at least 1, found 0"):
        list(parallel.ordered_map(abs, [1], 0))

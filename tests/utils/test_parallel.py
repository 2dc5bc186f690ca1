import os
import subprocess
import sys
import time

import pytest

from mmer_jax import errors
from mmer_jax.utils import parallel

# Workers import a function by its module's name. Under pytest's importlib mode the name of this one
# is no module elsewhere, so tasks are made of functions that any process can import.


def test_order_is_that_of_the_items():
    for workers in (1, 2):
        assert list(parallel.ordered_map(abs, range(-20, 0), workers)) == list(range(20, 0, -1))


def test_items_are_taken_only_a_few_ahead():
    taken = []

    def items():
        for i in range(50):
            taken.append(i)
            yield i

    results = parallel.ordered_map(abs, items(), 2)
    next(results)
    assert len(taken) <= 2 * parallel.IN_HAND
    results.close()
    assert len(taken) <= 2 * parallel.IN_HAND


def test_workers_have_one_thread_and_neither_tensorflow_nor_the_main_module():
    import tensorflow  # noqa: F401  the parent has it

    before = _main_module()
    (found,) = parallel.ordered_map(eval, ["__import__('sys').modules.keys() & {'tensorflow'}"], 2)
    assert found == set()
    (threads,) = parallel.ordered_map(os.getenv, ["OMP_NUM_THREADS"], 2)
    assert threads == "1"
    (main,) = parallel.ordered_map(
        eval, ["getattr(__import__('sys').modules['__main__'], '__file__', '')"], 2
    )
    assert os.path.basename(main or "") not in ("pytest", "__main__.py")
    assert _main_module() == before


def test_one_thread_for_libraries_that_are_loaded_already():
    program = (
        "import cv2, numba, numpy, os, threadpoolctl; from mmer_jax.utils import parallel; "
        "cv2.setNumThreads(2); parallel.one_thread(); numba.njit(lambda x: x)(1); "
        "pools = [p['num_threads'] for p in threadpoolctl.threadpool_info()]; "
        "print(cv2.getNumThreads(), os.environ['NUMBA_NUM_THREADS'], set(pools))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["1", "1", "{1}"], done.stderr


def test_threads_are_as_before_after_work_in_this_process():
    """OpenCV is loaded by the map, or was before with another number."""
    program = (
        "from mmer_jax.utils import parallel; threads = '__import__(\"cv2\").getNumThreads()'; "
        "print(*parallel.ordered_map(eval, [threads], 1), eval(threads)); "
        "eval('__import__(\"cv2\").setNumThreads(2)'); "
        "print(*parallel.ordered_map(eval, [threads], 1), eval(threads))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": ".", "OPENCV_FOR_THREADS_NUM": "3"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["1", "3", "1", "2"], done.stderr


def _main_module():
    main = sys.modules["__main__"]
    return main, main.__spec__, getattr(main, "__file__", None)


def test_an_error_of_the_function_comes_through():
    with pytest.raises(ValueError, match="invalid literal"):
        list(parallel.ordered_map(int, ["1", "x", "3"], 2))


def test_a_dead_worker_is_a_clear_error():
    with pytest.raises(errors.UserError, match=r"worker process died.*fewer workers"):
        list(parallel.ordered_map(os._exit, [1], 2))


def test_stopping_early_is_quick():
    results = parallel.ordered_map(time.sleep, [0.01] * 500, 2)
    next(results)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 3


def test_no_workers_is_an_error():
    with pytest.raises(errors.UserError, match="at least 1, found 0"):
        list(parallel.ordered_map(abs, [1], 0))

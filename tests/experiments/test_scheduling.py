"""Places: cells run on free devices, and an error or a signal stops all of them."""

import signal
import threading
import time

import jax
import pytest

from mmer_jax.experiments.scheduling import PlacePool
from mmer_jax.training import Interrupted, Preemption

PLACES = [["a"], ["b"], ["c"]]  # devices are only handed on


def test_every_cell_runs_once_and_a_place_runs_one_at_a_time():
    ran, busy, lock = [], set(), threading.Lock()

    def work(cell, devices, preemption):
        with lock:
            assert devices[0] not in busy
            busy.add(devices[0])
        time.sleep(0.01 * (cell % 3))
        with lock:
            busy.remove(devices[0])
            ran.append((cell, devices[0]))

    with PlacePool(PLACES, Preemption()) as pool:
        for cell in range(12):
            pool.submit(work, cell)
    assert sorted(cell for cell, _ in ran) == list(range(12))
    assert {place for _, place in ran} == {"a", "b", "c"}


def test_the_first_error_is_raised_after_the_others_saved():
    saved, started = [], threading.Barrier(3)

    def work(cell, devices, preemption):
        started.wait(10)
        if cell == 1:
            raise ValueError("cell 1")
        while not preemption.signum:
            time.sleep(0.001)
        saved.append(cell)
        raise Interrupted(preemption.signum)

    with pytest.raises(ValueError, match="cell 1"), PlacePool(PLACES, Preemption()) as pool:
        for cell in range(9):  # more than there are places: submitting must not wait
            pool.submit(work, cell)
    assert sorted(saved) == [0, 2]  # nothing is started after the error


def test_a_signal_reaches_all_places():
    preemption, started = Preemption(), threading.Barrier(4)

    def work(cell, devices, preemption):
        started.wait(10)
        while not preemption.signum:
            time.sleep(0.001)
        raise Interrupted(preemption.signum)

    with pytest.raises(Interrupted) as interrupted, PlacePool(PLACES, preemption) as pool:
        for cell in range(3):
            pool.submit(work, cell)
        started.wait(10)
        preemption.signum = signal.SIGINT
    assert interrupted.value.signum == signal.SIGINT


def test_one_place_runs_in_the_calling_thread_and_stops_between_cells():
    ran = []

    def work(cell, devices, preemption):
        assert threading.current_thread() is threading.main_thread()
        ran.append(cell)
        if cell == 1:
            preemption.request()  # after the last save of the cell

    with pytest.raises(Interrupted), PlacePool([jax.local_devices()], Preemption()) as pool:
        for cell in range(4):
            pool.submit(work, cell)
    assert ran == [0, 1]

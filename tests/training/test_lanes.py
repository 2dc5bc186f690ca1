"""Several cells at once: how many, what they compute, and what happens when one of them fails."""

import dataclasses
import os
import signal
import threading
import time

import jax
import numpy as np
import pytest

from mmer_jax import models, training
from mmer_jax.training import lanes, loop


@dataclasses.dataclass(frozen=True)
class Cell:
    row: str
    seed: int = 0


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def settle(rate_of, cells=100, rows=("a",)):
    """What is chosen where so many at once make rate_of(number) steps a second together."""
    clock = Clock()
    choice = lanes.Choice(0, window=10.0, clock=clock)
    waiting = [rows[i % len(rows)] for i in range(cells)]
    for _ in range(200):
        running = choice.wanted
        clock.now += 2.0
        for lane in range(running):
            choice.meter.count(lane, rate_of(running) * 2.0 / running, 2.0)
        choice.look([waiting[0]] * running, waiting[running:])
    return choice.wanted


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({1: 10, 2: 10.2}, 1),  # not worth it
        ({1: 10, 2: 7}, 1),
        ({1: 10, 2: 15, 4: 15.1}, 2),
        ({1: 10, 2: 15, 4: 20, 8: 30}, 8),  # no more are tried
        ({1: 10, 2: 15, 4: 20, 8: 12}, 4),
    ],
)
def test_as_many_as_make_more_steps_together(rates, expected):
    assert settle(rates.__getitem__) == expected


def test_cells_of_other_rows_are_not_compared():
    assert settle(lambda n: n, cells=1) == 1
    assert settle(lambda n: n, cells=3) == 2
    assert settle(lambda n: n, rows=("a", "b")) == 1


def test_what_one_row_reached_is_no_measure_of_another():
    clock = Clock()
    choice = lanes.Choice(0, window=10.0, clock=clock)

    def train(row, rate, waiting=100):
        for _ in range(10):
            clock.now += 2.0
            running = choice.wanted
            for lane in range(running):
                choice.count(lane, rate * 2.0, 2.0)
            choice.look([row] * running, [row] * waiting)

    train("small", 100, waiting=0)  # none waits: nothing is settled by it
    assert choice.wanted == 1
    train("large", 1)  # a rate of 2 is worth it beside 1, not beside 100
    assert choice.wanted > 1


def test_cells_spread_over_places_before_two_share_one():
    begun, lock = {}, threading.Lock()
    all_begun = threading.Barrier(10)

    def work(cell, place, on_steps):
        with lock:
            begun[place] = begun.get(place, 0) + 1
        all_begun.wait(30)

    lanes.train_all([Cell("a", i) for i in range(10)], list("abcdefgh"), work, 4)
    assert len(begun) == 8 and sum(begun.values()) == 10


def test_the_meter_leaves_out_first_chunks_and_what_is_outside_of_the_window():
    clock = Clock()
    meter = lanes.Meter(clock)
    for at, lane, steps in [(30, 0, 1), (32, 0, 8), (33, 1, 1), (34, 0, 8), (37, 1, 12)]:
        clock.now = at
        meter.count(lane, steps, {30: 30, 32: 2, 33: 33, 34: 2, 37: 4}[at])
        if at < 34:
            assert meter.rate(2, 1.0) is None
    # From 33, when both had made their first, to 34: half of 8 steps, and a quarter of 12.
    assert meter.rate(2, 1.0) == pytest.approx(4 + 3)
    assert meter.rate(2, 1.5) is None


def test_at_once_they_compute_what_each_does_by_itself(small_config, task, tmp_path):
    """Bit for bit: two places of two devices, two cells on each at once, dropout on."""
    arrays, examples = task

    def train(cell, devices, on_steps, folder):
        done[folder, cell.seed] = training.train(
            small_config,
            models.build(small_config),
            arrays,
            examples,
            {"test": examples},
            seed=cell.seed,
            measure_epochs=(3,),
            folder=tmp_path / folder / str(cell.seed),
            on_measure=lambda measured: None,
            on_steps=on_steps,
            devices_used=devices,
        )

    done, cells = {}, [Cell("a", seed) for seed in range(4)]
    places = [jax.devices()[:2], jax.devices()[2:4]]
    lanes.train_all(cells, places, lambda *a: train(*a, "together"), 2)
    for cell in cells:
        train(cell, places[0], lambda *a: None, "alone")
        one, other = done["together", cell.seed], done["alone", cell.seed]
        jax.tree.map(np.testing.assert_array_equal, one.state, other.state)


def test_each_cell_is_trained_once_by_one_place():
    trained, lock = [], threading.Lock()

    def work(cell, place, on_steps):
        time.sleep(0.001)
        with lock:
            trained.append((cell, place))

    cells = [Cell("a", seed) for seed in range(40)]
    lanes.train_all(cells, ["x", "y"], work, lanes.MOST + 2)
    assert sorted(c.seed for c, _ in trained) == list(range(40))
    assert {place for _, place in trained} == {"x", "y"}


def test_one_that_fails_has_the_others_saved_and_is_the_one_told_of():
    ended, all_four = [], threading.Barrier(4)

    def work(cell, place, on_steps):
        all_four.wait(30)
        if cell.seed == 1:
            raise loop.TrainingDivergedError("of seed 1")
        with preemption.noted() as asked:
            while not asked.received:
                time.sleep(0.001)
            ended.append(cell.seed)
            raise training.Interrupted(asked.received)

    with pytest.raises(loop.TrainingDivergedError, match="of seed 1"):
        lanes.train_all([Cell("a", i) for i in range(9)], ["x", "y"], work, 2)
    assert sorted(ended) == [0, 2, 3]  # no other was begun


def test_a_signal_reaches_all():
    begun, both = [], threading.Barrier(2)

    def work(cell, place, on_steps):
        with preemption.noted() as asked:
            begun.append(cell.seed)
            if both.wait(30) == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            while not asked.received:
                time.sleep(0.001)
            raise training.Interrupted(asked.received)

    with pytest.raises(training.Interrupted) as stopped:
        lanes.train_all([Cell("a", i) for i in range(9)], ["x"], work, 2)
    assert stopped.value.signum == signal.SIGTERM
    assert sorted(begun) == [0, 1]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_full_memory_means_fewer_at_once():
    running, most = set(), []

    def work(cell, place, on_steps):
        running.add(cell)
        most.append(len(running))
        try:
            if len(running) > 2:
                raise training.DeviceMemoryError("full")
            time.sleep(0.01)
            done.append(cell.seed)
        finally:
            running.discard(cell)

    done = []
    lanes.train_all([Cell("a", i) for i in range(12)], ["x"], work, 4)
    assert sorted(done) == list(range(12))
    assert max(most[6:]) <= 2
    # Two that fail together may have been too many for each other.
    done.clear()
    both = threading.Barrier(2)

    def pair(cell, place, on_steps):
        if len(done) == 0 and cell.seed < 2 and not pair.failed.get(cell.seed):
            pair.failed[cell.seed] = True
            both.wait(30)
            raise training.DeviceMemoryError("full")
        done.append(cell.seed)

    pair.failed = {}
    lanes.train_all([Cell("a", i) for i in range(4)], ["x"], pair, 2)
    assert sorted(done) == list(range(4))
    with pytest.raises(training.DeviceMemoryError):  # one alone has no room either

        def never(cell, place, on_steps):
            raise training.DeviceMemoryError("full")

        lanes.train_all([Cell("a", i) for i in range(3)], ["x"], never, 2)

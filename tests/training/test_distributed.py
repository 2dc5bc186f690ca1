"""Which devices train which cells."""

import types

import jax
import pytest

from mmer_jax import errors
from mmer_jax.training import distributed


@pytest.mark.parametrize(
    ("processes", "of_each", "cells", "rows"),
    [
        (1, 1, 1, 1),
        (1, 1, 25, 1),
        (1, 8, 1, 1),  # one cell has them all
        (1, 8, 2, 2),
        (1, 8, 5, 8),  # all at the same time, rather than two after each other on two devices
        (1, 8, 25, 8),
        (4, 8, 1, 1),
        (4, 8, 2, 2),
        (4, 8, 3, 4),  # a row never has parts of processes
        (4, 8, 5, 8),
        (4, 8, 25, 32),
        (3, 2, 2, 3),
    ],
)
def test_cells_are_spread_first(monkeypatch, processes, of_each, cells, rows):
    devices = [
        types.SimpleNamespace(process_index=p, id=8 * p + i)
        for i in range(of_each)
        for p in range(processes)
    ]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    mesh = distributed.cell_mesh(cells)
    assert mesh.shape == (rows, processes * of_each // rows)
    assert {d.id for d in mesh.flat} == {d.id for d in devices}
    seen = []
    for mine in range(processes):
        monkeypatch.setattr(jax, "process_index", lambda mine=mine: mine)
        assert distributed.is_primary() == (mine == 0)
        places, share = distributed.assign(range(cells))
        assert len(places) == sum(any(d.process_index == mine for d in row) for row in mesh)
        for place in places:
            if distributed.spans_processes(place):  # whole processes, and their one row
                assert len(places) == 1
                assert len(place) == of_each * len(distributed.processes(place))
        seen += share
        assert all(
            distributed.is_primary(p) == (distributed.processes(p)[0] == mine) for p in places
        )
    if rows >= processes:
        assert sorted(seen) == list(range(cells))
    else:
        assert set(seen) == set(range(cells))


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
def test_a_process_that_cannot_join_the_others_is_told_how(monkeypatch, error):
    def initialize(*arguments):
        assert arguments == ("host:1", 2, 1)
        raise error("deadline\n exceeded.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(errors.UserError, match=r"others: deadline exceeded\. .*--coordinator="):
        distributed.initialize("host:1", 2, 1)

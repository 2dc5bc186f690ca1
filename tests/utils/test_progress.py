import io
import time

import pytest

from mmer_jax.utils.progress import Progress


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_first_line_one_every_half_minute_and_a_last_one():
    clock, log = Clock(), io.StringIO()
    with Progress(200, "rendering", "clips", log, clock=clock) as progress:
        for _ in range(200):
            clock.now += 0.5
            progress.update(1)
    lines = log.getvalue().splitlines()
    assert lines[0] == "rendering: 1/200 clips (0%), 2.0 clips/s, 1:40 left"
    assert lines[1] == "rendering: 61/200 clips (30%), 2.0 clips/s, 1:10 left"
    assert lines[-1] == "rendering: 200/200 clips in 1:40 (2.0 clips/s)"
    assert len(lines) == 5  # at 0.5, 30.5, 60.5, 90.5 s and at the end
    assert "\r" not in log.getvalue()


def test_a_terminal_gets_one_line_that_is_rewritten(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    clock, terminal = Clock(), Terminal()
    with Progress(3, "training", "epochs", terminal, clock=clock) as progress:
        for loss in ("loss 1.61 and a note far too long for the window", "loss 1.2", "loss 0.9"):
            clock.now += 90
            progress.update(1, note=loss)
    text = terminal.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n")
    shown = text.rstrip("\n").split("\r")[1:]
    assert all(len(line) <= 39 for line in shown)
    assert shown[1].startswith("training: 2/3 epochs (67%), 90.0 s per ")
    # The shorter last line covers all of the longer one before it.
    assert shown[-1].rstrip() == "training: 3/3 epochs in 4:30 (90.0 s per epoch)"[:39]


def test_a_terminal_is_written_to_at_most_ten_times_a_second():
    clock, terminal = Clock(), Terminal()
    with Progress(10_000, "packing", "examples", terminal, clock=clock) as progress:
        for _ in range(10_000):
            clock.now += 1e-4
            progress.update()
    assert terminal.getvalue().count("\r") <= 12


def test_what_was_done_before_counts_but_not_in_the_rate():
    clock, log = Clock(), io.StringIO()
    progress = Progress(40, "training", "epochs", log, done=30, clock=clock)
    clock.now += 10
    progress.update(5)
    assert log.getvalue() == "training: 35/40 epochs (88%), 2.0 s per epoch, 0:10 left\n"


def test_unknown_total_and_no_update_at_all():
    clock, log = Clock(), io.StringIO()
    with Progress(None, "reading", "clips", log, clock=clock):
        clock.now += 3700
    assert log.getvalue() == "reading: 0 clips in 1:01:40\n"


def test_an_error_is_told_as_stopped_and_passes():
    clock, log = Clock(), io.StringIO()
    with pytest.raises(KeyError), Progress(9, "building", "clips", log, clock=clock) as progress:
        clock.now += 1
        progress.update(2)
        raise KeyError("x")
    assert (
        log.getvalue().splitlines()[-1] == "building: stopped after 2/9 clips in 0:01 (2.0 clips/s)"
    )


def test_close_twice_writes_once():
    log = io.StringIO()
    progress = Progress(1, "x", "things", log, clock=Clock())
    progress.close()
    progress.close()
    assert len(log.getvalue().splitlines()) == 1


def test_standard_error_is_the_default(capsys):
    with Progress(1, "x", "things") as progress:
        progress.update()
    captured = capsys.readouterr()
    assert captured.out == "" and "1/1 things" in captured.err


def test_update_costs_little():
    progress = Progress(10**6, "x", "things", io.StringIO())
    start = time.perf_counter()
    for _ in range(20_000):
        progress.update()
    assert (time.perf_counter() - start) / 20_000 < 50e-6  # about 0.5e-6 on an idle machine

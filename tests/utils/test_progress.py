import io
import time

import pytest

from mmer_jax.utils.progress import Progress


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_log_has_first_line_one_every_30_seconds_and_closing_line():
    clock, log = Clock(), io.StringIO()
    with Progress(200, "rendering", "clips", log, clock=clock) as progress:
        for _ in range(200):
            clock.now += 0.5
            progress.update(1)
    lines = log.getvalue().splitlines()
    assert lines[0] == "rendering: 1/200 clips (0%)"
    assert lines[1] == "rendering: 61/200 clips (30%), 2.0 clips/s, 1:10 left"
    assert lines[-1] == "rendering: 200/200 clips in 1:40 (2.0 clips/s)"
    assert len(lines) == 5  # at 0.5, 30.5, 60.5, 90.5 s and at the end
    assert "\r" not in log.getvalue()


def test_terminal_shows_one_line_that_is_rewritten(monkeypatch):
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
    # The shorter last line overwrites all of the longer one before it.
    assert shown[-1].rstrip() == "training: 3/3 epochs in 4:30 (90.0 s per epoch)"[:39]


def test_terminal_is_written_at_most_ten_times_per_second():
    clock, terminal = Clock(), Terminal()
    with Progress(10_000, "packing", "examples", terminal, clock=clock) as progress:
        for _ in range(10_000):
            clock.now += 1e-4
            progress.update()
    assert terminal.getvalue().count("\r") <= 12


def test_several_on_one_terminal_write_plain_lines():
    clock, terminal = Clock(), Terminal()
    with (
        Progress(3, "one", "epochs", terminal, clock=clock) as one,
        Progress(3, "two", "epochs", terminal, clock=clock) as two,
    ):
        for _ in range(3):
            clock.now += 20
            one.update()
            two.update()
    lines = terminal.getvalue().replace("\r", "").splitlines()
    assert [line.strip() for line in lines] == [
        "one: 1/3 epochs (33%)",
        "two: 1/3 epochs (33%)",
        "one: 3/3 epochs (100%), 20.0 s per epoch, 0:00 left",
        "two: 3/3 epochs (100%), 20.0 s per epoch, 0:00 left",
        "two: 3/3 epochs in 1:00 (20.0 s per epoch)",
        "one: 3/3 epochs in 1:00 (20.0 s per epoch)",
    ]


def test_slow_first_update_is_not_in_the_rate():
    clock, log = Clock(), io.StringIO()
    with Progress(10, "training", "epochs", log, clock=clock) as progress:
        clock.now += 300  # compilation
        progress.update()
        for _ in range(3):
            clock.now += 40
            progress.update()
    lines = log.getvalue().splitlines()
    assert lines == [
        "training: 1/10 epochs (10%)",
        "training: 2/10 epochs (20%), 40.0 s per epoch, 5:20 left",
        "training: 3/10 epochs (30%), 40.0 s per epoch, 4:40 left",
        "training: 4/10 epochs (40%), 40.0 s per epoch, 4:00 left",
        "training: 4/10 epochs in 7:00 (40.0 s per epoch)",
    ]


def test_items_done_before_are_in_the_count_but_not_in_the_rate():
    clock, log = Clock(), io.StringIO()
    progress = Progress(60, "training", "epochs", log, done=30, clock=clock)
    clock.now += 5
    progress.update(5)
    clock.now += 30
    progress.update(15)
    assert log.getvalue().splitlines() == [
        "training: 35/60 epochs (58%)",
        "training: 50/60 epochs (83%), 2.0 s per epoch, 0:20 left",
    ]


def test_skipped_items_are_in_the_count_but_not_in_the_rate():
    clock, log = Clock(), io.StringIO()
    progress = Progress(100, "training", "epochs", log, clock=clock)
    progress.skip_to(20)
    progress.update()
    progress.skip_to(60)
    progress.skip_to(50)  # does nothing
    clock.now += 40
    progress.update(20)
    assert log.getvalue().splitlines() == [
        "training: 21/100 epochs (21%)",
        "training: 80/100 epochs (80%), 2.0 s per epoch, 0:40 left",
    ]


def test_unknown_total_without_updates():
    clock, log = Clock(), io.StringIO()
    with Progress(None, "reading", "clips", log, clock=clock):
        clock.now += 3700
    assert log.getvalue() == "reading: 0 clips in 1:01:40\n"


def test_unknown_total_with_updates():
    clock, log = Clock(), io.StringIO()
    with Progress(None, "reading", "clips", log, clock=clock) as progress:
        progress.update()
        clock.now += 30
        progress.update(60, note="the last one")
    assert log.getvalue().splitlines()[:2] == [
        "reading: 1 clips",
        "reading: 61 clips, 2.0 clips/s, the last one",
    ]


def test_error_writes_stopped_and_propagates():
    clock, log = Clock(), io.StringIO()
    with pytest.raises(KeyError), Progress(9, "building", "clips", log, clock=clock) as progress:
        for _ in range(2):
            clock.now += 1
            progress.update(2)
        raise KeyError("x")
    assert (
        log.getvalue().splitlines()[-1] == "building: stopped after 4/9 clips in 0:02 (2.0 clips/s)"
    )


def test_closing_twice_writes_once():
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


def test_update_is_cheap():
    progress = Progress(10**6, "x", "things", io.StringIO())
    start = time.perf_counter()
    for _ in range(20_000):
        progress.update()
    assert (time.perf_counter() - start) / 20_000 < 50e-6  # about 1e-6 on an idle machine

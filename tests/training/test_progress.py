"""Progress of a run on the console."""

import io

import pytest
from rich.console import Console

from serjax.training.loop import LoopState
from serjax.training.trackers import progress
from serjax.training.trackers.progress import (
    Clock,
    ProgressDisplay,
    auxiliary_losses,
    timed_together,
)

ROW = {
    "epoch": 3,
    "train_loss": 1.25,
    "train_wa": 0.5,
    "train_ua": 0.75,
    "validation_loss": 1.5,
    "validation_wa": 0.25,
    "validation_ua": 0.375,
    "examples_per_second": 40.0,
    "seconds": 2.0,
}


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


def test_epochs_are_lines(console):
    with ProgressDisplay(console) as display:
        display.epoch(ROW, best=True)
        display.epoch({**ROW, "train_anti_transfer": 0.5, "train_centre": 2.0}, False, "fold-1")
    assert console.file.getvalue().splitlines() == [
        "epoch   3  training loss 1.250 UA  75.0%  validation loss 1.500 WA  25.0% UA  37.5%   "
        "40.0 examples/s  *",
        "fold-1  epoch   3  training loss 1.250 UA  75.0%  anti-transfer 0.5000  centre 2.0000  "
        "validation loss 1.500 WA  25.0% UA  37.5%   40.0 examples/s",
    ]


def test_auxiliary_losses_are_the_other_columns_of_training():
    assert auxiliary_losses(ROW) == {}
    row = {**ROW, "train_anti_transfer": 0.5, "validation_f1": 0.1}
    assert auxiliary_losses(row) == {"anti_transfer": 0.5}


def test_batches_are_lines_every_15_seconds(console, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    loop = LoopState(epoch=2, batch=5, loss=40.0, weight=20.0, seconds=10.0)
    with ProgressDisplay(console) as display:
        for seconds in (14, 2, 14):
            now[0] += seconds
            display.batch(loop, 20, 3)
    # 15 batches of this epoch and 20 of the next one, at two seconds each.
    assert console.file.getvalue().splitlines() == [
        "epoch 2/3  batch 5/20  loss 2.000  2.0 examples/s  1:10 left at most"
    ]


@pytest.fixture
def now(monkeypatch):
    """Time in seconds, in a list that a test changes."""
    seconds = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


def test_stages_are_timed(now):
    clock = Clock()
    for seconds in (1.0, 2.0):
        with clock.timed("train"):
            now[0] += seconds
        now[0] += 0.5
    assert clock.read() == {"train": 3.0, "total": 4.0}


def test_a_stage_within_another_is_not_counted_twice(now):
    clock = Clock()
    with clock.timed("train"):
        now[0] += 1
        with clock.timed("evaluate"):
            now[0] += 2
            assert clock.read() == {"train": 1.0, "evaluate": 2.0, "total": 3.0}
        now[0] += 4
    assert clock.read() == {"train": 5.0, "evaluate": 2.0, "total": 7.0}


def test_the_times_of_all_processes_of_a_run_add_up(now):
    first = Clock()
    with first.timed("train"):
        now[0] += 10
        saved = first.read()  # a kill follows
    resumed = Clock()
    resumed.add(saved)
    with resumed.timed("train"):
        now[0] += 1
    with resumed.timed("report"):
        now[0] += 2
    assert resumed.read() == {"train": 11.0, "report": 2.0, "total": 13.0}


def test_runs_that_are_trained_together_share_the_time(now):
    clocks = [Clock(1 / 2), Clock(1 / 2)]
    with timed_together(clocks, "train"):
        now[0] += 3
    assert [clock.read() for clock in clocks] == [{"train": 1.5, "total": 1.5}] * 2

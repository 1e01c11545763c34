"""The epoch whose weights are kept."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serjax.training.loop import LoopState
from tests.helpers.commands import call

SMALL = [
    *("--model", "dscnn", "--model-option", "hidden=16", "--epochs", "5", "--batch-size", "8"),
    *("--dataset-option", "speakers=6", "--dataset-option", "words=2"),
]


def best_of(losses, uas, monitor):
    """The best epoch of so many, told one after the other."""
    loop = LoopState(monitor=monitor)
    for epoch, (loss, ua) in enumerate(zip(losses, uas, strict=True), start=1):
        row = {"epoch": epoch, "validation_loss": loss, "validation_ua": ua}
        loop.history.append(row)
        if loop.is_best(row, step=10 * epoch):
            assert (loop.best_epoch, loop.best_step) == (epoch, 10 * epoch)
    return loop.best_epoch


@given(st.lists(st.tuples(st.sampled_from([0.5, 1, 2]), st.sampled_from([0.2, 0.4])), min_size=1))
def test_the_first_of_the_best(epochs):
    losses, uas = zip(*epochs, strict=True)
    assert best_of(losses, uas, "loss") == 1 + np.argmin(losses)
    # Of equal UA that of the lowest loss.
    assert best_of(losses, uas, "ua") == 1 + np.lexsort((losses, -np.asarray(uas)))[0]


@pytest.mark.parametrize("monitor", ["loss", "ua"])
def test_what_is_no_number_is_never_better(monitor):
    assert best_of([2, np.nan, 1, np.nan], [0.5, np.nan, 0.6, 0.6], monitor) == 3


def assert_kept_by_ua(run):
    """Asserts that a finished run kept the weights of its best epoch by UA."""
    with (run / "history.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    metrics = json.loads((run / "metrics.json").read_text())
    best = metrics["best_epoch"]
    order = np.lexsort(
        ([row["validation_loss"] for row in rows], [-row["validation_ua"] for row in rows])
    )
    assert best == 1 + order[0]
    assert metrics["validation"]["ua"]["value"] == pytest.approx(rows[best - 1]["validation_ua"])


@pytest.mark.usefixtures("standard_promotion")
def test_runs_keep_the_best_by_ua(monkeypatch, capfd, tmp_path):
    out = str(tmp_path / "run")
    status, _, errors = call(monkeypatch, capfd, "train", *SMALL, "--out", out)
    assert status == 0, errors
    assert_kept_by_ua(tmp_path / "run")
    folds = ("--folds", "3", "--together", "scan", "--out", str(tmp_path / "folds"))
    status, _, errors = call(monkeypatch, capfd, "cross_validate", *SMALL, *folds)
    assert status == 0, errors
    for number in (1, 2, 3):
        assert_kept_by_ua(tmp_path / "folds" / f"fold-{number}")


def test_an_unknown_one_is_named(monkeypatch, capfd):
    status, _, errors = call(monkeypatch, capfd, "train", "--monitor", "f1")
    assert status == 2
    assert "unknown monitor 'f1': known are ua, loss" in errors, errors

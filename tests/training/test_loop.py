"""Tests of the training loop: the best epoch, the history, and errors of a diverged loss."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serjax.training.loop import LoopState, diverged, is_finite
from serjax.training.optimization.divergence import DivergedError
from serjax.training.step import StepResult
from tests.helpers.commands import call

SMALL = [
    *("--model", "dscnn", "--model-option", "hidden=16", "--epochs", "5", "--batch-size", "8"),
    *("--dataset-option", "speakers=6", "--dataset-option", "words=2"),
]


def best_of(losses, uas, monitor):
    """The best epoch of a history."""
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
    # The lowest loss decides between epochs of equal UA.
    assert best_of(losses, uas, "ua") == 1 + np.lexsort((losses, -np.asarray(uas)))[0]


@pytest.mark.parametrize("monitor", ["loss", "ua"])
def test_nan_is_never_better(monitor):
    assert best_of([2, np.nan, 1, np.nan], [0.5, np.nan, 0.6, 0.6], monitor) == 3


def assert_best_by_ua(run):
    """Asserts that a finished run has the weights of its best epoch by UA."""
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
def test_runs_select_the_best_epoch_by_ua(monkeypatch, capfd, tmp_path):
    out = str(tmp_path / "run")
    status, _, errors = call(monkeypatch, capfd, "train", *SMALL, "--out", out)
    assert status == 0, errors
    assert_best_by_ua(tmp_path / "run")
    folds = ("--folds", "3", "--batching", "scan", "--out", str(tmp_path / "folds"))
    status, _, errors = call(monkeypatch, capfd, "cross_validate", *SMALL, *folds)
    assert status == 0, errors
    for number in (1, 2, 3):
        assert_best_by_ua(tmp_path / "folds" / f"fold-{number}")


def test_an_unknown_monitor_is_refused(monkeypatch, capfd):
    status, _, errors = call(monkeypatch, capfd, "train", "--monitor", "f1")
    assert status == 2
    assert "unknown monitor 'f1': known are ua, loss" in errors, errors


def result_of(loss, auxiliary=(), confusion=((3.0, 1.0), (0.0, 4.0)), input_finite=True):
    """The result of a step on eight examples."""
    return StepResult(
        loss=np.float32(loss),
        auxiliary={name: np.float32(value) for name, value in dict(auxiliary).items()},
        weight=np.float32(8),
        confusion=np.float32(confusion),
        gradient_norm=np.float32(1),
        input_finite=np.bool_(input_finite),
    )


def test_an_epoch_has_the_means_of_its_batches():
    loop = LoopState(seconds=2.0)
    loop.add(result_of(8.0, {"centre": 4.0}))
    loop.add(result_of(16.0, {"centre": 2.0}, confusion=[[4, 0], [2, 2]]))
    assert (loop.batch, loop.loss, loop.auxiliary) == (2, 24.0, {"centre": 6.0})
    row = loop.finish_epoch({"loss": 0.5, "wa": 0.75, "ua": 0.25})
    assert row == {
        "epoch": 1,
        "train_loss": 1.5,
        "train_wa": 13 / 16,
        "train_ua": (7 / 8 + 6 / 8) / 2,
        "train_centre": 6 / 16,
        "validation_loss": 0.5,
        "validation_wa": 0.75,
        "validation_ua": 0.25,
        "examples_per_second": 8.0,
        "seconds": 2.0,
    }
    assert loop.history == [row]
    assert (loop.epoch, loop.batch, loop.loss, loop.auxiliary) == (2, 0, 0.0, {})


@pytest.mark.parametrize("name", ["loss", "wa", "ua", "further"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_epoch_with_a_metric_that_is_not_finite_is_no_epoch(name, value):
    """It would stay the best one, because nothing is better than NaN."""
    loop = LoopState(seconds=2.0)
    loop.add(result_of(8.0))
    scores = {"loss": 0.5, "wa": 0.75, "ua": 0.25, name: value}
    with pytest.raises(DivergedError, match=f"found {value} in validation_{name} of epoch 1; like"):
        loop.finish_epoch(scores)
    assert loop.history == []


@pytest.mark.parametrize(
    ("result", "norm", "message"),
    [
        (result_of(np.nan), 1.0, "loss is nan at step 7; .* lower the learning rate, or use"),
        (result_of(np.inf), 1e4, r"the gradient grew to a norm of 1e\+04"),
        (result_of(1.0, {"centre": np.inf}), 1.0, "loss is inf at step 7"),
        (result_of(np.nan, input_finite=False), 1.0, "features of this batch are not finite"),
    ],
)
def test_a_diverged_loss_is_explained(result, norm, message):
    assert not is_finite(result)
    assert is_finite(result_of(1.0, {"centre": 2.0}))
    with pytest.raises(RuntimeError, match=message):
        raise diverged(7, result, norm)


@pytest.mark.parametrize(
    ("epoch", "best", "is_over"), [(3, 1, False), (4, 1, True), (5, 4, False), (6, 5, True)]
)
def test_training_ends_by_epochs_or_patience(epoch, best, is_over):
    loop = LoopState(epoch=epoch, best_epoch=best)
    assert loop.is_over(epochs=5, patience=2) == is_over

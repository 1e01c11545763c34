"""Metrics measured from predictions, and their printed table."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from serjax import report
from tests.helpers.run_folders import predictions


def test_measure_counts_each_split():
    run_predictions = predictions(["a", "b", "c"])
    measured = report.measure(run_predictions, resamples=50)
    test = [i for i, split in enumerate(run_predictions.splits) if split == "test"]
    correct = run_predictions.true[test] == run_predictions.predicted[test]
    assert measured["test"]["wa"]["value"] == pytest.approx(correct.mean())
    assert measured["test"]["utterances"] == len(test) == np.sum(measured["confusion"])
    assert (measured["test"]["speakers"], measured["validation"]["speakers"]) == (4, 2)
    of_true = run_predictions.probabilities[test, run_predictions.true[test]]
    assert measured["test"]["loss"] == pytest.approx(-np.log(of_true).mean(), rel=1e-5)
    for i, name in enumerate("abc"):
        row = measured["per_class"][name]
        assert row["support"] == (run_predictions.true[test] == i).sum()
        assert row["recall"] == pytest.approx(correct[run_predictions.true[test] == i].mean())
    wide = report.measure(run_predictions, over="speakers", resamples=50)
    assert wide["interval"]["over"] == "speakers"
    assert wide["test"]["wa"]["low"] != measured["test"]["wa"]["low"]


def test_measure_of_a_probability_of_zero_is_finite():
    run_predictions = report.Predictions(["a", "b"], ["x"], ["s"], [0], [1], [[0.0, 1.0]])
    assert report.measure(run_predictions)["test"]["loss"] == pytest.approx(87.3, abs=0.1)


def test_measure_checks_its_arguments():
    run_predictions = predictions(["a", "b"])
    with pytest.raises(ValueError, match="got 'rooms'"):
        report.measure(run_predictions, over="rooms")
    with pytest.raises(ValueError, match=r"found \{'validation'\}"):
        report.measure(run_predictions.of_split("validation"))


@pytest.mark.parametrize("terminal", [True, False])
def test_summary_shows_every_class_and_interval(terminal):
    measured = report.measure(predictions(["[red]angry", "calm"]), resamples=50)
    out = io.StringIO()
    report.print_summary(Console(file=out, force_terminal=terminal, width=80), measured)
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert "[red]angry" in text
    assert "…" not in text
    for split in ("test", "validation"):
        for interval in (measured[split][key] for key in ("wa", "ua", "f1_macro")):
            assert f"{100 * interval['low']:.1f} – {100 * interval['high']:.1f}" in text
    if not terminal:
        assert text.replace("–", "-").isascii()
        assert "\x1b" not in out.getvalue()

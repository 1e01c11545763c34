"""Ensembles: the mean of the predictions of several runs."""

import json

import numpy as np
import pytest

from serjax import report
from serjax.errors import InputError
from tests.helpers.run_folders import config, run_folder


def test_ensemble_predicts_by_the_mean_of_the_probabilities(tmp_path):
    run_folder(tmp_path / "member-1", 10, (1.0,))
    run_folder(tmp_path / "member-2", 5, (1.0,))
    path = tmp_path / "member-2" / "predictions.csv"
    path.write_text(path.read_text().replace("0.6", "0.9").replace("0.4", "0.1"))
    report.write_ensemble(tmp_path, ["member-1", "member-2"])
    joined = report.read_predictions(tmp_path / "predictions.csv")
    # The second is more confident: (0.6 + 0.1) / 2 for the true class sadness.
    np.testing.assert_allclose(joined.probabilities[7], [0.65, 0.35])
    assert joined.predicted.tolist() == [0] * 10
    metrics = report.read_metrics(tmp_path / "metrics.json")
    assert metrics["test"]["wa"]["value"] == 0.5
    assert metrics["members"] == ["member-1", "member-2"]
    assert json.loads((tmp_path / "timing.json").read_text()) == {"total": 200.0}


def test_costs_of_an_ensemble_are_those_of_a_member(tmp_path):
    folder = tmp_path / "row"
    for number in (1, 2):
        run_folder(folder / "fold-1" / f"member-{number}", 10, (1.0,))
    report.write_ensemble(folder / "fold-1", ["member-1", "member-2"])
    report.write_json(folder / "config.json", config("dscnn", "x", "random"))
    report.write_run_set(folder, ["fold-1"], resamples=50)
    outcome = report.read_outcome(folder, "a row")
    assert (outcome.parameters, outcome.seconds, len(outcome.histories)) == (500_000, 60.0, 2)


def test_members_with_different_classes_are_refused(tmp_path):
    run_folder(tmp_path / "a", 10, (1.0,))
    run_folder(tmp_path / "b", 10, (1.0,), classes=["anger", "fear"])
    with pytest.raises(InputError, match="b: expected the utterances of a, found others"):
        report.write_ensemble(tmp_path, ["a", "b"])

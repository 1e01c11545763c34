"""Cells of CSV files: no formula, and names come back."""

import csv

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serjax import data, report
from serjax.data.splits.predefined import read_split_file
from serjax.files.csv_cells import name_of_cell, safe_cell

FORMULAS = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "'=1", "''@x", "=cmd|'/C calc'!A0"]


@given(st.text())
@example("=1")
@example("'=1")
@example("'tis")
def test_names_come_back_and_no_cell_is_a_formula(name):
    cell = safe_cell(name)
    assert name_of_cell(cell) == name
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell in (name, f"'{name}")


@pytest.mark.parametrize("name", FORMULAS)
def test_predictions_are_safe_and_come_back(name, tmp_path):
    path = tmp_path / "predictions.csv"
    predictions = report.Predictions(
        classes=[name, "calm"],
        paths=[f"{name}.wav"],
        speakers=[name],
        true=np.array([0]),
        predicted=np.array([1]),
        probabilities=np.array([[0.25, 0.75]]),
    )
    report.write_predictions(path, predictions)
    with path.open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    restored = report.read_predictions(path)
    assert (restored.classes, restored.paths) == ([name, "calm"], [f"{name}.wav"])
    assert (restored.speakers, restored.true.tolist()) == ([name], [0])


def test_predictions_serve_as_a_split_file(tmp_path):
    paths = ("-a.wav", "=b.wav", "'c.wav", "'=d.wav")
    predictions = report.Predictions(
        classes=["anger", "calm"],
        paths=list(paths),
        speakers=["x"] * 4,
        true=np.zeros(4, int),
        predicted=np.ones(4, int),
        probabilities=np.full((4, 2), 0.5),
    )
    report.write_predictions(tmp_path / "predictions.csv", predictions)
    utterances = tuple(data.Utterance(path, emotion="anger") for path in paths)
    corpus = data.Corpus("odd", utterances, lambda *_: np.zeros(1, np.float32))
    split = read_split_file(tmp_path / "predictions.csv", corpus)
    assert split.tolist() == [2] * 4

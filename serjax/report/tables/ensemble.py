"""Ensembles: the mean of the predictions of several runs on the same splits."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serjax.errors import InputError
from serjax.files import PathLike, write_json
from serjax.report.files.predictions import Predictions, read_predictions, write_predictions
from serjax.report.files.records import read_timing
from serjax.report.tables.summary import measure


def write_ensemble(folder: PathLike, members: Sequence[str]) -> None:
    """Writes the predictions of an ensemble: the mean of the probabilities of its members.

    Writes `predictions.csv`, `metrics.json` with the names of the `members`, and `timing.json` with
    the sum of the members' times.

    Args:
        folder: Folder of the ensemble, which holds the folders of its members.
        members: Names of the members' folders.

    Raises:
        InputError: A member's file is missing or malformed, or members have predictions for
            different utterances.
    """
    folder = Path(folder)
    predictions = [read_predictions(folder / name / "predictions.csv") for name in members]
    first = predictions[0]
    for name, each in zip(members, predictions, strict=True):
        if _rows(each) != _rows(first):
            raise InputError(
                f"{folder / name}: expected the utterances of {members[0]}, found others"
            )
    mean = np.mean([each.probabilities for each in predictions], axis=0)
    joined = dataclasses.replace(first, probabilities=mean, predicted=mean.argmax(-1))
    write_predictions(folder / "predictions.csv", joined)
    write_json(folder / "metrics.json", {**measure(joined), "members": list(members)})
    seconds = [read_timing(folder / name / "timing.json").get("total", 0.0) for name in members]
    write_json(folder / "timing.json", {"total": sum(seconds)})


def _rows(predictions: Predictions) -> tuple[object, ...]:
    """Returns what the predictions of all members have in common."""
    return predictions.classes, predictions.utterances, predictions.splits

"""Several runs on the same parts as one: the mean of their answers."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serjax.errors import InputError
from serjax.files import PathLike
from serjax.report.files.formats import write_json
from serjax.report.files.records import read_predictions, read_timing, write_predictions
from serjax.report.tables.summary import measure


def write_ensemble(folder: PathLike, members: Sequence[str]) -> None:
    """Writes what an ensemble answers: the mean of its members' probabilities.

    Writes `predictions.csv`, `metrics.json`, with the names of the `members`, and `timing.json`,
    the sum of theirs.

    Args:
        folder: Where the members' folders lie.
        members: Their names.

    Raises:
        InputError: A member's file is missing or malformed, or members answered for different
            utterances.
    """
    folder = Path(folder)
    answers = [read_predictions(folder / name / "predictions.csv") for name in members]
    first = answers[0]
    for name, each in zip(members, answers, strict=True):
        if (each.classes, each.paths, each.splits) != (first.classes, first.paths, first.splits):
            raise InputError(
                f"{folder / name}: expected the utterances of {members[0]}, found others"
            )
    mean = np.mean([each.probabilities for each in answers], axis=0)
    joined = dataclasses.replace(first, probabilities=mean, predicted=mean.argmax(-1))
    write_predictions(folder / "predictions.csv", joined)
    write_json(folder / "metrics.json", {**measure(joined), "members": list(members)})
    seconds = [read_timing(folder / name / "timing.json").get("total", 0.0) for name in members]
    write_json(folder / "timing.json", {"total": sum(seconds)})

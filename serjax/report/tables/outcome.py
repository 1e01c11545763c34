"""Outcome of a paper's row: the results of a run, or of a set of runs, for the paper's tables."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serjax.files import PathLike
from serjax.report.files.history import read_history
from serjax.report.files.records import read_metrics, read_summary, read_timing


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """Results of a row of a paper, measured here.

    Attributes:
        title: Title of the row.
        metrics: Content of `metrics.json`, over all test utterances.
        summary: Content of `summary.json`; empty for a single run.
        histories: Rows of `history.csv` of each run; empty for a model without epochs.
        parameters: Number of parameters of the network; None for a model without them.
        seconds: Training time including compilation, the mean over the runs.
        published: True for the configuration of the paper, False for a tuned one.
        sweep: Runs of an anti-transfer sweep, as `serjax.report.write_sweep` takes them.
    """

    title: str
    metrics: Mapping[str, Any]
    summary: Mapping[str, Any]
    histories: Sequence[Sequence[Mapping[str, float]]]
    parameters: int | None
    seconds: float
    published: bool = True
    sweep: Sequence[Mapping[str, Any]] = ()


def read_outcome(folder: PathLike, title: str, *, published: bool = True) -> Outcome:
    """Reads the results of a run, or of a set of runs, from its folder.

    Args:
        folder: Run folder, or folder filled by `write_run_set`.
        title: Title of the row.
        published: True for the configuration of the paper, False for a tuned one.

    Returns:
        The results.

    Raises:
        InputError: A file is missing or malformed.
    """
    folder = Path(folder)
    summary = read_summary(folder / "summary.json")
    runs = [folder / row["run"] for row in summary["runs"]] if summary else [folder]
    # The runs of an ensemble lie one level deeper, a folder for each member.
    members = [member for run in runs for member in _members(run)]
    paths = [run / "history.csv" for run in members]
    timings = [read_timing(run / "timing.json") for run in members]
    seconds = [t.get("compile", 0.0) + t.get("train", 0.0) for t in timings]
    return Outcome(
        title=title,
        metrics=read_metrics(folder / "metrics.json"),
        summary=summary,
        histories=[read_history(path) for path in paths if path.exists()],
        parameters=read_metrics(members[0] / "metrics.json").get("parameters"),
        seconds=float(np.mean(seconds)),
        published=published,
    )


def _members(run: Path) -> list[Path]:
    """Returns the folders of an ensemble's members; of any other run, its own folder."""
    names = read_metrics(run / "metrics.json").get("members")
    return [run / name for name in names] if names else [run]

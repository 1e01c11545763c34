"""Summary of a set of runs: folds of a cross-validation, or repetitions with other seeds."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serjax.console import Console
from serjax.errors import InputError
from serjax.files import PathLike, write_json, write_text_atomic
from serjax.metrics import METRICS
from serjax.report.files.formats import write_table
from serjax.report.files.predictions import Predictions, read_predictions, write_predictions
from serjax.report.files.records import read_metrics, read_timing
from serjax.report.page.page import write_page
from serjax.report.tables.layout import console_table, markdown_table
from serjax.report.tables.summary import METRIC_NAMES, bootstrap_unit, measure


def write_run_set(
    folder: PathLike, runs: Sequence[str], *, resamples: int = 2000
) -> dict[str, Any]:
    """Summarizes finished runs, in the folder that holds their folders and a `config.json`.

    Writes `folds.csv` (a row per run), `summary.json`, `table.md`, and the files of an ordinary run
    for the pooled test utterances of all runs: `predictions.csv`, `metrics.json`, `confusion.png`
    and `report.html`. Intervals of the pooled metrics are by bootstrap over speakers, or over
    utterances if fewer than two speakers are known.

    Args:
        folder: Folder that holds the folders of the runs.
        runs: Names of the runs' folders.
        resamples: Number of bootstrap resamples.

    Returns:
        Content of `summary.json`: `runs` (for each its name `run`, `utterances` and the metrics on
        its test set, fractions in [0, 1]), `mean` and `standard_deviation` of the metrics over the
        runs (the latter is that of a sample; 0 for one run), `pooled` (`{"value", "low", "high"}`
        of each metric) and `interval`.

    Raises:
        InputError: A run's file is missing or malformed, or runs have different classes.
    """
    folder = Path(folder)
    rows: list[dict[str, Any]] = []
    tests: list[Predictions] = []
    seconds = 0.0
    measured = [read_metrics(folder / name / "metrics.json")["test"] for name in runs]
    # A metric that a user registers later is missing from earlier runs.
    keys = [key for key in METRICS if all(key in test for test in measured)]
    for name, test in zip(runs, measured, strict=True):
        tests.append(read_predictions(folder / name / "predictions.csv").of_split("test"))
        seconds += read_timing(folder / name / "timing.json").get("total", 0.0)
        values = {key: test[key]["value"] for key in keys}
        rows.append({"run": name, "utterances": test["utterances"], **values})
    pooled = pool(tests, folder)
    metrics = measure(pooled, over=bootstrap_unit(pooled), resamples=resamples)
    table = np.array([[row[key] for key in keys] for row in rows])
    deviation = table.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(len(keys))
    summary = {
        "runs": rows,
        "mean": dict(zip(keys, table.mean(axis=0).tolist(), strict=True)),
        "standard_deviation": dict(zip(keys, deviation.tolist(), strict=True)),
        "pooled": {key: metrics["test"][key] for key in keys},
        "interval": metrics["interval"],
    }
    write_predictions(folder / "predictions.csv", pooled)
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "timing.json", {"total": seconds})
    write_table(folder / "folds.csv", list(rows[0]), (list(row.values()) for row in rows))
    write_text_atomic(folder / "table.md", _markdown(summary))
    write_json(folder / "summary.json", summary)
    write_page(folder)
    return summary


def print_run_set(console: Console, summary: Mapping[str, Any]) -> None:
    """Prints the metrics of each run, their mean and deviation, and the pooled metrics.

    Args:
        console: Console to print on.
        summary: Summary, as returned by `write_run_set`.
    """
    console = Console.of(console)
    header, *rows = _cells(summary)
    console.print(console_table(console, header, rows))
    console.print(_footnote(summary))


def pool(tests: Sequence[Predictions], folder: Path) -> Predictions:
    """Concatenates the predictions of all runs.

    Args:
        tests: Predictions of each run for its test set.
        folder: Folder that holds the runs, for the message.

    Returns:
        The predictions, run after run.

    Raises:
        InputError: The runs have different classes.
    """
    for test in tests:
        if test.classes != tests[0].classes:
            raise InputError(
                f"{folder}: expected runs of the same classes, found {list(tests[0].classes)} "
                f"and {list(test.classes)}"
            )
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(test, name) for test in tests])
        for name in ("true", "predicted", "probabilities")
    }
    for name in ("paths", "speakers", "splits", "times"):
        joined[name] = [each for test in tests for each in getattr(test, name)]
    return dataclasses.replace(tests[0], **joined)


def _markdown(summary: Mapping[str, Any]) -> str:
    header, *rows = _cells(summary)
    return f"{markdown_table(header, rows)}\n\n{_footnote(summary)}\n"


def _cells(summary: Mapping[str, Any]) -> list[list[str]]:
    """Returns the cells of the table, its header first; metrics in per cent."""
    level = f"{100 * summary['interval']['level']:g} %"
    keys = list(summary["mean"])
    cells = [["run", "n", *(f"{METRIC_NAMES.get(key, key)} %" for key in keys)]]
    for row in summary["runs"]:
        cells.append([row["run"], f"{row['utterances']:,}", *_percents(row, keys)])
    cells.append(["mean", "", *_percents(summary["mean"], keys)])
    cells.append(["standard deviation", "", *_percents(summary["standard_deviation"], keys)])
    total = sum(row["utterances"] for row in summary["runs"])
    pooled = {key: interval["value"] for key, interval in summary["pooled"].items()}
    cells.append(["pooled", f"{total:,}", *_percents(pooled, keys)])
    ends = [
        f"{100 * summary['pooled'][key]['low']:.1f} – {100 * summary['pooled'][key]['high']:.1f}"
        for key in keys
    ]
    cells.append([f"{level} interval", "", *ends])
    return cells


def _footnote(summary: Mapping[str, Any]) -> str:
    interval = summary["interval"]
    return (
        f"Metrics on n test utterances. The interval of the pooled metrics is by bootstrap over "
        f"{interval['over']}, {interval['resamples']:,} resamples."
    )


def _percents(values: Mapping[str, float], keys: Sequence[str]) -> list[str]:
    return [f"{100 * values[key]:.1f}" for key in keys]

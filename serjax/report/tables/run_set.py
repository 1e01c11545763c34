"""Several runs summed up: the folds of a cross-validation, or repetitions with other seeds."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from serjax.errors import InputError
from serjax.files import PathLike, write_text_atomic
from serjax.metrics import METRICS
from serjax.report.files.formats import write_json, write_table
from serjax.report.files.records import (
    Predictions,
    read_metrics,
    read_predictions,
    read_timing,
    write_predictions,
)
from serjax.report.page.page import write_page
from serjax.report.tables.summary import METRIC_NAMES, measure, resampled


def write_run_set(
    folder: PathLike, runs: Sequence[str], *, resamples: int = 2000
) -> dict[str, Any]:
    """Sums up finished runs in the folder that holds theirs and a `config.json`.

    Writes `folds.csv` (a row per run), `summary.json`, `table.md`, and, of the test utterances of
    all runs together, the files of an ordinary run: `predictions.csv`, `metrics.json`,
    `confusion.png` and `report.html`. Intervals of the pooled measures are by bootstrap over
    speakers, or over utterances where fewer than two speakers are known.

    Args:
        folder: Where the runs' folders lie.
        runs: Their names.
        resamples: Of the bootstrap.

    Returns:
        The content of `summary.json`: `runs` (each `run`, `utterances` and the measures of the
        test part, shares in [0, 1]), `mean` and `standard_deviation` of the measures over runs
        (the latter of a sample, 0 of one run), `pooled` (`{"value", "low", "high"}` of each) and
        `interval`.

    Raises:
        InputError: A run's file is missing or malformed, or runs have different classes.
    """
    folder = Path(folder)
    rows: list[dict[str, Any]] = []
    tests: list[Predictions] = []
    seconds = 0.0
    for name in runs:
        test = read_metrics(folder / name / "metrics.json")["test"]
        tests.append(read_predictions(folder / name / "predictions.csv").of_split("test"))
        seconds += read_timing(folder / name / "timing.json").get("total", 0.0)
        values = {key: test[key]["value"] for key in METRICS}
        rows.append({"run": name, "utterances": test["utterances"], **values})
    pooled = pool(tests, folder)
    metrics = measure(pooled, over=resampled(pooled), resamples=resamples)
    table = np.array([[row[key] for key in METRICS] for row in rows])
    deviation = table.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(len(METRICS))
    summary = {
        "runs": rows,
        "mean": dict(zip(METRICS, table.mean(axis=0).tolist(), strict=True)),
        "standard_deviation": dict(zip(METRICS, deviation.tolist(), strict=True)),
        "pooled": {key: metrics["test"][key] for key in METRICS},
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
    """Prints the table of `summary.json`: each run, mean, deviation, and the pooled interval.

    Args:
        console: Where to print.
        summary: From `write_run_set`.
    """
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    header, *rows = _cells(summary)
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(_how(summary), highlight=False)


def pool(tests: Sequence[Predictions], folder: Path) -> Predictions:
    """The utterances of all runs, run after run.

    Args:
        tests: The test part of each.
        folder: Where the runs lie, for the message.

    Raises:
        InputError: They have different classes.
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
    for name in ("paths", "speakers", "parts"):
        joined[name] = [each for test in tests for each in getattr(test, name)]
    return dataclasses.replace(tests[0], **joined)


def _markdown(summary: Mapping[str, Any]) -> str:
    header, *rows = _cells(summary)
    rule = ["---", *["---:"] * (len(header) - 1)]
    lines = (f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))
    return f"{''.join(lines)}\n{_how(summary)}\n"


def _cells(summary: Mapping[str, Any]) -> list[list[str]]:
    """The table as text, its header first; shares in per cent."""
    level = f"{100 * summary['interval']['level']:g} %"
    cells = [["run", "n", *(f"{METRIC_NAMES[key]} %" for key in METRICS)]]
    for row in summary["runs"]:
        cells.append([row["run"], f"{row['utterances']:,}", *_percents(row)])
    cells.append(["mean", "", *_percents(summary["mean"])])
    cells.append(["standard deviation", "", *_percents(summary["standard_deviation"])])
    total = sum(row["utterances"] for row in summary["runs"])
    pooled = {key: interval["value"] for key, interval in summary["pooled"].items()}
    cells.append(["pooled", f"{total:,}", *_percents(pooled)])
    ends = [
        f"{100 * summary['pooled'][key]['low']:.1f} – {100 * summary['pooled'][key]['high']:.1f}"
        for key in METRICS
    ]
    cells.append([f"{level} interval", "", *ends])
    return cells


def _how(summary: Mapping[str, Any]) -> str:
    interval = summary["interval"]
    return (
        f"Of n test utterances. The interval of the pooled ones is by bootstrap over "
        f"{interval['over']}, {interval['resamples']:,} resamples."
    )


def _percents(shares: Mapping[str, float]) -> list[str]:
    return [f"{100 * shares[key]:.1f}" for key in METRICS]

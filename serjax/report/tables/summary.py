"""Metrics of a run: measured from its predictions, and printed at its end."""

from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from serjax import losses, metrics
from serjax.console import Console
from serjax.report.files.predictions import Predictions
from serjax.report.tables.layout import console_table

METRIC_NAMES = metrics.TITLES
"""Titles of the metrics in tables, by their keys in `metrics.json`."""


def measure(
    predictions: Predictions, *, over: str = "utterances", resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Measures the metrics of `metrics.json` that follow from the predictions.

    Args:
        predictions: Predictions for the test set, optionally also for the validation set.
        over: Unit that the bootstrap resamples, "utterances" or "speakers" (see
            `metrics.bootstrap`).
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        `test` and, for predictions of the validation set, `validation` (each with `wa`, `ua`,
        `f1_macro`, `f1_weighted` and registered metrics with 95 % intervals, `loss` in nats,
        `utterances`, `speakers`); `per_class`, `confusion` and `classes` of the test set;
        `interval`.
        `serjax.report.files` describes them.

    Raises:
        ValueError: There are no test utterances, `over` is unknown, or `over` is "speakers" and
            there is only one.
    """
    if over not in ("utterances", "speakers"):
        raise ValueError(f"over must be utterances or speakers, got {over!r}")
    test = predictions.of_split("test")
    if not len(test):
        raise ValueError(f"expected utterances of split test, found {set(predictions.splits)}")
    classes = list(predictions.classes)
    measured: dict[str, Any] = {}
    for name in ("test", "validation"):
        split = predictions.of_split(name)
        if not len(split):
            continue
        intervals = metrics.bootstrap(
            split.true,
            split.predicted,
            len(classes),
            resamples=resamples,
            seed=seed,
            groups=bootstrap_groups(split, over),
        )
        measured[name] = {
            **{key: interval._asdict() for key, interval in intervals.items()},
            "loss": float(losses.negative_log_likelihood(split.probabilities, split.true).mean()),
            "utterances": len(split),
            "speakers": len(set(split.speakers)),
        }
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (test.true, test.predicted), 1)
    columns = {
        "precision": metrics.precision(confusion).tolist(),
        "recall": metrics.recall(confusion).tolist(),
        "f1": metrics.f1(confusion).tolist(),
        "support": confusion.sum(axis=1).tolist(),
    }
    return {
        **measured,
        "per_class": {
            name: {key: values[i] for key, values in columns.items()}
            for i, name in enumerate(classes)
        },
        "confusion": confusion.tolist(),
        "classes": classes,
        "interval": {"level": 0.95, "over": over, "resamples": resamples, "seed": seed},
    }


def bootstrap_unit(predictions: Predictions) -> str:
    """Chooses the unit that a bootstrap resamples.

    Args:
        predictions: Predictions for one split.

    Returns:
        "speakers", or "utterances" if fewer than two speakers are known.
    """
    return "speakers" if len(set(predictions.speakers)) > 1 else "utterances"


def bootstrap_groups(predictions: Predictions, over: str) -> np.ndarray | None:
    """Returns the groups that a bootstrap resamples as a whole, see `metrics.bootstrap`.

    Args:
        predictions: Predictions for one split.
        over: Unit that the bootstrap resamples, "speakers" or "utterances".

    Returns:
        `[predictions]` speakers; or numbers of the utterances, if some have several predictions,
        such as those of several seeds; None if each prediction is resampled by itself.
    """
    if over == "speakers":
        return np.asarray(predictions.speakers)
    utterances = predictions.utterances
    numbers = {utterance: number for number, utterance in enumerate(sorted(set(utterances)))}
    if not 1 < len(numbers) < len(predictions):
        return None
    return np.array([numbers[utterance] for utterance in utterances])


def print_summary(console: Console, metrics: dict[str, Any]) -> None:
    """Prints the results of a run: WA, UA and F1 with their intervals, then those of each class.

    On a terminal the tables have a rule and a bold header; in a file or a pipe they have bare
    columns.

    Args:
        console: Console to print on.
        metrics: Content of `metrics.json`.
    """
    console = Console.of(console)
    style = box.SIMPLE_HEAD if console.is_terminal else None
    level = metrics.get("interval", {}).get("level", 0.95)
    splits = [name for name in ("test", "validation") if name in metrics]
    titles = [title for name in splits for title in (f"{name} %", f"{100 * level:g} % interval")]
    overall = console_table(console, ["", *titles])
    for key, name in METRIC_NAMES.items():
        if any(key not in metrics[split] for split in splits):
            continue
        cells = []
        for split in splits:
            interval = metrics[split][key]
            cells.append(_percent(interval["value"]))
            cells.append(f"{_percent(interval['low'])} – {_percent(interval['high'])}")
        overall.add_row(name, *cells)
    classes = Table(box=style, pad_edge=False)
    classes.add_column("class", overflow="fold")
    for column in ("precision %", "recall %", "F1 %", "utterances"):
        classes.add_column(column, justify="right", no_wrap=True)
    for name in metrics["classes"]:
        row = metrics["per_class"][name]
        cells = [_percent(row[key]) for key in ("precision", "recall", "f1")]
        classes.add_row(name, *cells, str(row["support"]))
    for table in (overall, classes):
        console.print(table)
        if style is None:
            console.print()


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"

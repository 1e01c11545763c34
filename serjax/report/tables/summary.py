"""A run's metrics: measured from its predictions, and printed as the closing table."""

from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from serjax import losses, metrics
from serjax.report.files.records import Predictions

METRIC_NAMES = {"wa": "WA", "ua": "UA", "f1_macro": "macro F1", "f1_weighted": "weighted F1"}
"""Of the measures, as people read them."""


def measure(
    predictions: Predictions, *, over: str = "utterances", resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """The part of `metrics.json` that follows from the predictions.

    Args:
        predictions: Utterances of the test part, and perhaps of the validation part.
        over: What the bootstrap resamples: "utterances" or "speakers" (see `metrics.bootstrap`).
        resamples: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        `test` and, where there are utterances of it, `validation` (`wa`, `ua`, `f1_macro` and
        `f1_weighted` with 95 % intervals, `loss` in nats, `utterances`, `speakers`);
        `per_class`, `confusion`, `classes` of the test part; `interval`.
        `serjax.report.files.records` describes them.

    Raises:
        ValueError: There are no test utterances, `over` is unknown, or the intervals are to be over
            speakers and there is only one.
    """
    if over not in ("utterances", "speakers"):
        raise ValueError(f"over must be utterances or speakers, got {over!r}")
    test = predictions.of_split("test")
    if not len(test):
        raise ValueError(f"expected utterances of part test, found parts {set(predictions.splits)}")
    classes = list(predictions.classes)
    measured: dict[str, Any] = {}
    for name in ("test", "validation"):
        part = predictions.of_split(name)
        if not len(part):
            continue
        intervals = metrics.bootstrap(
            part.true,
            part.predicted,
            len(classes),
            resamples=resamples,
            seed=seed,
            groups=drawn_whole(part, over),
        )
        measured[name] = {
            **{key: interval._asdict() for key, interval in intervals.items()},
            "loss": float(losses.negative_log_likelihood(part.probabilities, part.true).mean()),
            "utterances": len(part),
            "speakers": len(set(part.speakers)),
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


def resampled(predictions: Predictions) -> str:
    """What a bootstrap is to draw: "speakers", or "utterances" where fewer than two are known."""
    return "speakers" if len(set(predictions.speakers)) > 1 else "utterances"


def drawn_whole(predictions: Predictions, over: str) -> np.ndarray | None:
    """The groups that a bootstrap draws as a whole, see `metrics.bootstrap`.

    Args:
        predictions: Of one part.
        over: "speakers" or "utterances".

    Returns:
        `[answers]` speakers, or utterances if some have several answers, as of several seeds;
        None where every answer counts for itself.
    """
    if over == "speakers":
        return np.asarray(predictions.speakers)
    repeated = len(set(predictions.paths)) < len(predictions)
    return np.asarray(predictions.paths) if repeated else None


def print_summary(console: Console, metrics: dict[str, Any]) -> None:
    """Prints a run's results: the parts' WA, UA and F1 with their intervals, then each class.

    On a terminal the tables have rules and bold heads; in a file or a pipe they are bare columns.

    Args:
        console: Where to print.
        metrics: The content of `metrics.json`.
    """
    style = box.SIMPLE_HEAD if console.is_terminal else None
    level = metrics.get("interval", {}).get("level", 0.95)
    shown = [name for name in ("test", "validation") if name in metrics]
    overall = Table(box=style, pad_edge=False)
    overall.add_column("")
    for part in shown:
        overall.add_column(f"{part} %", justify="right", no_wrap=True)
        overall.add_column(f"{100 * level:g} % interval", justify="right", no_wrap=True)
    for key, name in METRIC_NAMES.items():
        if any(key not in metrics[part] for part in shown):
            continue
        cells = []
        for part in shown:
            interval = metrics[part][key]
            cells.append(_percent(interval["value"]))
            cells.append(f"{_percent(interval['low'])} – {_percent(interval['high'])}")
        overall.add_row(name, *cells)
    classes = Table(box=style, pad_edge=False)
    classes.add_column("class", overflow="fold")
    for column in ("precision %", "recall %", "F1 %", "utterances"):
        classes.add_column(column, justify="right", no_wrap=True)
    for name in metrics["classes"]:
        row = metrics["per_class"][name]
        shares = [_percent(row[key]) for key in ("precision", "recall", "f1")]
        # Text, not a string, which rich would search for markup: a class may be called "[red]".
        classes.add_row(Text(name), *shares, str(row["support"]))
    for table in (overall, classes):
        console.print(table)
        if style is None:
            console.print()


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"

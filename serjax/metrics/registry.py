"""Registry of the metrics that runs report."""

from collections.abc import Callable
from typing import Any

from serjax.errors import InputError
from serjax.metrics.confusion import f1_macro, f1_weighted, unweighted_accuracy, weighted_accuracy

METRICS: dict[str, Callable[[Any], Any]] = {
    "wa": weighted_accuracy,
    "ua": unweighted_accuracy,
    "f1_macro": f1_macro,
    "f1_weighted": f1_weighted,
}
"""Reported metrics of a confusion matrix, by their names in a run's files."""

TITLES = {"wa": "WA", "ua": "UA", "f1_macro": "macro F1", "f1_weighted": "weighted F1"}
"""Titles of the metrics in tables, by their names."""


def register(name: str, title: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Registers a metric of a confusion matrix, as a decorator.

    The metric then has a value and an interval in every run's `metrics.json`, tables and page, and
    in comparisons of runs.

    Args:
        name: Name in the run's files.
        title: Title in tables.

    Returns:
        Decorator of a function from confusion matrices `[..., classes, classes]` to values `[...]`
        in [0, 1].

    Raises:
        InputError: The name is taken.

    Example:
        >>> from serjax import metrics
        >>> @metrics.register("lowest_recall", "lowest recall")
        ... def lowest_recall(confusion):
        ...     return metrics.recall(confusion).min(axis=-1)
        >>> intervals = metrics.bootstrap([0, 0, 1, 1], [0, 0, 1, 0], num_classes=2)
        >>> float(intervals["lowest_recall"].value)
        0.5
        >>> metrics.unregister("lowest_recall")
    """
    if name in METRICS:
        raise InputError(f"metric {name!r}: expected a new name, found a registered one")

    def decorate(metric: Callable[[Any], Any]) -> Callable[[Any], Any]:
        METRICS[name], TITLES[name] = metric, title
        return metric

    return decorate


def unregister(name: str) -> None:
    """Removes a registered metric.

    Args:
        name: Name that it was registered under.
    """
    del METRICS[name], TITLES[name]

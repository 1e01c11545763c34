"""Metrics of a classifier: from its confusion matrix, with intervals, and registered by name."""

from serjax.metrics.bootstrap import (
    Groups,
    Interval,
    Labels,
    bootstrap,
    check_labels,
    percentiles,
    resample,
)
from serjax.metrics.confusion import (
    confusion_matrix,
    f1,
    f1_macro,
    f1_weighted,
    precision,
    recall,
    unweighted_accuracy,
    weighted_accuracy,
)
from serjax.metrics.registry import METRICS, TITLES, register, unregister

__all__ = [
    "METRICS",
    "TITLES",
    "Groups",
    "Interval",
    "Labels",
    "bootstrap",
    "check_labels",
    "confusion_matrix",
    "f1",
    "f1_macro",
    "f1_weighted",
    "percentiles",
    "precision",
    "recall",
    "register",
    "resample",
    "unregister",
    "unweighted_accuracy",
    "weighted_accuracy",
]

"""Confidence intervals of metrics by bootstrap over utterances or speakers."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Integer, Num, Shaped

from serjax.metrics.registry import METRICS

# SciPy's bootstrap resamples utterances one by one, not speakers with all of theirs.

Labels = Integer[Array | np.ndarray, " utterances"] | Sequence[int]
"""Classes of utterances, in `[0, num_classes)`."""


Groups = Shaped[np.ndarray, " utterances"] | Sequence[str] | Sequence[int]
"""Group of each utterance, for example its speaker."""


class Interval(NamedTuple):
    """Estimate with its confidence interval.

    Attributes:
        value: Value of the metric.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float


def bootstrap(
    true: Labels,
    predicted: Labels,
    num_classes: int,
    *,
    resamples: int = 2000,
    seed: int = 0,
    groups: Groups | None = None,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Computes WA, UA, macro and weighted F1 with percentile bootstrap confidence intervals.

    Each resample samples utterances with replacement, the same number as in the data. With `groups`
    it samples whole groups: utterances of one speaker resemble each other, so intervals over
    utterances are too narrow for unseen speakers. Intervals over fewer than about ten groups are
    rough.

    Resampling is not stratified: the class proportions vary between resamples, as they would
    between test sets. A rare class may be missing from a resample, where it is not part of UA's
    mean.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 (groups) and 13
    (percentile intervals).

    Args:
        true: True classes, integers `[utterances]` in `[0, num_classes)`.
        predicted: Predicted classes, integers `[utterances]` in `[0, num_classes)`.
        num_classes: Number of classes.
        resamples: Number of resamples, at least 1.
        seed: Seed of the resampling; the same seed gives the same intervals.
        groups: Group of each utterance, `[utterances]` of any type that NumPy can sort, for example
            speaker names; None: utterances are resampled one by one.
        level: Confidence level of the intervals, in (0, 1).

    Returns:
        An `Interval` in [0, 1] for each metric of `METRICS`.

    Raises:
        ValueError: There are no utterances, shapes differ, a label is out of range, there is only
            one group (nothing to resample), or `resamples` or `level` is out of range.

    Example:
        >>> intervals = bootstrap([0, 0, 1, 1], [0, 0, 1, 0], num_classes=2)
        >>> intervals["wa"].value
        0.75
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    check_labels(num_classes, true=true, predicted=predicted)
    cell = true.astype(np.int64) * num_classes + predicted
    resampled = resample(
        cell, num_classes**2, resamples=resamples, seed=seed, groups=groups, level=level
    ).reshape(-1, num_classes, num_classes)
    counts = np.bincount(cell, minlength=num_classes**2).reshape(num_classes, num_classes)
    intervals = {}
    for name, metric in METRICS.items():
        low, high = percentiles(metric(resampled), level)
        intervals[name] = Interval(float(metric(counts)), low, high)
    return intervals


def check_labels(num_classes: int, **labels: np.ndarray) -> None:
    """Checks labels of the same utterances.

    Args:
        num_classes: Number of classes.
        **labels: Classes `[utterances]` by name, for example `true=` and `predicted=`.

    Raises:
        ValueError: There are no utterances, shapes differ, or a label is out of range.
    """
    shapes = {classes.shape for classes in labels.values()}
    if len(shapes) != 1 or any(len(shape) != 1 or shape == (0,) for shape in shapes):
        raise ValueError(
            f"{_join_words(labels)} must be [utterances] with at least one utterance, "
            f"got shapes {_join_words(str(classes.shape) for classes in labels.values())}"
        )
    for name, classes in labels.items():
        if classes.min() < 0 or classes.max() >= num_classes:
            raise ValueError(
                f"{name} must be in [0, {num_classes}), got {classes.min()} to {classes.max()}"
            )


def resample(
    cell: Integer[np.ndarray, " utterances"],
    num_cells: int,
    *,
    resamples: int,
    seed: int,
    groups: Groups | None,
    level: float,
) -> Num[np.ndarray, "{resamples} {num_cells}"]:
    """Samples bootstrap resamples, as counts of utterances per cell; see `bootstrap`.

    A cell is a combination of labels, for example a true and a predicted class. Metrics depend on
    an utterance only through its cell.

    Args:
        cell: Cell of each utterance, integers `[utterances]` in `[0, num_cells)`.
        num_cells: Number of cells.
        resamples: Number of resamples, at least 1.
        seed: Seed of the resampling.
        groups: Group of each utterance, `[utterances]`; None: utterances are resampled one by one.
        level: Confidence level of the interval, in (0, 1), only checked.

    Returns:
        Counts `[resamples, num_cells]`.

    Raises:
        ValueError: There is only one group, or an argument is out of range.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f"resamples must be at least 1 and level in (0, 1), got {resamples} and {level}"
        )
    generator = np.random.default_rng(seed)
    if groups is None:
        # Sampling utterances with replacement makes the counts of the cells multinomial.
        counts = np.bincount(cell, minlength=num_cells)
        return generator.multinomial(cell.size, counts / cell.size, size=resamples)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if group.shape != cell.shape:
        raise ValueError(f"groups must be {cell.shape} like true, got {group.shape}")
    if len(names) < 2:
        raise ValueError(f"resampling groups needs at least 2 of them, got only {names[0]!r}")
    by_group = np.zeros((len(names), num_cells))
    np.add.at(by_group, (group, cell), 1)
    probabilities = np.full(len(names), 1 / len(names))
    return generator.multinomial(len(names), probabilities, size=resamples) @ by_group


def percentiles(values: Float[np.ndarray, " resamples"], level: float) -> tuple[float, float]:
    """Computes the ends of a percentile interval.

    Args:
        values: Resampled values of a metric, `[resamples]`.
        level: Confidence level of the interval, in (0, 1).

    Returns:
        Lower and upper end.
    """
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _join_words(words: Iterable[str]) -> str:
    """Joins words as in a sentence: "a, b and c"."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last

"""Tests between two classifiers that have answered the same utterances."""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from serjax import metrics
from serjax.metrics import Interval


class Difference(NamedTuple):
    """A difference of two classifiers, first less second.

    Attributes:
        interval: Of the difference, in [-1, 1].
        p: Two-sided bootstrap p value, in (0, 1].
    """

    interval: Interval
    p: float


def mcnemar(true: ArrayLike, first: ArrayLike, second: ArrayLike) -> float:
    """Exact p value of McNemar's test: are two classifiers right equally often?

    Of the utterances that one classifier has right and the other wrong, each has as many as the
    other if they are equally good: a two-sided binomial test with probability one half.
    Utterances count as independent, so with several of each speaker the p value is too small; see
    `paired_bootstrap`.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions
    or percentages, Psychometrika 12 (1947); exact form: Edwards, Psychometrika 13 (1948).

    Args:
        true: Integers `[utterances]`.
        first: Integers `[utterances]`, one classifier's answers.
        second: Integers `[utterances]`, the other's.

    Returns:
        In (0, 1]; 1 where they never differ in being right.

    Raises:
        ValueError: Shapes differ.
    """
    true, first, second = (np.asarray(labels) for labels in (true, first, second))
    if not true.shape == first.shape == second.shape:
        raise ValueError(
            "true, first and second must have one shape, "
            f"got {true.shape}, {first.shape} and {second.shape}"
        )
    right = first == true, second == true
    only_first, only_second = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
    if only_first + only_second == 0:
        return 1.0
    from scipy import stats  # takes as long as importing JAX

    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def paired_bootstrap(
    true: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    num_classes: int,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    groups: ArrayLike | None = None,
    level: float = 0.95,
) -> dict[str, Difference]:
    """Differences of WA, UA and F1 on the same resamples, see `metrics.bootstrap`.

    The p value is twice the smaller share of resamples in which the difference is not above, or
    not below, zero, the observed sample counted in: it is under 1 - level where the interval
    leaves zero out.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 15;
    Berg-Kirkpatrick et al., An empirical investigation of statistical significance in NLP,
    EMNLP 2012.

    Args:
        true: Integers `[utterances]` in `[0, num_classes)`.
        first: Integers `[utterances]`, one classifier's answers.
        second: Integers `[utterances]`, the other's.
        num_classes: Number of classes.
        resamples: Number of resamples, at least 1; p is at least 2 / (resamples + 1).
        seed: Seed of the resampling.
        groups: `[utterances]` of anything NumPy can sort, such as speaker names, drawn as a whole.
        level: Probability that the interval is to cover, in (0, 1).

    Returns:
        A `Difference` for each of `metrics.METRICS`.

    Raises:
        ValueError: There are no utterances, shapes differ, a label is out of range, there is only
            one group, or `resamples` or `level` is out of range.
    """
    true, first, second = (np.asarray(labels) for labels in (true, first, second))
    metrics.check_labels(num_classes, true=true, first=first, second=second)
    # Of the classes**3 cells only those that occur are counted.
    answers, cell = np.unique(np.stack([true, first, second]), axis=1, return_inverse=True)
    cells = answers.shape[1]
    resampled = metrics.resample(
        cell.reshape(-1), cells, resamples=resamples, seed=seed, groups=groups, level=level
    )
    counts = np.bincount(cell.reshape(-1), minlength=cells)[None]
    differences = {}
    for name, metric in metrics.METRICS.items():
        observed, drawn = (
            metric(_confusions(each, answers[0], answers[1], num_classes))
            - metric(_confusions(each, answers[0], answers[2], num_classes))
            for each in (counts, resampled)
        )
        low, high = metrics.percentiles(drawn, level)
        tail = min(np.sum(drawn <= 0), np.sum(drawn >= 0)) + 1
        p = min(1.0, 2 * float(tail) / (resamples + 1))
        differences[name] = Difference(Interval(float(observed[0]), low, high), p)
    return differences


def _confusions(
    counts: np.ndarray, true: np.ndarray, predicted: np.ndarray, num_classes: int
) -> np.ndarray:
    """Confusion matrices `[n, classes, classes]` of cells counted `[n, cells]`."""
    place = np.zeros((len(true), num_classes**2))
    place[np.arange(len(true)), true * num_classes + predicted] = 1
    return (counts @ place).reshape(-1, num_classes, num_classes)

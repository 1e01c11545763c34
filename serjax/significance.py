"""Statistical tests of two classifiers on the same utterances."""

from typing import NamedTuple

import numpy as np

from serjax import metrics
from serjax.metrics import Groups, Interval, Labels


class Difference(NamedTuple):
    """Difference of a metric between two classifiers, first minus second.

    Attributes:
        interval: Difference with its confidence interval, in [-1, 1].
        p: Two-sided bootstrap p value, in (0, 1].
    """

    interval: Interval
    p: float


def mcnemar(true: Labels, first: Labels, second: Labels) -> float:
    """Computes the exact p value of McNemar's test that two classifiers are equally accurate.

    It is a two-sided binomial test on the utterances that only one of the classifiers classifies
    correctly: if both are equally good, each is correct with probability one half. The test assumes
    independent utterances, so with several utterances per speaker the p value is too small; see
    `paired_bootstrap`.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions
    or percentages, Psychometrika 12 (1947); exact form: Edwards, Psychometrika 13 (1948).

    Args:
        true: True classes, integers `[utterances]`.
        first: Predictions of the first classifier, integers `[utterances]`.
        second: Predictions of the second classifier, integers `[utterances]`.

    Returns:
        p value in (0, 1]; 1 if the classifiers are correct on the same utterances.

    Raises:
        ValueError: Shapes differ.

    Example:
        >>> mcnemar([0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1])
        0.5
    """
    true, first, second = (np.asarray(labels) for labels in (true, first, second))
    if not true.shape == first.shape == second.shape:
        raise ValueError(
            "true, first and second must have one shape, "
            f"got {true.shape}, {first.shape} and {second.shape}"
        )
    is_correct = first == true, second == true
    only_first = int(np.sum(is_correct[0] & ~is_correct[1]))
    only_second = int(np.sum(is_correct[1] & ~is_correct[0]))
    if only_first + only_second == 0:
        return 1.0
    from scipy import stats  # as slow to import as JAX

    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def paired_bootstrap(
    true: Labels,
    first: Labels,
    second: Labels,
    num_classes: int,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    groups: Groups | None = None,
    level: float = 0.95,
) -> dict[str, Difference]:
    """Computes differences of WA, UA and F1 on the same resamples; see `metrics.bootstrap`.

    The p value is twice the smaller fraction of resamples in which the difference is not above, or
    not below, zero; the observed sample counts as one of them. It is below 1 - level where the
    interval does not include zero.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 15;
    Berg-Kirkpatrick et al., An empirical investigation of statistical significance in NLP,
    EMNLP 2012.

    Args:
        true: True classes, integers `[utterances]` in `[0, num_classes)`.
        first: Predictions of the first classifier, integers `[utterances]` in `[0, num_classes)`.
        second: Predictions of the second classifier, integers `[utterances]` in `[0, num_classes)`.
        num_classes: Number of classes.
        resamples: Number of resamples, at least 1; p is at least 2 / (resamples + 1).
        seed: Seed of the resampling.
        groups: Group of each utterance, `[utterances]` of any type that NumPy can sort, for example
            speaker names; None: utterances are resampled one by one.
        level: Confidence level of the intervals, in (0, 1).

    Returns:
        A `Difference` for each metric of `metrics.METRICS`.

    Raises:
        ValueError: There are no utterances, shapes differ, a label is out of range, there is only
            one group, or `resamples` or `level` is out of range.

    Example:
        >>> differences = paired_bootstrap([0, 0, 1, 1], [0, 0, 1, 1], [1, 0, 1, 1], num_classes=2)
        >>> differences["wa"].interval.value
        0.25
    """
    true, first, second = (np.asarray(labels) for labels in (true, first, second))
    metrics.check_labels(num_classes, true=true, first=first, second=second)
    # There are classes**3 cells, of which only those that occur are counted.
    labels, cell = np.unique(np.stack([true, first, second]), axis=1, return_inverse=True)
    num_cells = labels.shape[1]
    resampled_counts = metrics.resample(
        cell.reshape(-1), num_cells, resamples=resamples, seed=seed, groups=groups, level=level
    )
    observed_counts = np.bincount(cell.reshape(-1), minlength=num_cells)[None]
    differences = {}
    for name, metric in metrics.METRICS.items():
        observed, resampled = (
            metric(_confusions(counts, labels[0], labels[1], num_classes))
            - metric(_confusions(counts, labels[0], labels[2], num_classes))
            for counts in (observed_counts, resampled_counts)
        )
        low, high = metrics.percentiles(resampled, level)
        tail = min(np.sum(resampled <= 0), np.sum(resampled >= 0)) + 1
        p = min(1.0, 2 * float(tail) / (resamples + 1))
        differences[name] = Difference(Interval(float(observed[0]), low, high), p)
    return differences


def _confusions(
    counts: np.ndarray, true: np.ndarray, predicted: np.ndarray, num_classes: int
) -> np.ndarray:
    """Sums cells counted `[n, cells]` into confusion matrices `[n, classes, classes]`."""
    indicator = np.zeros((len(true), num_classes**2))
    indicator[np.arange(len(true)), true * num_classes + predicted] = 1
    return (counts @ indicator).reshape(-1, num_classes, num_classes)

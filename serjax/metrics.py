"""Metrics of a classifier, all derived from its confusion matrix.

A confusion matrix is a sum over utterances. So the matrices of any batches, padded or of unequal
size, add up to the matrix of the whole set, and a metric derived from the sum is exact. The
functions that derive metrics take matrices `[..., classes, classes]` (rows true, columns
predicted), as JAX arrays, traced or not, or as NumPy arrays, and return an array of the same
library.

No metric is ever NaN: a ratio with a denominator of zero (the precision of a class that was never
predicted, the accuracy of an empty set) is 0.
"""

from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Integer, Num, Shaped

from serjax.errors import InputError

Confusion = TypeVar("Confusion", jax.Array, np.ndarray)
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


def confusion_matrix(
    true: Integer[Array | np.ndarray, "*shape"],
    predicted: Integer[Array | np.ndarray, "*shape"],
    num_classes: int,
    weights: Shaped[Array | np.ndarray, "*shape"] | None = None,
) -> Float32[Array, "{num_classes} {num_classes}"]:
    """Counts utterances by true and predicted class.

    Matrices add: the sum over batches is the matrix of all utterances. Under `jit`, `num_classes`
    is static. Labels outside `[0, num_classes)` are not counted, so padding may have the label -1.

    Args:
        true: True classes, integers of any shape.
        predicted: Predicted classes, integers of the shape of `true`.
        num_classes: Number of classes.
        weights: Weight of each utterance, bool or float of the shape of `true`, 0 for padding;
            None: weight 1 for all.

    Returns:
        float32 `[num_classes, num_classes]`, rows true, columns predicted. Counts are exact up to
        2**24 = 16.7 million utterances in a cell.

    Raises:
        ValueError: The shapes differ.
        TypeError: The labels are not integers.

    Example:
        >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), num_classes=2).tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """
    true, predicted = jnp.asarray(true), jnp.asarray(predicted)
    weights = jnp.ones(true.shape, jnp.float32) if weights is None else jnp.asarray(weights)
    if not true.shape == predicted.shape == weights.shape:
        raise ValueError(
            "true, predicted and weights must have one shape, "
            f"got {true.shape}, {predicted.shape} and {weights.shape}"
        )
    for name, labels in (("true", true), ("predicted", predicted)):
        if not jnp.issubdtype(labels.dtype, jnp.integer):
            raise TypeError(f"{name} must hold integer classes, got {labels.dtype}")
    classes = jnp.arange(num_classes, dtype=jnp.int32)
    is_true = true.reshape(-1, 1).astype(jnp.int32) == classes
    is_predicted = predicted.reshape(-1, 1).astype(jnp.int32) == classes
    rows = jnp.where(is_true, weights.reshape(-1, 1).astype(jnp.float32), 0.0)
    # A product of indicator matrices is a scatter-add that is fast on accelerators and has a fixed
    # order. Their default precision would round fractional weights to bfloat16 or TF32.
    return jnp.matmul(rows.T, is_predicted.astype(jnp.float32), precision=jax.lax.Precision.HIGHEST)


def weighted_accuracy(
    confusion: Num[Confusion, "*batch classes classes"],
) -> Float[Confusion, "*batch"]:
    """Computes the weighted accuracy (WA), the fraction of correctly classified utterances.

    Args:
        confusion: Counts `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[...]` in [0, 1]; 0 for an empty matrix.
    """
    xp, counts = _array(confusion)
    correct = _diagonal(xp, counts).sum(axis=-1)
    return _ratio(xp, correct, counts.sum(axis=(-2, -1)))


def unweighted_accuracy(
    confusion: Num[Confusion, "*batch classes classes"],
) -> Float[Confusion, "*batch"]:
    """Computes the unweighted accuracy (UA), the mean of the classes' recalls.

    Classes absent from the true labels have no recall and are not part of the mean, as in
    scikit-learn's `balanced_accuracy_score`.

    Args:
        confusion: Counts `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[...]` in [0, 1]; 0 for an empty matrix.
    """
    xp, counts = _array(confusion)
    is_present = counts.sum(axis=-1) > 0
    return _mean(xp, recall(counts), is_present)


def precision(
    confusion: Num[Confusion, "*batch classes classes"],
) -> Float[Confusion, "*batch classes"]:
    """Computes each class's precision, the fraction of its predictions that are correct.

    Args:
        confusion: Counts `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[..., classes]` in [0, 1]; 0 for a class that was never predicted.
    """
    xp, counts = _array(confusion)
    return _ratio(xp, _diagonal(xp, counts), counts.sum(axis=-2))


def recall(
    confusion: Num[Confusion, "*batch classes classes"],
) -> Float[Confusion, "*batch classes"]:
    """Computes each class's recall, the fraction of its utterances that are predicted correctly.

    Args:
        confusion: Counts `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[..., classes]` in [0, 1]; 0 for a class absent from the true labels.
    """
    xp, counts = _array(confusion)
    return _ratio(xp, _diagonal(xp, counts), counts.sum(axis=-1))


def f1(
    confusion: Num[Confusion, "*batch classes classes"],
) -> Float[Confusion, "*batch classes"]:
    """Computes each class's F1, the harmonic mean of its precision and recall.

    It equals `2 correct / (true + predicted)`.

    Args:
        confusion: Counts `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[..., classes]` in [0, 1]; 0 for a class neither true nor predicted anywhere.
    """
    xp, counts = _array(confusion)
    true_and_predicted = counts.sum(axis=-1) + counts.sum(axis=-2)
    return _ratio(xp, 2 * _diagonal(xp, counts), true_and_predicted)


def f1_macro(
    confusion: Num[Confusion, "*batch classes classes"],
) -> Float[Confusion, "*batch"]:
    """Computes the macro F1, the mean of the classes' F1.

    Classes that occur neither among the true nor among the predicted labels are not part of the
    mean. A class that is predicted but never true contributes its F1 of 0. Both are as in
    scikit-learn's `f1_score(average="macro")`.

    Args:
        confusion: Counts `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[...]` in [0, 1]; 0 for an empty matrix.
    """
    xp, counts = _array(confusion)
    is_present = counts.sum(axis=-1) + counts.sum(axis=-2) > 0
    return _mean(xp, f1(counts), is_present)


def f1_weighted(
    confusion: Num[Confusion, "*batch classes classes"],
) -> Float[Confusion, "*batch"]:
    """Computes the weighted F1, the mean of the classes' F1 weighted by their true counts.

    It is scikit-learn's `f1_score(average="weighted")`.

    Args:
        confusion: Counts `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[...]` in [0, 1]; 0 for an empty matrix.
    """
    xp, counts = _array(confusion)
    scores = f1(counts)
    support = counts.sum(axis=-1).astype(scores.dtype)
    return _ratio(xp, (scores * support).sum(axis=-1), support.sum(axis=-1))


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
        >>> @register("lowest_recall", "lowest recall")
        ... def lowest_recall(confusion):
        ...     return recall(confusion).min(axis=-1)
        >>> bootstrap([0, 0, 1, 1], [0, 0, 1, 0], num_classes=2)["lowest_recall"].value
        0.5
        >>> unregister("lowest_recall")
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


def _array(confusion: Any) -> tuple[ModuleType, Any]:
    """Returns the array library of a confusion matrix, and the matrix as an array of it."""
    if isinstance(confusion, jax.Array):
        return jnp, confusion
    return np, np.asarray(confusion)


def _diagonal(xp: ModuleType, confusion: Any) -> Any:
    return xp.diagonal(confusion, axis1=-2, axis2=-1)


def _ratio(xp: ModuleType, numerator: Any, denominator: Any) -> Any:
    """Divides, with 0 where the denominator is 0, without a division by 0 (NumPy warns of it)."""
    return xp.where(denominator > 0, numerator / xp.where(denominator > 0, denominator, 1), 0.0)


def _mean(xp: ModuleType, values: Any, is_included: Any) -> Any:
    """Averages the included values over the last axis; the excluded values must be 0."""
    return _ratio(xp, values.sum(axis=-1), is_included.astype(values.dtype).sum(axis=-1))

"""Metrics of a classifier, all derived from its confusion matrix.

A confusion matrix is a sum over utterances, so the matrices of any batches, padded or unequal, add
up to the matrix of the whole set, and a metric derived from the sum is exact. The functions that
derive metrics take matrices `[..., classes, classes]` (rows true, columns predicted), as JAX
arrays, traced or not, or as NumPy arrays, and answer with an array of the same library.

Nothing here is ever NaN: a share of nothing (the precision of a class that was never predicted, the
accuracy of an empty set) is 0.
"""

from collections.abc import Iterable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike


class Interval(NamedTuple):
    """A measured value and the ends of its confidence interval."""

    value: float
    low: float
    high: float


def confusion_matrix(
    true: ArrayLike, predicted: ArrayLike, num_classes: int, weights: ArrayLike | None = None
) -> jax.Array:
    """Counts utterances by true and predicted class.

    Matrices add: the sum over batches is the matrix of all utterances. Under `jit`, `num_classes`
    is static. Labels outside `[0, num_classes)` are counted nowhere, so padding may carry -1.

    Args:
        true: Integers of any shape, the true classes.
        predicted: Integers of the shape of `true`, the predicted classes.
        num_classes: Number of classes.
        weights: Bool or float of the shape of `true`: how much each utterance counts, 0 for
            padding. All count 1 by default.

    Returns:
        float32 `[num_classes, num_classes]`, rows true, columns predicted. Counts are exact up to
        2**24 = 16.7 million utterances in a cell.

    Raises:
        ValueError: The shapes differ.
        TypeError: The labels are not integers.
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
    # A product of indicator matrices is a scatter-add that accelerators do fast and in a fixed
    # order. Their default precision would round fractional weights to bfloat16 or TF32.
    return jnp.matmul(rows.T, is_predicted.astype(jnp.float32), precision=jax.lax.Precision.HIGHEST)


def weighted_accuracy(confusion: ArrayLike) -> Any:
    """Weighted accuracy (WA): the share of utterances that are right.

    Args:
        confusion: `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[...]` in [0, 1]; 0 for an empty matrix.
    """
    xp, counts = _array(confusion)
    right = _diagonal(xp, counts).sum(axis=-1)
    return _share(xp, right, counts.sum(axis=(-2, -1)))


def unweighted_accuracy(confusion: ArrayLike) -> Any:
    """Unweighted accuracy (UA): the mean of the classes' recalls.

    Classes absent from the true labels have no recall and are left out of the mean, as in
    scikit-learn's `balanced_accuracy_score`.

    Args:
        confusion: `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[...]` in [0, 1]; 0 for an empty matrix.
    """
    xp, counts = _array(confusion)
    present = counts.sum(axis=-1) > 0
    return _mean(xp, recall(counts), present)


def precision(confusion: ArrayLike) -> Any:
    """Of the utterances predicted as a class, the share that are of it.

    Args:
        confusion: `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[..., classes]` in [0, 1]; 0 for a class that was never predicted.
    """
    xp, counts = _array(confusion)
    return _share(xp, _diagonal(xp, counts), counts.sum(axis=-2))


def recall(confusion: ArrayLike) -> Any:
    """Of the utterances of a class, the share predicted as it.

    Args:
        confusion: `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[..., classes]` in [0, 1]; 0 for a class absent from the true labels.
    """
    xp, counts = _array(confusion)
    return _share(xp, _diagonal(xp, counts), counts.sum(axis=-1))


def f1(confusion: ArrayLike) -> Any:
    """Harmonic mean of a class's precision and recall, 2 right / (true + predicted).

    Args:
        confusion: `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[..., classes]` in [0, 1]; 0 for a class neither true nor predicted anywhere.
    """
    xp, counts = _array(confusion)
    true_and_predicted = counts.sum(axis=-1) + counts.sum(axis=-2)
    return _share(xp, 2 * _diagonal(xp, counts), true_and_predicted)


def f1_macro(confusion: ArrayLike) -> Any:
    """Mean of the classes' F1.

    Classes that occur neither among the true nor among the predicted labels are left out of the
    mean; a class that is predicted but never true counts with its F1 of 0. Both as in
    scikit-learn's `f1_score(average="macro")`.

    Args:
        confusion: `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[...]` in [0, 1]; 0 for an empty matrix.
    """
    xp, counts = _array(confusion)
    present = counts.sum(axis=-1) + counts.sum(axis=-2) > 0
    return _mean(xp, f1(counts), present)


def f1_weighted(confusion: ArrayLike) -> Any:
    """Mean of the classes' F1, each weighted by its share of the true labels.

    As in scikit-learn's `f1_score(average="weighted")`.

    Args:
        confusion: `[..., classes, classes]`, rows true, columns predicted.

    Returns:
        `[...]` in [0, 1]; 0 for an empty matrix.
    """
    xp, counts = _array(confusion)
    scores = f1(counts)
    support = counts.sum(axis=-1).astype(scores.dtype)
    return _share(xp, (scores * support).sum(axis=-1), support.sum(axis=-1))


def bootstrap(
    true: ArrayLike,
    predicted: ArrayLike,
    num_classes: int,
    *,
    resamples: int = 2000,
    seed: int = 0,
    groups: ArrayLike | None = None,
    level: float = 0.95,
) -> dict[str, Interval]:
    """WA, UA, macro and weighted F1 with percentile bootstrap confidence intervals.

    Each resample draws, with replacement, as many utterances as there are. With `groups` it draws
    whole groups instead, as many as there are: utterances of one speaker resemble each other, so
    intervals over utterances are too narrow for the question how the model does on other
    speakers. Intervals over fewer than about ten groups are themselves rough.

    Resampling is not stratified: the classes' shares vary between resamples, as they would between
    test sets, and a rare class may be missing from some, where it is left out of UA's mean.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 (groups) and 13
    (percentile intervals).

    Args:
        true: Integers `[utterances]` in `[0, num_classes)`.
        predicted: Integers `[utterances]` in `[0, num_classes)`.
        num_classes: Number of classes.
        resamples: Number of resamples, at least 1.
        seed: Seed of the resampling; the same seed gives the same intervals.
        groups: `[utterances]` of anything NumPy can sort, such as speaker names.
        level: Probability that the interval is to cover, in (0, 1).

    Returns:
        An `Interval` in [0, 1] for each of "wa", "ua", "f1_macro" and "f1_weighted".

    Raises:
        ValueError: There are no utterances, shapes differ, a label is out of range, there is only
            one group (nothing to resample), or `resamples` or `level` is out of range.
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


METRICS = {
    "wa": weighted_accuracy,
    "ua": unweighted_accuracy,
    "f1_macro": f1_macro,
    "f1_weighted": f1_weighted,
}
"""What is reported of a confusion matrix, by the name it has in a run's files."""


def check_labels(num_classes: int, **labels: np.ndarray) -> None:
    """Checks classes of the same utterances, such as `true=` and `predicted=`.

    Raises:
        ValueError: There are no utterances, shapes differ, or a label is out of range.
    """
    shapes = {each.shape for each in labels.values()}
    if len(shapes) != 1 or any(len(shape) != 1 or shape == (0,) for shape in shapes):
        raise ValueError(
            f"{_listed(labels)} must be [utterances] with at least one utterance, "
            f"got shapes {_listed(str(each.shape) for each in labels.values())}"
        )
    for name, each in labels.items():
        if each.min() < 0 or each.max() >= num_classes:
            raise ValueError(
                f"{name} must be in [0, {num_classes}), got {each.min()} to {each.max()}"
            )


def resample(
    cell: np.ndarray,
    cells: int,
    *,
    resamples: int,
    seed: int,
    groups: ArrayLike | None,
    level: float,
) -> np.ndarray:
    """How many utterances of each cell are in each bootstrap resample, see `bootstrap`.

    Args:
        cell: Integers `[utterances]` in `[0, cells)`, all that a metric sees of an utterance.
        cells: Number of cells.
        resamples: Number of resamples, at least 1.
        seed: Seed of the resampling.
        groups: `[utterances]` of what is drawn as a whole; None: utterances are drawn.
        level: Of the interval that they are for, in (0, 1).

    Returns:
        `[resamples, cells]`.

    Raises:
        ValueError: There is only one group, or an argument is out of range.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f"resamples must be at least 1 and level in (0, 1), got {resamples} and {level}"
        )
    generator = np.random.default_rng(seed)
    if groups is None:
        # Metrics only see how many utterances fall into each cell, and drawing utterances with
        # replacement makes those numbers multinomial.
        counts = np.bincount(cell, minlength=cells)
        return generator.multinomial(cell.size, counts / cell.size, size=resamples)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if group.shape != cell.shape:
        raise ValueError(f"groups must be {cell.shape} like true, got {group.shape}")
    if len(names) < 2:
        raise ValueError(f"resampling groups needs at least 2 of them, got only {names[0]!r}")
    by_group = np.zeros((len(names), cells))
    np.add.at(by_group, (group, cell), 1)
    evenly = np.full(len(names), 1 / len(names))
    return generator.multinomial(len(names), evenly, size=resamples) @ by_group


def percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    """Ends of the percentile interval of resampled values `[resamples]`."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _listed(names: Iterable[str]) -> str:
    """Names as in a sentence: "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _array(confusion: ArrayLike) -> tuple[ModuleType, Any]:
    """The array, and the library that its metrics are computed with."""
    if isinstance(confusion, jax.Array):
        return jnp, confusion
    return np, np.asarray(confusion)


def _diagonal(xp: ModuleType, confusion: Any) -> Any:
    return xp.diagonal(confusion, axis1=-2, axis2=-1)


def _share(xp: ModuleType, part: Any, whole: Any) -> Any:
    """`part / whole`, 0 where `whole` is 0 (and no division by it, which NumPy warns of)."""
    return xp.where(whole > 0, part / xp.where(whole > 0, whole, 1), 0.0)


def _mean(xp: ModuleType, values: Any, kept: Any) -> Any:
    """Mean over the last axis of the values that are kept; the others are 0."""
    return _share(xp, values.sum(axis=-1), kept.astype(values.dtype).sum(axis=-1))

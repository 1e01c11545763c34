"""Metrics of a classifier, all derived from its confusion matrix.

A confusion matrix is a sum over utterances. So the matrices of any batches, padded or of unequal
size, add up to the matrix of the whole set, and a metric derived from the sum is exact. The
functions that derive metrics take matrices `[..., classes, classes]` (rows true, columns
predicted), as JAX arrays, traced or not, or as NumPy arrays, and return an array of the same
library.

No metric is ever NaN: a ratio with a denominator of zero (the precision of a class that was never
predicted, the accuracy of an empty set) is 0.
"""

from types import ModuleType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Integer, Num, Shaped

# scikit-learn's metrics take labels on the host; these take sums of matrices on the device too.

Confusion = TypeVar("Confusion", jax.Array, np.ndarray)


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
    classes = jnp.arange(num_classes, dtype=jnp.int32)[None]
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

"""Losses of classes and of emotion dimensions, per example."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Integer

from serjax.features.arrays import at_least_float32
from serjax.kernels import kernel


@kernel
def cross_entropy(
    logits: Float[Array, "batch classes"],
    labels: Integer[Array, " batch"],
    features: Mapping[str, Array],
) -> Float[Array, " batch"]:
    """Computes the cross-entropy of logits and integer labels, in nats.

    The default classification loss, with the signature of `serjax.losses.register`.

    Args:
        logits: Logits of the classes.
        labels: True classes.
        features: Activations of the model, unused.

    Returns:
        Losses `[batch]`, float32 at least.
    """
    return optax.softmax_cross_entropy_with_integer_labels(at_least_float32(logits), labels)


def negative_log_likelihood(
    probabilities: Float[np.ndarray, "examples classes"], labels: Integer[np.ndarray, " examples"]
) -> Float[np.ndarray, " examples"]:
    """Computes the negative log-likelihood of class probabilities on the host, in nats.

    Args:
        probabilities: Probabilities of the classes.
        labels: True classes.

    Returns:
        Losses `[examples]`, float64. A probability that float32 rounded to 0 counts as its
        smallest normal number, so the loss is at most 87.3.

    >>> negative_log_likelihood(np.array([[0.5, 0.5]]), np.array([1])).round(4).tolist()
    [0.6931]
    """
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(likelihood, np.finfo(np.float32).tiny))


@kernel
def binary_cross_entropy(
    logits: Float[Array, "batch *axes"],  # noqa: F821
    targets: Float[Array, "batch *axes"],  # noqa: F821
) -> Float[Array, " batch"]:
    """Computes the binary cross-entropy `-y log p - (1 - y) log(1 - p)` of p = sigmoid(logits).

    The loss of RH-emo's reconstruction, with the spectrogram as the target (Guizzo et al., 2022).
    It is finite for all finite logits.

    Args:
        logits: Logits `[batch, ...]`, floating.
        targets: Targets of the same shape, in [0, 1].

    Returns:
        Losses `[batch]` in nats, float32 at least: means over the other axes.
    """
    y = at_least_float32(logits)
    losses = optax.sigmoid_binary_cross_entropy(y, targets.astype(y.dtype))
    return jnp.mean(losses, axis=tuple(range(1, losses.ndim)))


@kernel
def emotion_loss(
    logits: Float[Array, "batch classes"],
    dimensions: Float[Array, "batch dimensions"],
    labels: Integer[Array | np.ndarray, " batch"],
    targets: Float[Array, "batch dimensions"],
    *,
    weight: float | Float[Array, ""] = 0.01,
    dimension_weight: float = 100.0,
) -> Float[Array, " batch"]:
    """Computes RH-emo's emotion loss, `weight (CE + dimension_weight (BCE_v + BCE_a + BCE_d))`.

    The cross-entropy of the discrete emotion and the binary cross-entropies of valence, arousal
    and dominance. It is added to the reconstruction loss in the second stage of the pretraining
    (Guizzo et al., 2022).

    Args:
        logits: Logits `[batch, classes]` of the discrete emotion, floating.
        dimensions: Logits `[batch, 3]` of valence, arousal and dominance, floating; `[batch, 0]`
            for a network without their classifiers.
        labels: True emotions `[batch]`, integer.
        targets: True valence, arousal and dominance, in [0, 1] from low to high.
        weight: Weight of the loss, a number or a scalar array.
        dimension_weight: Weight of the sum over the dimensions.

    Returns:
        Losses `[batch]` in nats, float32 at least.
    """
    class_loss = optax.softmax_cross_entropy_with_integer_labels(at_least_float32(logits), labels)
    y = at_least_float32(dimensions)
    dimension_loss = optax.sigmoid_binary_cross_entropy(y, targets.astype(y.dtype)).sum(-1)
    return weight * (class_loss + dimension_weight * dimension_loss)

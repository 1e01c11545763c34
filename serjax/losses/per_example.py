"""Losses, one number per example; the caller averages."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from serjax.errors import InputError, unknown_name
from serjax.features.arrays import at_least_float32
from serjax.losses import gram

AGGREGATIONS = ("gram", "mean", "sum", "max")
"""How anti-transfer compares two layers: all pairs of channels, or one map over the positions."""


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy of class probabilities, on the host.

    Args:
        probabilities: `[examples, classes]`, floating.
        labels: `[examples]`, integer.

    Returns:
        float64 `[examples]` in nats. A probability that float32 rounded to 0 counts as its
        smallest normal number, so the loss is at most 87.3.
    """
    of_true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(of_true, np.finfo(np.float32).tiny))


def binary_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Binary cross-entropy `-y log p - (1 - y) log(1 - p)` of p = sigmoid(logits), from logits.

    The loss of RH-emo's reconstruction, with the spectrogram as the target, and of its valence,
    arousal and dominance (Guizzo et al., arXiv 2204.02385). Finite for all finite logits.

    Args:
        logits: `[batch, ...]`, floating.
        targets: The same shape, in [0, 1].

    Returns:
        `[batch]` in nats, float32 at least: the mean over the other axes.
    """
    y = at_least_float32(logits)
    losses = optax.sigmoid_binary_cross_entropy(y, targets.astype(y.dtype))
    return jnp.mean(losses, axis=tuple(range(1, losses.ndim)))


def emotion_loss(
    logits: jax.Array,
    dimensions: jax.Array,
    labels: jax.Array,
    targets: jax.Array,
    *,
    weight: float | jax.Array = 0.01,
    dimension_weight: float = 100.0,
) -> jax.Array:
    """RH-emo's loss of emotions: `weight (CE + dimension_weight (BCE_v + BCE_a + BCE_d))`.

    The cross-entropy of the discrete emotion and the binary ones of valence, arousal and
    dominance, added to the reconstruction's in the second part of the training (Guizzo et al.,
    arXiv 2204.02385).

    Args:
        logits: `[batch, classes]`, floating, of the discrete emotion.
        dimensions: `[batch, 3]`, floating, logits of valence, arousal and dominance; `[batch, 0]`
            of a network without their classifiers.
        labels: `[batch]`, integer.
        targets: As many, in [0, 1], low to high.
        weight: Of the whole; a number, or a scalar array where it rises during training.
        dimension_weight: Of the three together.

    Returns:
        `[batch]` in nats, float32 at least.
    """
    of_class = optax.softmax_cross_entropy_with_integer_labels(at_least_float32(logits), labels)
    y = at_least_float32(dimensions)
    of_dimensions = optax.sigmoid_binary_cross_entropy(y, targets.astype(y.dtype)).sum(-1)
    return weight * (of_class + dimension_weight * of_dimensions)


def anti_transfer_loss(
    features: jax.Array,
    reference: jax.Array,
    beta: float = 1.0,
    *,
    aggregation: str = "gram",
) -> jax.Array:
    """Anti-transfer loss `beta cos^2(G_p, G_t)` of the Gram matrices of two layers.

    Equation 1 of Guizzo et al. (WASPAA 2023): G_t is the Gram matrix over channels of the layer in
    training, G_p that of the same layer of a network trained for an orthogonal task, both of the
    same example. A quaternion's four components count as channels. Small where the layers find
    different things. No gradient reaches the reference.

    Guizzo et al. (Neural Networks 142, 2021) compare Gram matrices with maps over the positions,
    the "mean", "sum" or "max" of the channels; mean and sum have the same cosine.

    Args:
        features: `[batch, ..., channels]`, floating, zero past an utterance's end.
        reference: The same shape.
        beta: Weight.
        aggregation: One of `AGGREGATIONS`.

    Returns:
        `[batch]` in [0, beta], float32 at least; 0 where a layer has no activation at all.

    Raises:
        InputError: Shapes differ or have no position, or an unknown aggregation.
    """
    if aggregation not in AGGREGATIONS:
        raise InputError(unknown_name("aggregation", aggregation, AGGREGATIONS))
    if features.shape != reference.shape or features.ndim < 3:
        raise InputError(
            "anti_transfer_loss: expected features and reference of the same shape "
            f"[batch, ..., channels], found {features.shape} and {reference.shape}"
        )
    x, y = (f.reshape(len(f), -1, f.shape[-1]) for f in (features, reference))
    if aggregation != "gram":
        # The squared cosine of two maps is the cosine of their Gram matrices "over" one position.
        reduce = getattr(jnp, aggregation)
        x, y = (reduce(at_least_float32(f), axis=-1)[:, None] for f in (x, y))
        return beta * jax.vmap(gram.similarity)(x, jax.lax.stop_gradient(y))
    return beta * jnp.square(jax.vmap(gram.similarity)(x, jax.lax.stop_gradient(y)))

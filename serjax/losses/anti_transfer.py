"""Anti-transfer loss: similarity of a layer to the same layer of a source-task network."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from serjax.errors import InputError, unknown_name
from serjax.features.arrays import at_least_float32
from serjax.kernels import kernel
from serjax.losses import gram

AGGREGATIONS = ("gram", "mean", "sum", "max")
"""Comparisons of two layers: by all pairs of channels, or by one map over the positions."""


@kernel
def anti_transfer_loss(
    features: Float[Array | np.ndarray, "batch *space channels"],
    reference: Float[Array | np.ndarray, "batch *space channels"],
    beta: float = 1.0,
    *,
    aggregation: str = "gram",
) -> Float[Array, " batch"]:
    """Computes the anti-transfer loss `beta cos^2(G_p, G_t)` of the Gram matrices of two layers.

    Equation 1 of Guizzo et al. (2023): G_t is the Gram matrix over channels of the layer in
    training, G_p that of the same layer of a network pretrained for an orthogonal task, both for
    the same example. A quaternion's four components count as channels. The loss is small where the
    layers have learned different features. No gradient reaches the reference.

    Guizzo et al. (2021) compare Gram matrices with maps over the positions, the "mean", "sum" or
    "max" of the channels. Mean and sum have the same cosine.

    Args:
        features: Activations `[batch, ..., channels]` of the layer in training, zero past an
            utterance's end.
        reference: Activations of the source-task network, of the same shape.
        beta: Weight of the loss.
        aggregation: Comparison of the layers, one of `AGGREGATIONS`.

    Returns:
        Losses `[batch]` in [0, beta], float32 at least; 0 where all activations of a layer are 0.

    Raises:
        InputError: The shapes differ or have no positions, or the aggregation is unknown.

    >>> layer = jax.random.normal(jax.random.key(0), (2, 8, 8, 16))
    >>> anti_transfer_loss(layer, 3 * layer, beta=0.5).round(5).tolist()
    [0.5, 0.5]
    """
    if aggregation not in AGGREGATIONS:
        raise InputError(unknown_name("aggregation", aggregation, AGGREGATIONS))
    if features.shape != reference.shape or features.ndim < 3:
        raise InputError(
            "anti_transfer_loss: expected features and reference of the same shape "
            f"[batch, ..., channels], found {features.shape} and {reference.shape}"
        )
    x, y = (jnp.asarray(f).reshape(len(f), -1, f.shape[-1]) for f in (features, reference))
    if aggregation != "gram":
        # The squared cosine of two maps is the cosine of their Gram matrices over one "channel".
        reduce = getattr(jnp, aggregation)
        x, y = (reduce(at_least_float32(f), axis=-1)[:, None] for f in (x, y))
        return beta * jax.vmap(gram.similarity)(x, jax.lax.stop_gradient(y))
    return beta * jnp.square(jax.vmap(gram.similarity)(x, jax.lax.stop_gradient(y)))

"""What comes after the last convolution of networks that pool over all positions."""

import jax
import jax.numpy as jnp

from serjax.errors import InputError, unknown_name
from serjax.features.arrays import at_least_float32

_POOLINGS = ("mean", "max")


def global_pool(x: jax.Array, mask: jax.Array | None, pooling: str) -> jax.Array:
    """Mean or maximum of each channel over the positions of real frames.

    Args:
        x: `[batch, frames, bins, channels]`.
        mask: `[batch, frames]`, True at real frames; None: all are.
        pooling: "mean" or "max".

    Returns:
        `[batch, channels]`, float32 at least; 0 of an example without any real frame.

    Raises:
        InputError: Another pooling.
    """
    if pooling not in _POOLINGS:
        raise InputError(unknown_name("pooling", pooling, _POOLINGS))
    x = at_least_float32(x)
    if pooling == "max":
        if mask is None:
            return jnp.max(x, axis=(1, 2))
        lowest = jnp.finfo(x.dtype).min
        y = jnp.max(x, axis=(1, 2), where=mask[:, :, None, None], initial=lowest)
        return jnp.where(mask.any(-1, keepdims=True), y, 0)
    y = jnp.mean(x, axis=2)
    if mask is None:
        return jnp.mean(y, axis=1)
    count = jnp.maximum(mask.sum(-1, keepdims=True), 1).astype(y.dtype)
    return jnp.sum(y, axis=1, where=mask[..., None]) / count

"""Pooling over time."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange

from serjax.fourier import at_least_float32


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over time, `[batch, frames, features] -> [batch, 2 features]`.

    Snyder et al., X-vectors, ICASSP 2018; section 3.3 of Padi et al. 2021.

    Attributes:
        components: Blocks of the features: 1 for real, 4 for quaternion features. Block by block
            the result holds the means, then the deviations, so it has the same blocks.
        epsilon: Added to the variance; the root's gradient is finite where nothing varies.
    """

    components: int = 1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Pools the frames where `mask` `[batch, frames]` is True, or all; float32."""
        y = at_least_float32(x)
        where = None if mask is None else mask[..., None]
        count = y.shape[-2] if mask is None else jnp.maximum(mask.sum(-1, keepdims=True), 1)
        count = jnp.asarray(count, y.dtype)
        mean = jnp.sum(y, axis=-2, where=where) / count
        square = jnp.sum(jnp.square(y - mean[..., None, :]), axis=-2, where=where) / count
        deviation = jnp.sqrt(square + self.epsilon)
        blocks = [rearrange(s, "b (c f) -> b c f", c=self.components) for s in (mean, deviation)]
        return rearrange(jnp.concatenate(blocks, -1), "b c f -> b (c f)")

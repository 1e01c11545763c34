"""Pooling: the maximum of windows, statistics over time."""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange

from serjax.errors import InputError
from serjax.fourier import at_least_float32


def max_pool(
    x: jax.Array,
    window: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: int = 0,
) -> jax.Array:
    """Maximum of each window, `[batch, rows, columns, channels]`.

    The maximum of as many strided slices as a window has entries. XLA's windowed maximum, and
    more so the scatter that is its derivative, are slower, on CPUs by three to six times. Equal
    maxima share the gradient, where that scatter gives it to the first.

    Args:
        x: `[batch, rows, columns, channels]`.
        window: Extent along rows and columns.
        strides: From window to window; by default the window's extent.
        padding: Rows and columns around, which never win; an incomplete last window is left out.

    Returns:
        `[batch, rows', columns', channels]`.

    Raises:
        InputError: an image smaller than the window.
    """
    strides = strides or window
    if padding:
        sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        x = jnp.pad(x, sides, constant_values=jnp.finfo(x.dtype).min)
    if x.shape[1] < window[0] or x.shape[2] < window[1]:
        raise InputError(
            f"max_pool: expected at least {window[0]} x {window[1]} rows and columns, "
            f"found {x.shape[1]} x {x.shape[2]}"
        )
    ends = [n - (n - w) % s for n, w, s in zip(x.shape[1:3], window, strides, strict=True)]
    slices = [
        x[
            :,
            row : ends[0] - window[0] + row + 1 : strides[0],
            column : ends[1] - window[1] + column + 1 : strides[1],
        ]
        for row in range(window[0])
        for column in range(window[1])
    ]
    return functools.reduce(jnp.maximum, slices)


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

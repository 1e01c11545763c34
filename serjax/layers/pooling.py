"""Pooling: maximum and mean of windows, means of a fixed number of bins, statistics over time."""

import functools
import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax import lax

from serjax.errors import InputError
from serjax.features.arrays import at_least_float32


def max_pool(
    x: jax.Array,
    window: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: int = 0,
    *,
    partial: bool = False,
) -> jax.Array:
    """Maximum of each window, `[batch, rows, columns, channels]`.

    Along rows, then along columns, the maximum of as many strided slices as a window is long.
    XLA's windowed maximum, and more so the scatter that is its derivative, are slower, on CPUs by
    five to ten times. Equal maxima share the gradient, where that scatter gives it to the first.

    Args:
        x: `[batch, rows, columns, channels]`.
        window: Extent along rows and columns.
        strides: From window to window; by default the window's extent.
        padding: Rows and columns around, which never win.
        partial: Whether a last window that starts inside the image and reaches past its end
            counts, PyTorch's `ceil_mode`; else it is left out.

    Returns:
        `[batch, rows', columns', channels]`.

    Raises:
        InputError: an image smaller than the window.
    """
    strides = strides or window
    ends = [padding, padding]
    if partial:
        for axis in range(2):
            missing = -(x.shape[1 + axis] + 2 * padding - window[axis]) % strides[axis]
            ends[axis] += missing if missing < window[axis] - padding else 0
    if any(ends):
        sides = ((0, 0), (padding, ends[0]), (padding, ends[1]), (0, 0))
        x = jnp.pad(x, sides, constant_values=jnp.finfo(x.dtype).min)
    return _over_windows("max_pool", jnp.maximum, x, window, strides)


def average_pool(
    x: jax.Array, window: Sequence[int], strides: Sequence[int] | None = None, padding: int = 0
) -> jax.Array:
    """Mean of each window, `[batch, rows, columns, channels]`.

    Args:
        x: `[batch, rows, columns, channels]`.
        window: Extent along rows and columns.
        strides: From window to window; by default the window's extent.
        padding: Rows and columns of zeros around, which count, as in PyTorch's `AvgPool2d`; an
            incomplete last window is left out.

    Returns:
        `[batch, rows', columns', channels]`, in the input's type, summed in float32 at least.

    Raises:
        InputError: an image smaller than the window.
    """
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    y = jnp.pad(at_least_float32(x), sides)
    total = _over_windows("average_pool", jnp.add, y, window, strides or window)
    return (total / math.prod(window)).astype(x.dtype)


def _over_windows(
    name: str,
    combine: Callable[[jax.Array, jax.Array], jax.Array],
    x: jax.Array,
    window: Sequence[int],
    strides: Sequence[int],
) -> jax.Array:
    """What combines all entries of each window, `[batch, rows', columns', channels]`."""
    if x.shape[1] < window[0] or x.shape[2] < window[1]:
        raise InputError(
            f"{name}: expected at least {window[0]} x {window[1]} rows and columns, "
            f"found {x.shape[1]} x {x.shape[2]}"
        )
    for axis, extent, stride in zip((1, 2), window, strides, strict=True):
        last = (x.shape[axis] - extent) // stride * stride
        entries = [
            lax.slice_in_dim(x, entry, last + entry + 1, stride, axis) for entry in range(extent)
        ]
        x = functools.reduce(combine, entries)
    return x


def adaptive_average_pool(x: jax.Array, rows: int, columns: int) -> jax.Array:
    """Averages over a fixed number of bins, whatever the size of the input.

    Bin i of k along an axis of n positions averages positions `floor(i n / k)` up to, without,
    `ceil((i + 1) n / k)`, as PyTorch's `AdaptiveAvgPool2d`: bins overlap where k does not divide
    n, and repeat positions where k exceeds n.

    Args:
        x: `[batch, n, m, channels]`, n and m at least 1.
        rows: Bins along n.
        columns: Bins along m.

    Returns:
        `[batch, rows, columns, channels]`, in the input's type, summed in float32 at least.

    Raises:
        InputError: fewer than one bin.
    """
    if rows < 1 or columns < 1:
        raise InputError(
            f"adaptive_average_pool: expected at least one bin, found {rows} x {columns}"
        )
    y = at_least_float32(x)
    # Matrix units round float32 factors to fewer digits unless told otherwise.
    y = jnp.einsum("bhwc,ih->biwc", y, _bins(x.shape[1], rows, y.dtype), precision="highest")
    y = jnp.einsum("biwc,jw->bijc", y, _bins(x.shape[2], columns, y.dtype), precision="highest")
    return y.astype(x.dtype)


def _bins(positions: int, bins: int, dtype: jnp.dtype) -> jax.Array:
    """Weights `[bins, positions]` of the averages."""
    index, position = np.arange(bins)[:, None], np.arange(positions)
    start, stop = index * positions // bins, -(-(index + 1) * positions // bins)
    return jnp.asarray(((start <= position) & (position < stop)) / (stop - start), dtype)


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
        """Pools the frames where `mask` `[batch, frames]` is True, or all; float32.

        Raises:
            InputError: an input of other axes, or a mask of another shape.
        """
        if x.ndim != 3 or (mask is not None and mask.shape != x.shape[:2]):
            beside = "" if mask is None else f" and mask {mask.shape}"
            raise InputError(
                "StatisticsPooling: expected input [batch, frames, features], and a mask of its "
                f"batch and frames or none, found shape {x.shape}{beside}"
            )
        y = at_least_float32(x)
        where = None if mask is None else mask[..., None]
        count = y.shape[-2] if mask is None else jnp.maximum(mask.sum(-1, keepdims=True), 1)
        count = jnp.asarray(count, y.dtype)
        mean = jnp.sum(y, axis=-2, where=where) / count
        square = jnp.sum(jnp.square(y - mean[..., None, :]), axis=-2, where=where) / count
        deviation = jnp.sqrt(square + self.epsilon)
        blocks = [rearrange(s, "b (c f) -> b c f", c=self.components) for s in (mean, deviation)]
        return rearrange(jnp.concatenate(blocks, -1), "b c f -> b (c f)")

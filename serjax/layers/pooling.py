"""Maximum, average, adaptive average and statistics pooling."""

import functools
import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from serjax.errors import InputError
from serjax.features.arrays import at_least_float32


def max_pool(
    x: Float[Array, "batch rows columns channels"],
    window: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: int = 0,
    *,
    partial: bool = False,
) -> Float[Array, "batch out_rows out_columns channels"]:
    """Computes the maximum of each window.

    The maximum is computed along rows, then along columns, over strided slices. XLA's windowed
    maximum and the scatter of its derivative are five to ten times slower on CPUs. Equal maxima
    share the gradient, whereas XLA's scatter gives it to the first.

    Args:
        x: Images.
        window: Size of a window along rows and columns.
        strides: Distance between windows; the window's size if None.
        padding: Number of rows and columns added on each side, which are never a maximum.
        partial: True to include a last window that starts inside the image and ends outside, as
            PyTorch's `ceil_mode`.

    Returns:
        Maxima, in the input's dtype.

    Raises:
        InputError: An image is smaller than the window.

    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), (2, 2))[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
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
    return _reduce_windows("max_pool", jnp.maximum, x, window, strides)


def average_pool(
    x: Float[Array, "batch rows columns channels"],
    window: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: int = 0,
) -> Float[Array, "batch out_rows out_columns channels"]:
    """Computes the mean of each window.

    Args:
        x: Images.
        window: Size of a window along rows and columns.
        strides: Distance between windows; the window's size if None.
        padding: Number of rows and columns of zeros added on each side, which count in the mean, as
            in PyTorch's `AvgPool2d`. An incomplete last window is omitted.

    Returns:
        Means in the input's dtype; sums are float32 at least.

    Raises:
        InputError: An image is smaller than the window.
    """
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    y = jnp.pad(at_least_float32(x), sides)
    total = _reduce_windows("average_pool", jnp.add, y, window, strides or window)
    return (total / math.prod(window)).astype(x.dtype)


def _reduce_windows(
    name: str,
    combine: Callable[[Array, Array], Array],
    x: Float[Array, "batch rows columns channels"],
    window: Sequence[int],
    strides: Sequence[int],
) -> Float[Array, "batch out_rows out_columns channels"]:
    """Reduces all entries of each window with `combine`."""
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


def adaptive_average_pool(
    x: Float[Array, "batch height width channels"], rows: int, columns: int
) -> Float[Array, "batch {rows} {columns} channels"]:
    """Averages images of any size over a fixed number of bins.

    Bin i of k along an axis of n positions is the mean of the positions from `floor(i n / k)` to
    `ceil((i + 1) n / k) - 1`, as in PyTorch's `AdaptiveAvgPool2d`. Bins overlap where k does not
    divide n, and repeat positions where k exceeds n.

    Args:
        x: Images of at least one row and one column.
        rows: Number of bins along rows.
        columns: Number of bins along columns.

    Returns:
        Means in the input's dtype; sums are float32 at least.

    Raises:
        InputError: There is less than one bin.
    """
    if rows < 1 or columns < 1:
        raise InputError(
            f"adaptive_average_pool: expected at least one bin, found {rows} x {columns}"
        )
    y = at_least_float32(x)
    # Matrix units round float32 factors to fewer digits by default.
    y = jnp.einsum("bhwc,ih->biwc", y, _bin_weights(x.shape[1], rows, y.dtype), precision="highest")
    y = jnp.einsum(
        "biwc,jw->bijc", y, _bin_weights(x.shape[2], columns, y.dtype), precision="highest"
    )
    return y.astype(x.dtype)


def _bin_weights(positions: int, bins: int, dtype: DTypeLike) -> Float[Array, "{bins} {positions}"]:
    """Returns the weights of positions in the means of bins."""
    index, position = np.arange(bins)[:, None], np.arange(positions)
    start, stop = index * positions // bins, -(-(index + 1) * positions // bins)
    return jnp.asarray(((start <= position) & (position < stop)) / (stop - start), dtype)


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over time, `[batch, frames, features] -> [batch, 2 features]`.

    Snyder et al. (2018); Padi et al. (2021), section 3.3.

    Attributes:
        components: Number of component blocks of the features: 1 for real, 4 for quaternion
            features. Each block of the result holds means, then deviations.
        epsilon: Constant added to the variance, for a finite gradient of constant features.

    >>> x, mask = jnp.ones((2, 50, 8)), jnp.ones((2, 50), bool)
    >>> StatisticsPooling().apply({}, x, mask).shape
    (2, 16)
    """

    components: int = 1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch frames features"],
        mask: Bool[Array, "batch frames"] | None = None,
    ) -> Float[Array, "batch 2*features"]:
        """Pools the valid frames.

        Args:
            x: Features of frames.
            mask: Valid frames; None if all are valid.

        Returns:
            Means and standard deviations, float32 at least.

        Raises:
            InputError: Input or mask have other axes.
        """
        if x.ndim != 3 or (mask is not None and mask.shape != x.shape[:2]):
            mask_text = "" if mask is None else f" and mask {mask.shape}"
            raise InputError(
                "StatisticsPooling: expected input [batch, frames, features], and a mask of its "
                f"batch and frames or none, found shape {x.shape}{mask_text}"
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

"""Sums over all axes but the last, and their transpose, for CPUs too.

XLA's CPU backend adds up each channel by itself, through memory in strides, at a tenth of the
memory's speed. As a product with ones the sums of all channels are made together. Derivatives of
broadcasting are such sums, so what is broadcast over a batch goes through here as well: as a
product too, of which XLA makes a broadcast again, and of its transpose a product.
"""

import math

import jax
import jax.numpy as jnp


def channel_sum(x: jax.Array) -> jax.Array:
    """`[..., channels]` -> `[channels]`, in x's dtype, floating."""
    rows, columns = _rows_and_columns(x.shape)
    if columns == 0:
        return x.sum(range(x.ndim - 1))
    # Sums of rows, then of columns: none has too many terms for its precision.
    total = _product(jnp.ones((1, rows), x.dtype), x.reshape(rows, columns * x.shape[-1]))
    return total.reshape(columns, x.shape[-1]).sum(0)


def over_batch(value: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """`[channels]` -> the shape `[..., channels]`."""
    rows, columns = _rows_and_columns(shape)
    if columns == 0:
        return jnp.broadcast_to(value, shape)
    row = jnp.broadcast_to(value, (columns, len(value))).reshape(1, -1)
    return _product(jnp.ones((rows, 1), value.dtype), row).reshape(shape)


def add_bias(x: jax.Array, bias: jax.Array | None) -> jax.Array:
    """`[..., channels]` plus `[channels]` of the same dtype, or nothing."""
    return x if bias is None else x + over_batch(bias, x.shape)


def _rows_and_columns(shape: tuple[int, ...]) -> tuple[int, int]:
    """The axes before the last as two; no columns where products have nothing to give."""
    if jax.default_backend() != "cpu" or len(shape) < 2:
        return 0, 0
    return (shape[0], 1) if len(shape) == 2 else (math.prod(shape[:-2]), shape[-2])


def _product(left: jax.Array, right: jax.Array) -> jax.Array:
    return jnp.matmul(left, right, precision="highest")

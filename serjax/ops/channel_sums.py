"""Sums over all axes but the last, and their transpose, fast on CPUs too.

XLA's CPU backend sums each channel separately with strided memory access, at a tenth of the
memory's bandwidth. A product with ones computes the sums of all channels at the same time. The
derivative of broadcasting is also a sum over the batch, so broadcasting is written as a product
with ones too. XLA turns this product into a broadcast again, but its transpose stays a product.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from serjax.kernels import kernel


@kernel
def channel_sum(x: Float[Array, "*batch channels"]) -> Float[Array, " channels"]:
    """Sums over all axes but the last, in x's dtype."""
    rows, columns = _rows_and_columns(x.shape)
    if columns == 0:
        return x.sum(range(x.ndim - 1))
    # Rows are summed first, then columns: no sum has too many terms for its precision.
    total = _product(jnp.ones((1, rows), x.dtype), x.reshape(rows, columns * x.shape[-1]))
    return total.reshape(columns, x.shape[-1]).sum(0)


@kernel
def over_batch(
    value: Float[Array, " channels"], shape: tuple[int, ...]
) -> Float[Array, "*batch channels"]:
    """Broadcasts a value per channel to the shape `(..., channels)`."""
    rows, columns = _rows_and_columns(shape)
    if columns == 0:
        return jnp.broadcast_to(value, shape)
    row = jnp.broadcast_to(value, (columns, len(value))).reshape(1, -1)
    return _product(jnp.ones((rows, 1), value.dtype), row).reshape(shape)


@kernel
def add_bias(
    x: Float[Array, "*batch channels"], bias: Float[Array, " channels"] | None
) -> Float[Array, "*batch channels"]:
    """Adds a bias of the same dtype, or nothing if it is None."""
    return x if bias is None else x + over_batch(bias, x.shape)


def _rows_and_columns(shape: tuple[int, ...]) -> tuple[int, int]:
    """Splits the axes before the last into two; no columns where products are not faster."""
    if jax.default_backend() != "cpu" or len(shape) < 2:
        return 0, 0
    return (shape[0], 1) if len(shape) == 2 else (math.prod(shape[:-2]), shape[-2])


def _product(left: Float[Array, "a b"], right: Float[Array, "b c"]) -> Float[Array, "a c"]:
    return jnp.matmul(left, right, precision="highest")

"""The algebra: Hamilton product, conjugate, modulus."""

import jax
import jax.numpy as jnp

from serjax.errors import InputError
from serjax.ops.convolution import check_blocks

# Row = component of the product, column = component of the right factor: which component of the
# left factor meets it, and with which sign. From i² = j² = k² = ijk = -1.
COMPONENT = ((0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0))
SIGN = ((1, -1, -1, -1), (1, 1, -1, 1), (1, 1, 1, -1), (1, -1, 1, 1))


def check_channels(channels: int, what: str) -> None:
    """Raises InputError unless `channels` can be read as whole quaternions."""
    check_blocks(channels, 4, what)


def hamilton_product(left: jax.Array, right: jax.Array) -> jax.Array:
    """Hamilton product of two quaternion arrays, component blocks in the last axis.

    Args:
        left: `[..., 4 n]`, blocks r, i, j, k of n channels each.
        right: `[..., 4 n]`, broadcast against `left` in the leading axes.

    Returns:
        `left * right`, `[..., 4 n]`. Associative, not commutative, and |p q| = |p| |q|.

    Raises:
        InputError: the last axes differ or are not a multiple of 4.

    >>> i, j = jnp.array([0.0, 1, 0, 0]), jnp.array([0.0, 0, 1, 0])
    >>> hamilton_product(i, j).tolist()  # k
    [0.0, 0.0, 0.0, 1.0]
    """
    check_channels(left.shape[-1], "hamilton_product, left")
    if left.shape[-1] != right.shape[-1]:
        raise InputError(
            "hamilton_product: expected the same number of channels, found "
            f"{left.shape[-1]} and {right.shape[-1]}"
        )
    p, q = jnp.split(left, 4, axis=-1), jnp.split(right, 4, axis=-1)
    rows = [
        sum(sign * p[component] * q[column] for column, (component, sign) in enumerate(row))
        for row in (zip(c, s, strict=True) for c, s in zip(COMPONENT, SIGN, strict=True))
    ]
    return jnp.concatenate(rows, axis=-1)


def conjugate(x: jax.Array) -> jax.Array:
    """Conjugate r - i - j - k of quaternions `[..., 4 n]`."""
    check_channels(x.shape[-1], "conjugate")
    n = x.shape[-1] // 4
    return jnp.concatenate([x[..., :n], -x[..., n:]], axis=-1)


def modulus(x: jax.Array) -> jax.Array:
    """Modulus of quaternions `[..., 4 n]` -> `[..., n]`."""
    check_channels(x.shape[-1], "modulus")
    return jnp.sqrt(sum(jnp.square(part) for part in jnp.split(x, 4, axis=-1)))

"""Quaternion algebra: Hamilton product, conjugate and modulus."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from serjax.errors import InputError
from serjax.kernels import kernel
from serjax.ops.convolution import check_blocks

# Row: component of the product. Column: component of the right factor. Entry: component of the left
# factor that is multiplied by it, and the sign, from i² = j² = k² = ijk = -1.
COMPONENT = ((0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0))
SIGN = ((1, -1, -1, -1), (1, 1, -1, 1), (1, 1, 1, -1), (1, -1, 1, 1))


def check_channels(channels: int, what: str) -> None:
    """Checks that channels form whole quaternions.

    Args:
        channels: Number of channels.
        what: Name of the tensor, for the message.

    Raises:
        InputError: `channels` is not a multiple of 4.
    """
    check_blocks(channels, 4, what)


@kernel
def hamilton_product(
    left: Float[Array, "*#batch channels"], right: Float[Array, "*#batch channels"]
) -> Float[Array, "*batch channels"]:
    """Multiplies two quaternion arrays, component blocks in the last axis.

    Args:
        left: Left factor `[..., 4 n]`, blocks r, i, j, k of n channels each.
        right: Right factor `[..., 4 n]`, broadcast against `left` in the leading axes.

    Returns:
        Hamilton product `left * right`, `[..., 4 n]`. It is associative, not commutative, and
        |p q| = |p| |q|.

    Raises:
        InputError: The last axes differ or are not a multiple of 4.

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
    left, right = jnp.broadcast_arrays(left, right)
    p, q = jnp.split(left, 4, axis=-1), jnp.split(right, 4, axis=-1)
    rows = [
        sum(sign * p[component] * q[column] for column, (component, sign) in enumerate(row))
        for row in (zip(c, s, strict=True) for c, s in zip(COMPONENT, SIGN, strict=True))
    ]
    return jnp.concatenate(rows, axis=-1)


@kernel
def conjugate(x: Float[Array, "*batch channels"]) -> Float[Array, "*batch channels"]:
    """Conjugates quaternions `[..., 4 n]`: r - i - j - k."""
    check_channels(x.shape[-1], "conjugate")
    n = x.shape[-1] // 4
    return jnp.concatenate([x[..., :n], -x[..., n:]], axis=-1)


@kernel
def modulus(x: Float[Array, "*batch channels"]) -> Float[Array, "*batch channels//4"]:
    """Computes the moduli of quaternions, `[..., 4 n] -> [..., n]`."""
    check_channels(x.shape[-1], "modulus")
    return jnp.sqrt(sum(jnp.square(component) for component in jnp.split(x, 4, axis=-1)))

"""Initial weights of quaternion layers."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from serjax.errors import InputError

Initializer = Callable[..., Array]
"""Function `(key, shape, dtype) -> weights`, as in `flax.linen.initializers`."""


def polar_initializer(criterion: str = "he") -> Initializer:
    """Makes an initializer of quaternion weights in polar form, `|w| (cos θ + u sin θ)`.

    The modulus |w| follows a chi distribution with 4 degrees of freedom at scale
    1 / sqrt(2 fan_in) (He) or 1 / sqrt(2 (fan_in + fan_out)) (Glorot), with fans counted in
    quaternions. The phase θ is uniform in [-π, π], u is a uniform unit imaginary quaternion
    (Parcollet et al., 2019, appendix).

    Args:
        criterion: Scale of the weights, "he" or "glorot".

    Returns:
        Initializer `(key, shape, dtype)` for shapes
        `[4, *kernel_size, inputs / 4, outputs / 4]`.

    Raises:
        InputError: The criterion is unknown.

    >>> polar_initializer("glorot")(jax.random.key(0), (4, 3, 3, 16, 32)).shape
    (4, 3, 3, 16, 32)
    """
    if criterion not in ("he", "glorot"):
        raise InputError(f"criterion: expected 'he' or 'glorot', found {criterion!r}")

    def initialize(
        key: PRNGKeyArray, shape: Sequence[int], dtype: DTypeLike = jnp.float32
    ) -> Float[Array, "4 ..."]:
        _, *kernel_size, inputs, outputs = shape
        area = math.prod(kernel_size)
        fans = inputs * area if criterion == "he" else (inputs + outputs) * area
        # The length of four independent normals is chi-distributed with 4 degrees of freedom, the
        # direction of two is a uniform phase, and the direction of three a uniform axis. All come
        # from one draw, because draws take XLA long to compile.
        normals = jax.random.normal(key, (9, *shape[1:]), dtype)
        length = jnp.linalg.norm(normals[:4], axis=0, keepdims=True) / math.sqrt(2 * fans)
        phase = normals[4:6] / jnp.linalg.norm(normals[4:6], axis=0, keepdims=True)
        axis = normals[6:] / jnp.linalg.norm(normals[6:], axis=0, keepdims=True)
        return length * jnp.concatenate([phase[:1], phase[1:] * axis])

    return initialize

"""Initial weights of quaternion layers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from serjax.errors import InputError

Initializer = Callable[..., jax.Array]


def polar_initializer(criterion: str = "he") -> Initializer:
    """Initial quaternion weights in polar form, `|w| (cos θ + u sin θ)`.

    The modulus |w| follows a chi distribution with 4 degrees of freedom at scale
    1 / sqrt(2 fan_in) (He) or 1 / sqrt(2 (fan_in + fan_out)) (Glorot), fans counted in
    quaternions; the phase θ is uniform in [-π, π], u a uniform unit imaginary quaternion
    (Parcollet et al., Quaternion Recurrent Neural Networks, ICLR 2019, appendix).

    Args:
        criterion: "he" or "glorot".

    Returns:
        An initializer `(key, shape, dtype)` for shapes `[4, *window, inputs / 4, outputs / 4]`.

    Raises:
        InputError: another criterion.
    """
    if criterion not in ("he", "glorot"):
        raise InputError(f"criterion: expected 'he' or 'glorot', found {criterion!r}")

    def initialize(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        _, *window, inputs, outputs = shape
        area = 1
        for extent in window:
            area *= extent
        fans = inputs * area if criterion == "he" else (inputs + outputs) * area
        # The length of four independent normals is chi with 4 degrees of freedom, the direction of
        # two a uniform phase, and that of three a uniform axis. All are one draw, for a draw is
        # what takes XLA long to compile.
        normals = jax.random.normal(key, (9, *shape[1:]), dtype)
        length = jnp.linalg.norm(normals[:4], axis=0) / math.sqrt(2 * fans)
        phase = normals[4:6] / jnp.linalg.norm(normals[4:6], axis=0)
        axis = normals[6:] / jnp.linalg.norm(normals[6:], axis=0)
        return length * jnp.concatenate([phase[:1], phase[1:] * axis])

    return initialize

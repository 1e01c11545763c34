"""Initial weights of quaternion layers."""

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
        modulus_key, phase_key, axis_key = jax.random.split(key, 3)
        # The length of four independent normals is chi with 4 degrees of freedom.
        normals = jax.random.normal(modulus_key, tuple(shape), dtype)
        length = jnp.sqrt(jnp.sum(jnp.square(normals), axis=0) / (2 * fans))
        phase = jax.random.uniform(phase_key, length.shape, dtype, -jnp.pi, jnp.pi)
        axis = jax.random.normal(axis_key, (3, *length.shape), dtype)
        axis = axis / jnp.linalg.norm(axis, axis=0)
        return jnp.concatenate(
            [(length * jnp.cos(phase))[None], length * jnp.sin(phase) * axis], axis=0
        )

    return initialize

"""Numbers drawn uniformly from a range, one for each example."""

import math

import jax
import jax.numpy as jnp

from serjax.errors import InputError

Range = tuple[float, float]


def check_range(name: str, values: Range, *, above: float = -math.inf) -> None:
    """Raises InputError unless they are two finite numbers in order, greater than `above`."""
    low, high = values
    if not (math.isfinite(low) and math.isfinite(high) and above < low <= high):
        least = "" if above == -math.inf else f"{above:g} < "
        raise InputError(f"{name}: expected two numbers {least}low <= high, found {low}, {high}")


def uniform(key: jax.Array, shape: tuple[int, ...], values: Range) -> jax.Array:
    """float32 between both values; exactly the value where they are equal."""
    return jax.random.uniform(key, shape, jnp.float32, *values)

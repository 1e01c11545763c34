"""What is drawn for each example: a number of a range, or whether it is changed at all."""

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


def chosen(key: jax.Array, shape: tuple[int, ...], probability: float) -> jax.Array:
    """bool: whether each example is changed, or InputError where that is no probability."""
    if not 0 <= probability <= 1:
        raise InputError(f"probability: expected a value in [0, 1], found {probability}")
    return jax.random.bernoulli(key, probability, shape)

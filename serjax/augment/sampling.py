"""Random draws for each example: a number of a range, and which examples are augmented."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, PRNGKeyArray

from serjax.errors import InputError

Range = tuple[float, float]
"""Lowest and highest value, both included."""


def check_range(name: str, values: Range, *, above: float = -math.inf) -> None:
    """Checks that two values are a range.

    Args:
        name: Name of the argument, for the message.
        values: Lowest and highest value.
        above: Bound that the lowest value must exceed.

    Raises:
        InputError: The values are not finite, not in order, or not greater than `above`.
    """
    low, high = values
    if not (math.isfinite(low) and math.isfinite(high) and above < low <= high):
        least = "" if above == -math.inf else f"{above:g} < "
        raise InputError(f"{name}: expected two numbers {least}low <= high, found {low}, {high}")


def uniform(key: PRNGKeyArray, shape: tuple[int, ...], values: Range) -> Float32[Array, "*shape"]:
    """Draws float32 numbers uniformly from a range; equal bounds give exactly this value."""
    return jax.random.uniform(key, shape, jnp.float32, *values)


def bernoulli(
    key: PRNGKeyArray, shape: tuple[int, ...], probability: float
) -> Bool[Array, "*shape"]:
    """Selects examples with a probability, independently of each other.

    Args:
        key: PRNG key.
        shape: Leading shape of the examples.
        probability: Probability that an example is selected, in [0, 1].

    Returns:
        True for the selected examples.

    Raises:
        InputError: The probability is outside [0, 1].
    """
    if not 0 <= probability <= 1:
        raise InputError(f"probability: expected a value in [0, 1], found {probability}")
    return jax.random.bernoulli(key, probability, shape)

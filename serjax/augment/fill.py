"""Fill values, which replace masked values and values from outside a spectrogram."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from serjax.errors import InputError
from serjax.features.arrays import at_least_float32

Fill = Literal["mean", "min"] | float
"""The mean or the minimum of an example's valid frames, or a number."""


def check_fill(fill: Fill) -> None:
    """Checks a fill.

    Raises:
        InputError: The fill is neither "mean", "min" nor a number.
    """
    if isinstance(fill, str) and fill not in ("mean", "min"):
        raise InputError(f'fill must be "mean", "min" or a number, found {fill!r}')


def fill_value(
    spectrogram: Float[Array, "*batch frames bins"],
    mask: Bool[Array, "*batch frames"],
    fill: Fill,
) -> Float[Array, "*#batch 1 1"]:
    """Computes the fill value of each example.

    Args:
        spectrogram: Spectrograms `[..., frames, bins]`.
        mask: Valid frames `[..., frames]`.
        fill: "mean", "min" or a number.

    Returns:
        `[..., 1, 1]` in the spectrogram's dtype; a number is the same for all examples.
    """
    if not isinstance(fill, str):
        return jnp.full((1,) * spectrogram.ndim, fill, spectrogram.dtype)
    mask = mask[..., None]
    axes = (-2, -1)
    if fill == "min":
        largest = jnp.finfo(spectrogram.dtype).max
        return jnp.where(mask, spectrogram, largest).min(axis=axes, keepdims=True)
    values = jnp.where(mask, at_least_float32(spectrogram), 0)
    count = mask.sum(axis=axes, keepdims=True, dtype=jnp.int32) * spectrogram.shape[-1]
    mean = values.sum(axis=axes, keepdims=True) / jnp.maximum(count, 1).astype(values.dtype)
    return mean.astype(spectrogram.dtype)

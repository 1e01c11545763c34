"""What all changes of spectrograms share: what takes the place of values."""

from typing import Literal

import jax
import jax.numpy as jnp

from serjax.errors import InputError
from serjax.features.arrays import at_least_float32

Fill = Literal["mean", "min"] | float


def check_fill(fill: Fill) -> None:
    """Raises InputError unless it is a number or the name of one."""
    if isinstance(fill, str) and fill not in ("mean", "min"):
        raise InputError(f'fill must be "mean", "min" or a number, found {fill!r}')


def fill_value(spectrogram: jax.Array, real: jax.Array, fill: Fill) -> jax.Array:
    """What takes the place of values, `[..., 1, 1]` in the spectrogram's dtype."""
    if not isinstance(fill, str):
        return jnp.full((1,) * spectrogram.ndim, fill, spectrogram.dtype)
    real = real[..., None]
    axes = (-2, -1)
    if fill == "min":
        largest = jnp.finfo(spectrogram.dtype).max
        return jnp.where(real, spectrogram, largest).min(axis=axes, keepdims=True)
    values = jnp.where(real, at_least_float32(spectrogram), 0)
    count = real.sum(axis=axes, keepdims=True, dtype=jnp.int32) * spectrogram.shape[-1]
    mean = values.sum(axis=axes, keepdims=True) / jnp.maximum(count, 1).astype(values.dtype)
    return mean.astype(spectrogram.dtype)

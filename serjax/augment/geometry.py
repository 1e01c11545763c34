"""Random changes of spectrograms seen as images: rotation, scaling, elastic deformation, flips.

Values between pixels are interpolated linearly. What comes from outside an utterance, or from
frames that are not real, is the fill; frames that are not real stay as they are.
"""

import functools
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from serjax.augment.fill import Fill, check_fill, fill_value
from serjax.augment.ranges import Range, check_range, chosen, uniform
from serjax.errors import InputError
from serjax.features.arrays import as_masked, at_least_float32

Array = jax.Array | np.ndarray


def rotate(
    key: jax.Array,
    spectrogram: Array,
    *,
    degrees: Range = (-5.0, 5.0),
    mask: Array | None = None,
    fill: Fill = "min",
) -> jax.Array:
    """Rotates each example by a random angle about the middle of its real frames.

    Args:
        key: random key; each example gets its own angle from it.
        spectrogram: floating `[..., frames, bins]`.
        degrees: smallest and largest angle, drawn uniformly; as `scipy.ndimage.rotate` counts, in
            pixels that are as high as wide.
        mask: bool `[..., frames]`, True for real frames; all when None.
        fill: what comes from outside: the mean or the minimum of the example's real frames, or a
            number.

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: the range is not one, shapes do not match, or the fill is unknown.
    """
    check_range("degrees", degrees)
    spectrogram, real = as_masked(spectrogram, mask)
    angle = jnp.deg2rad(uniform(key, spectrogram.shape[:-2], degrees))[..., None, None]
    frame, bin_ = _from_the_middle(real, spectrogram.shape[-1])
    offset = jnp.stack(
        [
            (jnp.cos(angle) - 1) * frame + jnp.sin(angle) * bin_,
            (jnp.cos(angle) - 1) * bin_ - jnp.sin(angle) * frame,
        ],
        axis=-3,
    )
    return _displaced(spectrogram, real, offset, fill)


def scale(
    key: jax.Array,
    spectrogram: Array,
    *,
    factors: Range = (0.9, 1.1),
    mask: Array | None = None,
    fill: Fill = "min",
) -> jax.Array:
    """Enlarges or shrinks each example by a random factor about the middle of its real frames.

    Args:
        key: random key; each example gets its own factor from it.
        spectrogram: floating `[..., frames, bins]`.
        factors: smallest and largest factor, positive, drawn uniformly.
        mask: bool `[..., frames]`, True for real frames; all when None.
        fill: as in `rotate`.

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: the range is not one, shapes do not match, or the fill is unknown.
    """
    check_range("factors", factors, above=0)
    spectrogram, real = as_masked(spectrogram, mask)
    factor = uniform(key, spectrogram.shape[:-2], factors)[..., None, None]
    frame, bin_ = _from_the_middle(real, spectrogram.shape[-1])
    offset = jnp.stack([(1 / factor - 1) * frame, (1 / factor - 1) * bin_], axis=-3)
    return _displaced(spectrogram, real, offset, fill)


def elastic(
    key: jax.Array,
    spectrogram: Array,
    *,
    displacement: float = 2.0,
    smoothness: float = 8.0,
    mask: Array | None = None,
    fill: Fill = "min",
) -> jax.Array:
    """Deforms each example as if it were printed on rubber.

    Args:
        key: random key; each example gets its own deformation from it.
        spectrogram: floating `[..., frames, bins]`.
        displacement: as in `elastic_displacement`.
        smoothness: as in `elastic_displacement`.
        mask: bool `[..., frames]`, True for real frames; all when None.
        fill: as in `rotate`.

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: an argument is out of range, shapes do not match, or the fill is unknown.

    References:
        Simard, Steinkraus & Platt, "Best practices for convolutional neural networks applied to
        visual document analysis" (ICDAR 2003).
    """
    spectrogram, real = as_masked(spectrogram, mask)
    offset = elastic_displacement(
        key, spectrogram.shape, displacement=displacement, smoothness=smoothness
    )
    return _displaced(spectrogram, real, offset, fill)


def elastic_displacement(
    key: jax.Array, shape: tuple[int, ...], *, displacement: float = 2.0, smoothness: float = 8.0
) -> jax.Array:
    """How far from a pixel `elastic` takes its value, given the same key.

    Uniform noise, smoothed by a Gaussian and scaled (Simard et al. 2003). Simard et al. give the
    factor of the scale; here it follows from how far pixels are to move.

    Args:
        key: random key.
        shape: of the spectrogram, `(..., frames, bins)`.
        displacement: standard deviation of every displacement, in pixels, at least 0.
        smoothness: standard deviation of the Gaussian, in pixels, positive.

    Returns:
        float32 `[..., 2, frames, bins]`: in frames, and in bins.

    Raises:
        InputError: an argument is out of range.
    """
    if not displacement >= 0:
        raise InputError(f"displacement: expected at least 0 pixels, found {displacement}")
    if not smoothness > 0:
        raise InputError(f"smoothness: expected more than 0 pixels, found {smoothness}")
    *leading, frames, bins = shape
    one = math.sqrt(3)  # uniform noise up to here has a deviation of 1
    noise = jax.random.uniform(key, (*leading, 2, frames, bins), jnp.float32, -one, one)
    along_time = jnp.asarray(displacement * _unit_blur(frames, smoothness), jnp.float32)
    along_frequency = jnp.asarray(_unit_blur(bins, smoothness), jnp.float32)
    return along_time @ noise @ along_frequency.T


def flip(
    key: jax.Array,
    spectrogram: Array,
    *,
    axis: Literal["time", "frequency"] = "time",
    probability: float = 0.5,
    mask: Array | None = None,
) -> jax.Array:
    """Reverses the order of some examples' real frames, or of their bins.

    Args:
        key: random key; each example is flipped or not by its own draw.
        spectrogram: floating `[..., frames, bins]`.
        axis: "time" or "frequency".
        probability: share of the examples that are flipped, in [0, 1].
        mask: bool `[..., frames]`, True for real frames; all when None.

    Returns:
        Array of the same shape and dtype; frames that are not real stay as they are.

    Raises:
        InputError: an argument is out of range, or shapes do not match.
    """
    if axis not in ("time", "frequency"):
        raise InputError(f'axis: expected "time" or "frequency", found {axis!r}')
    spectrogram, real = as_masked(spectrogram, mask)
    some = chosen(key, spectrogram.shape[:-2], probability)[..., None]
    if axis == "frequency":
        flipped = spectrogram[..., ::-1]
    else:
        # The first real frame changes places with the last, whatever lies between.
        places = jnp.argsort(~real, axis=-1, stable=True)
        order = jnp.cumsum(real, axis=-1, dtype=jnp.int32) - 1
        mirrored = jnp.clip(real.sum(axis=-1, keepdims=True, dtype=jnp.int32) - 1 - order, 0)
        source = jnp.take_along_axis(places, mirrored, axis=-1)
        flipped = jnp.take_along_axis(spectrogram, source[..., None], axis=-2)
    return jnp.where((some & real)[..., None], flipped, spectrogram)


def _from_the_middle(real: jax.Array, bins: int) -> tuple[jax.Array, jax.Array]:
    """Distances `[..., frames, bins]` from the middle real frame, and from the middle bin."""
    frame = jnp.arange(real.shape[-1], dtype=jnp.float32)
    count = jnp.maximum(real.sum(axis=-1, keepdims=True, dtype=jnp.float32), 1)
    middle = jnp.sum(jnp.where(real, frame, 0), axis=-1, keepdims=True) / count
    shape = (*real.shape, bins)
    down = jnp.broadcast_to((frame - middle)[..., None], shape)
    return down, jnp.broadcast_to(jnp.arange(bins, dtype=jnp.float32) - (bins - 1) / 2, shape)


def _displaced(spectrogram: jax.Array, real: jax.Array, offset: jax.Array, fill: Fill) -> jax.Array:
    """Takes each value from its place displaced by `offset` `[..., 2, frames, bins]`."""
    check_fill(fill)
    filling = at_least_float32(fill_value(spectrogram, real, fill))
    # Less the fill, so that what lies outside is zero.
    values = jnp.where(real[..., None], at_least_float32(spectrogram) - filling, 0)
    frames, bins = values.shape[-2:]
    place = jnp.stack(jnp.meshgrid(jnp.arange(frames), jnp.arange(bins), indexing="ij"))
    place = place.astype(values.dtype) + offset.astype(values.dtype)

    def one(image: jax.Array, at: jax.Array) -> jax.Array:
        return map_coordinates(image, list(at), order=1, mode="constant", cval=0.0)

    taken = jax.vmap(one)(values.reshape(-1, frames, bins), place.reshape(-1, 2, frames, bins))
    taken = (taken.reshape(values.shape) + filling).astype(spectrogram.dtype)
    return jnp.where(real[..., None], taken, spectrogram)


@functools.cache
def _unit_blur(size: int, deviation: float) -> np.ndarray:
    """Matrix `[size, size]` that smooths by a Gaussian and keeps white noise's variance."""
    from scipy.ndimage import gaussian_filter1d

    blur = gaussian_filter1d(np.eye(size), deviation, axis=0, mode="constant")
    return blur / np.linalg.norm(blur, axis=1, keepdims=True)

"""Random image transforms of spectrograms: rotation, scaling, elastic deformation and flips.

Values between pixels are interpolated linearly. Values from outside an utterance, or from its
padding, are replaced by the fill. Padding stays as it is.
"""

import functools
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Bool, Float, Float32, PRNGKeyArray

from serjax.augment.fill import Fill, check_fill, fill_value
from serjax.augment.sampling import Range, bernoulli, check_range, uniform
from serjax.errors import InputError
from serjax.features.arrays import as_masked, at_least_float32, with_rank
from serjax.kernels import kernel


@kernel
def rotate(
    key: PRNGKeyArray,
    spectrogram: Float[Array | np.ndarray, "*batch frames bins"],
    *,
    degrees: Range = (-5.0, 5.0),
    mask: Bool[Array | np.ndarray, "*batch frames"] | None = None,
    fill: Fill = "min",
) -> Float[Array, "*batch frames bins"]:
    """Rotates each example by a random angle about the middle of its valid frames.

    Args:
        key: PRNG key, from which each example gets its own angle.
        spectrogram: Spectrograms `[..., frames, bins]`, floating.
        degrees: Smallest and largest angle, sampled uniformly, with square pixels and the sign of
            `scipy.ndimage.rotate`.
        mask: Valid frames `[..., frames]`; None if all are valid.
        fill: Value from outside: the mean or the minimum of the example's valid frames, or a
            number.

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: The range is not finite and in order, shapes do not match, or the fill is
            unknown.
    """
    check_range("degrees", degrees)
    spectrogram, valid = as_masked(spectrogram, mask)
    angle = jnp.deg2rad(uniform(key, spectrogram.shape[:-2], degrees))[..., None, None]
    frame, bin_ = _from_middle(valid, spectrogram.shape[-1])
    offset = jnp.stack(
        [
            (jnp.cos(angle) - 1) * frame + jnp.sin(angle) * bin_,
            (jnp.cos(angle) - 1) * bin_ - jnp.sin(angle) * frame,
        ],
        axis=-3,
    )
    return _displace(spectrogram, valid, offset, fill)


@kernel
def scale(
    key: PRNGKeyArray,
    spectrogram: Float[Array | np.ndarray, "*batch frames bins"],
    *,
    factors: Range = (0.9, 1.1),
    mask: Bool[Array | np.ndarray, "*batch frames"] | None = None,
    fill: Fill = "min",
) -> Float[Array, "*batch frames bins"]:
    """Scales each example by a random factor about the middle of its valid frames.

    Args:
        key: PRNG key, from which each example gets its own factor.
        spectrogram: Spectrograms `[..., frames, bins]`, floating.
        factors: Smallest and largest factor, positive, sampled uniformly.
        mask: Valid frames `[..., frames]`; None if all are valid.
        fill: Value from outside: the mean or the minimum of the example's valid frames, or a
            number.

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: The range is not finite and in order, shapes do not match, or the fill is
            unknown.
    """
    check_range("factors", factors, above=0.0)
    spectrogram, valid = as_masked(spectrogram, mask)
    factor = uniform(key, spectrogram.shape[:-2], factors)[..., None, None]
    frame, bin_ = _from_middle(valid, spectrogram.shape[-1])
    offset = jnp.stack([(1 / factor - 1) * frame, (1 / factor - 1) * bin_], axis=-3)
    return _displace(spectrogram, valid, offset, fill)


@kernel
def elastic(
    key: PRNGKeyArray,
    spectrogram: Float[Array | np.ndarray, "*batch frames bins"],
    *,
    displacement: float = 2.0,
    smoothness: float = 8.0,
    mask: Bool[Array | np.ndarray, "*batch frames"] | None = None,
    fill: Fill = "min",
) -> Float[Array, "*batch frames bins"]:
    """Deforms each example by a random smooth displacement field.

    Elastic deformation (Simard et al., 2003), see `elastic_displacement`.

    Args:
        key: PRNG key, from which each example gets its own deformation.
        spectrogram: Spectrograms `[..., frames, bins]`, floating.
        displacement: Standard deviation of the displacements in pixels, at least 0.
        smoothness: Standard deviation of the smoothing Gaussian in pixels, positive.
        mask: Valid frames `[..., frames]`; None if all are valid.
        fill: Value from outside: the mean or the minimum of the example's valid frames, or a
            number.

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: An argument is out of range, shapes do not match, or the fill is unknown.
    """
    spectrogram, valid = as_masked(spectrogram, mask)
    offset = elastic_displacement(
        key, spectrogram.shape, displacement=displacement, smoothness=smoothness
    )
    return _displace(spectrogram, valid, offset, fill)


@kernel
def elastic_displacement(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    displacement: float = 2.0,
    smoothness: float = 8.0,
) -> Float32[Array, "*batch 2 frames bins"]:
    """Samples the displacements that `elastic` applies with the same key.

    Uniform noise, smoothed by a Gaussian and scaled (Simard et al., 2003). Simard et al. give a
    factor for the scale; here the factor follows from the standard deviation of the displacements.

    Args:
        key: PRNG key.
        shape: Shape of the spectrogram, `(..., frames, bins)`.
        displacement: Standard deviation of the displacements in pixels, at least 0.
        smoothness: Standard deviation of the smoothing Gaussian in pixels, positive.

    Returns:
        Displacements along frames, then along bins.

    Raises:
        InputError: An argument is out of range.
    """
    if not displacement >= 0:
        raise InputError(f"displacement: expected at least 0 pixels, found {displacement}")
    if not smoothness > 0:
        raise InputError(f"smoothness: expected more than 0 pixels, found {smoothness}")
    *leading, frames, bins = shape
    limit = math.sqrt(3)  # uniform noise in [-limit, limit] has a standard deviation of 1
    noise = jax.random.uniform(key, (*leading, 2, frames, bins), jnp.float32, -limit, limit)
    along_time = jnp.asarray(displacement * _unit_blur(frames, smoothness), jnp.float32)
    along_frequency = jnp.asarray(_unit_blur(bins, smoothness), jnp.float32)
    return along_time @ noise @ along_frequency.T


@kernel
def flip(
    key: PRNGKeyArray,
    spectrogram: Float[Array | np.ndarray, "*batch frames bins"],
    *,
    axis: Literal["time", "frequency"] = "time",
    probability: float = 0.5,
    mask: Bool[Array | np.ndarray, "*batch frames"] | None = None,
) -> Float[Array, "*batch frames bins"]:
    """Reverses the valid frames, or the bins, of randomly selected examples.

    Args:
        key: PRNG key, from which each example is selected or not.
        spectrogram: Spectrograms `[..., frames, bins]`, floating.
        axis: Reversed axis, "time" or "frequency".
        probability: Probability that an example is flipped, in [0, 1].
        mask: Valid frames `[..., frames]`; None if all are valid.

    Returns:
        Array of the same shape and dtype; padding stays as it is.

    Raises:
        InputError: An argument is out of range, or shapes do not match.
    """
    if axis not in ("time", "frequency"):
        raise InputError(f'axis: expected "time" or "frequency", found {axis!r}')
    spectrogram, valid = as_masked(spectrogram, mask)
    is_flipped = bernoulli(key, spectrogram.shape[:-2], probability)[..., None]
    if axis == "frequency":
        flipped = spectrogram[..., ::-1]
    else:
        # The first valid frame changes places with the last one, even if there are gaps between.
        positions = jnp.argsort(~valid, axis=-1, stable=True)
        order = jnp.cumsum(valid, axis=-1, dtype=jnp.int32) - 1
        mirrored = jnp.clip(valid.sum(axis=-1, keepdims=True, dtype=jnp.int32) - 1 - order, 0)
        source = jnp.take_along_axis(positions, mirrored, axis=-1)
        flipped = jnp.take_along_axis(spectrogram, source[..., None], axis=-2)
    return jnp.where((is_flipped & valid)[..., None], flipped, spectrogram)


def _from_middle(
    valid: Bool[Array, "*batch frames"], bins: int
) -> tuple[Float32[Array, "*batch frames {bins}"], Float32[Array, "*batch frames {bins}"]]:
    """Computes distances from the middle valid frame, and from the middle bin."""
    frame = with_rank(jnp.arange(valid.shape[-1], dtype=jnp.float32), valid.ndim)
    count = jnp.maximum(valid.sum(axis=-1, keepdims=True, dtype=jnp.float32), 1)
    middle = jnp.sum(jnp.where(valid, frame, 0), axis=-1, keepdims=True) / count
    shape = (*valid.shape, bins)
    frame_distance = jnp.broadcast_to((frame - middle)[..., None], shape)
    bin_distance = jnp.arange(bins, dtype=jnp.float32) - (bins - 1) / 2
    return frame_distance, jnp.broadcast_to(bin_distance, shape)


def _displace(
    spectrogram: Float[Array, "*batch frames bins"],
    valid: Bool[Array, "*batch frames"],
    offset: Float32[Array, "*batch 2 frames bins"],
    fill: Fill,
) -> Float[Array, "*batch frames bins"]:
    """Reads each value from its position displaced by `offset`."""
    check_fill(fill)
    outside = at_least_float32(fill_value(spectrogram, valid, fill))
    # The fill is subtracted first, so that values from outside are zero.
    values = jnp.where(valid[..., None], at_least_float32(spectrogram) - outside, 0)
    frames, bins = values.shape[-2:]
    position = jnp.stack(jnp.meshgrid(jnp.arange(frames), jnp.arange(bins), indexing="ij"))
    position = with_rank(position.astype(values.dtype), offset.ndim) + offset.astype(values.dtype)

    def interpolate(
        image: Float[Array, "frames bins"], coordinates: Float[Array, "2 frames bins"]
    ) -> Float[Array, "frames bins"]:
        return map_coordinates(image, list(coordinates), order=1, mode="constant", cval=0.0)

    displaced = jax.vmap(interpolate)(
        values.reshape(-1, frames, bins), position.reshape(-1, 2, frames, bins)
    )
    displaced = (displaced.reshape(values.shape) + outside).astype(spectrogram.dtype)
    return jnp.where(valid[..., None], displaced, spectrogram)


@functools.cache
def _unit_blur(size: int, deviation: float) -> np.ndarray:
    """Returns a Gaussian smoothing matrix `[size, size]` that keeps white noise's variance."""
    from scipy.ndimage import gaussian_filter1d

    blur = gaussian_filter1d(np.eye(size), deviation, axis=0, mode="constant")
    return blur / np.linalg.norm(blur, axis=1, keepdims=True)

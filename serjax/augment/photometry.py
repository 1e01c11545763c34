"""Random photometric transforms of spectrograms as images: brightness and contrast.

Image libraries take images in [0, 1] without masks; these take any values and leave padding as it
is.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from serjax.augment.fill import fill_value
from serjax.augment.sampling import Range, check_range, uniform
from serjax.features.arrays import as_masked, at_least_float32
from serjax.kernels import kernel


@kernel
def brightness(
    key: PRNGKeyArray,
    spectrogram: Float[Array | np.ndarray, "*batch frames bins"],
    *,
    shifts: Range = (-0.1, 0.1),
    mask: Bool[Array | np.ndarray, "*batch frames"] | None = None,
) -> Float[Array, "*batch frames bins"]:
    """Adds a random constant to each example.

    Args:
        key: PRNG key, from which each example gets its own shift.
        spectrogram: Spectrograms `[..., frames, bins]`, floating.
        shifts: Lowest and highest shift as a fraction of the distance from the example's smallest
            valid value to its largest, sampled uniformly.
        mask: Valid frames `[..., frames]`; None if all are valid.

    Returns:
        Array of the same shape and dtype; padding stays as it is. Values may leave the example's
        range, where colour maps clip them.

    Raises:
        InputError: The range is not finite and in order, or shapes do not match.
    """
    check_range("shifts", shifts)
    spectrogram, valid = as_masked(spectrogram, mask)
    values = at_least_float32(spectrogram)
    low, high = fill_value(values, valid, "min"), -fill_value(-values, valid, "min")
    shift = uniform(key, spectrogram.shape[:-2], shifts)[..., None, None].astype(values.dtype)
    shifted = (values + shift * (high - low)).astype(spectrogram.dtype)
    return jnp.where(valid[..., None], shifted, spectrogram)


@kernel
def contrast(
    key: PRNGKeyArray,
    spectrogram: Float[Array | np.ndarray, "*batch frames bins"],
    *,
    factors: Range = (0.8, 1.2),
    mask: Bool[Array | np.ndarray, "*batch frames"] | None = None,
) -> Float[Array, "*batch frames bins"]:
    """Scales each example's distances from its mean by a random factor.

    Args:
        key: PRNG key, from which each example gets its own factor.
        spectrogram: Spectrograms `[..., frames, bins]`, floating.
        factors: Smallest and largest factor, positive, sampled uniformly.
        mask: Valid frames `[..., frames]`; None if all are valid.

    Returns:
        Array of the same shape and dtype; padding stays as it is. Values may leave the example's
        range, where colour maps clip them.

    Raises:
        InputError: The range is not positive and in order, or shapes do not match.
    """
    check_range("factors", factors, above=0.0)
    spectrogram, valid = as_masked(spectrogram, mask)
    values = at_least_float32(spectrogram)
    mean = fill_value(values, valid, "mean")
    factor = uniform(key, spectrogram.shape[:-2], factors)[..., None, None].astype(values.dtype)
    scaled = (mean + factor * (values - mean)).astype(spectrogram.dtype)
    return jnp.where(valid[..., None], scaled, spectrogram)

"""Types and checks of the arrays that the functions on waveforms and spectrograms take."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, Integer, Shaped

from serjax.errors import InputError

Waveform = Float[Array | np.ndarray, "*batch samples"]
"""Waveforms in [-1, 1]."""

Lengths = Integer[Array | np.ndarray, "*batch"]
"""Number of samples of each utterance in a padded batch."""

Spectrogram = Float[Array | np.ndarray, "*batch frames bins"]
"""Spectrograms, with time before frequency."""

Mask = Bool[Array | np.ndarray, "*batch frames"]
"""Marks of the valid (non-padded) frames."""


def at_least_float32(x: Float[Array | np.ndarray, "*shape"]) -> Float[Array, "*shape"]:
    """Widens 16-bit floats, whose sums of squares would overflow or lose their small terms."""
    x = jnp.asarray(x)
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def with_rank(x: Shaped[Array | np.ndarray, "..."], rank: int) -> Shaped[Array, "..."]:
    """Adds axes of length 1 before the others until an array has `rank` axes.

    Explicit, because an axis that is added silently is an error where JAX is told to be strict.
    """
    x = jnp.asarray(x)
    return x.reshape((1,) * (rank - x.ndim) + x.shape)


def as_waveform(waveform: Waveform) -> Float[Array, "*batch samples"]:
    """Converts a waveform to an array of float32 or wider.

    Raises:
        InputError: The waveform is not floating, or has no axis.
    """
    waveform = jnp.asarray(waveform)
    if waveform.ndim < 1 or not jnp.issubdtype(waveform.dtype, jnp.floating):
        raise InputError(
            "waveform must be floating [..., samples] in [-1, 1], "
            f"found {waveform.dtype} of shape {waveform.shape}"
        )
    return at_least_float32(waveform)


def as_lengths(
    lengths: Lengths, waveform: Float[Array, "*batch samples"]
) -> Int32[Array, "*batch"]:
    """Converts lengths to int32 between 0 and the number of samples of the waveform.

    Raises:
        InputError: The lengths are not integers, or not one for each utterance.
    """
    lengths = jnp.asarray(lengths)
    if lengths.shape != waveform.shape[:-1] or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise InputError(
            f"lengths must be integer of shape {waveform.shape[:-1]} for a waveform of shape "
            f"{waveform.shape}, found {lengths.dtype} of shape {lengths.shape}"
        )
    return jnp.clip(lengths.astype(jnp.int32), 0, waveform.shape[-1])


def as_utterances(
    waveform: Waveform, lengths: Lengths | None
) -> tuple[Float[Array, "*batch samples"], Int32[Array, "*batch"]]:
    """Converts a padded batch to waveforms that are zero past their utterances' ends.

    Args:
        waveform: Floating `[..., samples]`, with at least one sample.
        lengths: Integer `[...]`, number of samples of each utterance; None: all samples.

    Returns:
        Waveforms, float32 or wider, and int32 lengths between 0 and `samples`.

    Raises:
        InputError: The waveform has no samples, or as `as_waveform` and `as_lengths`.
    """
    waveform = as_waveform(waveform)
    samples = waveform.shape[-1]
    if samples == 0:
        raise InputError(f"waveform: expected at least one sample, found shape {waveform.shape}")
    if lengths is None:
        return waveform, jnp.full(waveform.shape[:-1], samples, jnp.int32)
    lengths = as_lengths(lengths, waveform)
    position = with_rank(jnp.arange(samples, dtype=jnp.int32), waveform.ndim)
    is_valid = position < lengths[..., None]
    return jnp.where(is_valid, waveform, 0), lengths


def as_spectrogram(spectrogram: Spectrogram) -> Float[Array, "*batch frames bins"]:
    """Converts a spectrogram to an array, without a change of its dtype.

    Raises:
        InputError: The spectrogram is not floating, or has fewer than two axes.
    """
    spectrogram = jnp.asarray(spectrogram)
    if spectrogram.ndim < 2 or not jnp.issubdtype(spectrogram.dtype, jnp.floating):
        raise InputError(
            "spectrogram must be floating [..., frames, bins], "
            f"found {spectrogram.dtype} of shape {spectrogram.shape}"
        )
    return spectrogram


def as_masked(
    spectrogram: Spectrogram, mask: Mask | None
) -> tuple[Float[Array, "*batch frames bins"], Bool[Array, "*batch frames"]]:
    """Converts a spectrogram and its mask to arrays; without a mask, all frames are valid.

    Raises:
        InputError: The mask is not bool `[..., frames]`, or as `as_spectrogram`.
    """
    spectrogram = as_spectrogram(spectrogram)
    is_valid = jnp.ones(spectrogram.shape[:-1], bool) if mask is None else jnp.asarray(mask)
    if is_valid.dtype != bool or is_valid.shape != spectrogram.shape[:-1]:
        raise InputError(
            f"mask must be bool of shape {spectrogram.shape[:-1]}, "
            f"found {is_valid.dtype} of shape {is_valid.shape}"
        )
    return spectrogram, is_valid

"""Level and constant offset of utterances, which depend on the recorder and not on the speech."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from serjax.features.arrays import Lengths, Waveform, as_utterances, with_rank
from serjax.kernels import kernel

# What remains of a constant waveform after its mean is subtracted: rounding.
_ROUNDING = 1e-6


@kernel
def remove_offset(
    waveform: Waveform, lengths: Lengths | None = None
) -> Float[Array, "*batch samples"]:
    """Subtracts the mean of each utterance, a constant offset of the recorder.

    Args:
        waveform: Floating `[..., samples]`.
        lengths: Integer `[...]`, number of samples of each utterance in a padded batch; None: all
            samples.

    Returns:
        Waveform of the same shape, float32 or wider, zero past each utterance's end. A constant
        waveform becomes zero.

    Raises:
        InputError: As `serjax.features.remove_silence`.

    Example:
        >>> remove_offset(jnp.array([0.5, 1.0, 0.0]), jnp.int32(2)).tolist()
        [-0.25, 0.25, 0.0]
    """
    waveform, lengths = as_utterances(waveform, lengths)
    position = with_rank(jnp.arange(waveform.shape[-1], dtype=jnp.int32), waveform.ndim)
    is_valid = position < lengths[..., None]
    count = jnp.maximum(lengths, 1)[..., None].astype(waveform.dtype)
    loudest = jnp.abs(waveform).max(axis=-1, keepdims=True)
    # The mean of a weak signal on a large offset is rounded; that of the rest is not.
    for _ in range(2):
        mean = waveform.sum(axis=-1, keepdims=True) / count
        waveform = jnp.where(is_valid, waveform - mean, 0)
    has_signal = jnp.abs(waveform).max(axis=-1, keepdims=True) > _ROUNDING * loudest
    return jnp.where(has_signal, waveform, 0)


@kernel
def normalize_level(
    waveform: Waveform, lengths: Lengths | None = None
) -> Float[Array, "*batch samples"]:
    """Removes the offset of each utterance and divides it by its largest magnitude.

    Features of the result, such as a logarithm with a floor, are the same whatever the level of the
    recording.

    Args:
        waveform: Floating `[..., samples]`.
        lengths: Integer `[...]`, number of samples of each utterance in a padded batch; None: all
            samples.

    Returns:
        Waveform in [-1, 1] of the same shape, float32 or wider, zero past each utterance's end.
        Silence stays silence.

    Raises:
        InputError: As `serjax.features.remove_silence`.

    Example:
        >>> normalize_level(jnp.array([0.25, 0.5, 0.0])).tolist()
        [0.0, 1.0, -1.0]
    """
    centred = remove_offset(waveform, lengths)
    peak = jnp.abs(centred).max(axis=-1, keepdims=True)
    return centred / jnp.where(peak > 0, peak, 1)

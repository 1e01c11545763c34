"""Random transforms of waveforms: noise, gain, shift and speed."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32, PRNGKeyArray

from serjax.augment.sampling import Range, bernoulli, check_range, uniform
from serjax.errors import InputError
from serjax.features.arrays import as_utterances, as_waveform, with_rank
from serjax.kernels import kernel


@kernel
def add_noise(
    key: PRNGKeyArray,
    waveform: Float[Array | np.ndarray, "*batch samples"],
    lengths: Int[Array | np.ndarray, "*batch"] | None = None,
    *,
    snr_db: Range = (10.0, 30.0),
    probability: float = 1.0,
) -> Float[Array, "*batch samples"]:
    """Adds white Gaussian noise at a random signal-to-noise ratio.

    Args:
        key: PRNG key, from which each example gets its own noise and ratio.
        waveform: Waveforms `[..., samples]`, floating.
        lengths: Number of samples of each utterance of a padded batch, `[...]`; None if all
            samples are valid.
        snr_db: Lowest and highest ratio in decibels, sampled uniformly. The powers of signal and
            noise are means over the utterance's valid samples, so each example has exactly the
            sampled ratio.
        probability: Probability that an example gets noise, in [0, 1].

    Returns:
        Array of the same shape, float32 at least, zero past the end. A silent utterance stays
        silent. Values may leave [-1, 1].

    Raises:
        InputError: The range is not finite and in order, the probability is outside [0, 1], or
            waveforms and lengths do not match.

    >>> waveform = jnp.sin(jnp.arange(16_000) / 10)
    >>> add_noise(jax.random.key(0), waveform, snr_db=(20.0, 20.0)).shape
    (16000,)
    """
    check_range("snr_db", snr_db)
    waveform, lengths = as_utterances(waveform, lengths)
    noise_key, ratio_key, choice_key = jax.random.split(key, 3)
    position = with_rank(jnp.arange(waveform.shape[-1], dtype=jnp.int32), waveform.ndim)
    is_noisy = position < lengths[..., None]
    is_noisy &= bernoulli(choice_key, lengths.shape, probability)[..., None]
    noise = jnp.where(is_noisy, jax.random.normal(noise_key, waveform.shape, waveform.dtype), 0)
    ratio = 10 ** (uniform(ratio_key, lengths.shape, snr_db).astype(waveform.dtype) / 10)
    signal_energy, noise_energy = (jnp.sum(x**2, axis=-1) for x in (waveform, noise))
    divisor = jnp.where(noise_energy > 0, noise_energy, 1)
    return waveform + noise * jnp.sqrt(signal_energy / (ratio * divisor))[..., None]


@kernel
def gain(
    key: PRNGKeyArray,
    waveform: Float[Array | np.ndarray, "*batch samples"],
    *,
    gain_db: Range = (-6.0, 6.0),
) -> Float[Array, "*batch samples"]:
    """Scales each example by a random gain.

    Args:
        key: PRNG key, from which each example gets its own gain.
        waveform: Waveforms `[..., samples]`, floating.
        gain_db: Lowest and highest gain in decibels, sampled uniformly.

    Returns:
        Array of the same shape, float32 at least. Values may leave [-1, 1].

    Raises:
        InputError: The range is not finite and in order, or the waveform is not floating.
    """
    check_range("gain_db", gain_db)
    waveform = as_waveform(waveform)
    decibels = uniform(key, waveform.shape[:-1], gain_db).astype(waveform.dtype)
    return waveform * 10 ** (decibels[..., None] / 20)


@kernel
def shift(
    key: PRNGKeyArray,
    waveform: Float[Array | np.ndarray, "*batch samples"],
    lengths: Int[Array | np.ndarray, "*batch"] | None = None,
    *,
    largest_samples: int = 1_600,
) -> Float[Array, "*batch samples"]:
    """Shifts each utterance cyclically in time by a random number of samples.

    Args:
        key: PRNG key, from which each example gets its own shift.
        waveform: Waveforms `[..., samples]`, floating.
        lengths: Number of samples of each utterance of a padded batch, `[...]`; None if all
            samples are valid.
        largest_samples: Largest shift in samples, in both directions. Shifts are sampled uniformly
            from all whole numbers.

    Returns:
        Array of the same shape, float32 at least, zero past the end.

    Raises:
        InputError: The largest shift is negative, or waveforms and lengths do not match.
    """
    if largest_samples < 0:
        raise InputError(f"largest_samples: expected at least 0, found {largest_samples}")
    waveform, lengths = as_utterances(waveform, lengths)
    lengths = lengths[..., None]
    shifts = jax.random.randint(
        key, lengths.shape, -largest_samples, largest_samples + 1, jnp.int32
    )
    position = with_rank(jnp.arange(waveform.shape[-1], dtype=jnp.int32), waveform.ndim)
    source = (position - shifts) % jnp.maximum(lengths, 1)
    return jnp.where(position < lengths, jnp.take_along_axis(waveform, source, axis=-1), 0)


@kernel
def change_speed(
    key: PRNGKeyArray,
    waveform: Float[Array | np.ndarray, "*batch samples"],
    lengths: Int[Array | np.ndarray, "*batch"] | None = None,
    *,
    factors: Range = (0.9, 1.1),
) -> tuple[Float[Array, "*batch samples"], Int32[Array, "*batch"]]:
    """Changes the speed of each utterance, and with it its duration and pitch.

    Speed perturbation (Ko et al., 2015), with linear interpolation between samples.

    Args:
        key: PRNG key, from which each example gets its own factor.
        waveform: Waveforms `[..., samples]`, floating.
        lengths: Number of samples of each utterance of a padded batch, `[...]`; None if all
            samples are valid.
        factors: Slowest and fastest speed, positive. Factors are sampled uniformly from whole
            thousandths, so that positions between samples are exact in utterances of any length.

    Returns:
        Waveforms of the same shape, float32 at least, zero past the end, and the new lengths, int32
        `[...]`. A slower utterance is cut at the end of the array.

    Raises:
        InputError: The range is not positive and in order, positions in the waveform overflow
            (from 2^31 / 1000 samples on for twice the speed), or waveforms and lengths do not
            match.
    """
    check_range("factors", factors, above=0.0)
    slowest, fastest = (round(1000 * factor) - 1000 for factor in factors)
    waveform, lengths = as_utterances(waveform, lengths)
    samples = waveform.shape[-1]
    if samples * max(abs(slowest), abs(fastest), 1) >= 2**31:
        raise InputError(
            f"waveform: expected fewer than {2**31 // max(abs(slowest), abs(fastest))} samples "
            f"at these factors, found {samples}"
        )
    shape = (*lengths.shape, 1)
    surplus = jax.random.randint(key, shape, slowest, fastest + 1, jnp.int32)
    index = with_rank(jnp.arange(samples, dtype=jnp.int32), waveform.ndim)
    # Output sample i reads the input at i (1 + surplus / 1000).
    offset = index * surplus
    left, thousandths = index + offset // 1000, offset % 1000
    right = left + (thousandths > 0).astype(jnp.int32)
    is_valid = right < lengths[..., None]
    low, high = (
        jnp.take_along_axis(waveform, jnp.minimum(position, samples - 1), axis=-1)
        for position in (left, right)
    )
    weight = thousandths.astype(waveform.dtype) / 1000
    resampled = jnp.where(is_valid, low + weight * (high - low), 0)
    return resampled, is_valid.sum(axis=-1, dtype=jnp.int32)

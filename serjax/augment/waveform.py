"""Random changes of waveforms: noise, gain, shift, speed."""

import jax
import jax.numpy as jnp
import numpy as np

from serjax.augment.ranges import Range, check_range, chosen, uniform
from serjax.errors import InputError
from serjax.features.arrays import as_utterances, as_waveform

Array = jax.Array | np.ndarray


def add_noise(
    key: jax.Array,
    waveform: Array,
    lengths: Array | None = None,
    *,
    snr_db: Range = (10.0, 30.0),
    probability: float = 1.0,
) -> jax.Array:
    """Adds white Gaussian noise at a random ratio of the utterance's power to the noise's.

    Args:
        key: random key; each example gets its own noise and ratio from it.
        waveform: floating `[..., samples]`.
        lengths: integer `[...]`, samples of each utterance of a padded batch; all when None.
        snr_db: lowest and highest ratio in decibels, drawn uniformly. Both powers are means over
            the real samples as they are drawn, so the ratio is met and not only expected.
        probability: share of the examples that get noise, in [0, 1].

    Returns:
        Array of the same shape, float32 at least, zero past the end. Nothing is added to an
        utterance without any sound. Values may leave [-1, 1].

    Raises:
        InputError: the range is not one, the probability is none, or as `serjax.features.stft`.
    """
    check_range("snr_db", snr_db)
    waveform, lengths = as_utterances(waveform, lengths)
    noise_key, ratio_key, choice_key = jax.random.split(key, 3)
    real = jnp.arange(waveform.shape[-1], dtype=jnp.int32) < lengths[..., None]
    real &= chosen(choice_key, lengths.shape, probability)[..., None]
    noise = jnp.where(real, jax.random.normal(noise_key, waveform.shape, waveform.dtype), 0)
    ratio = 10 ** (uniform(ratio_key, lengths.shape, snr_db).astype(waveform.dtype) / 10)
    signal_energy, noise_energy = (jnp.sum(x**2, axis=-1) for x in (waveform, noise))
    some = jnp.where(noise_energy > 0, noise_energy, 1)
    return waveform + noise * jnp.sqrt(signal_energy / (ratio * some))[..., None]


def gain(key: jax.Array, waveform: Array, *, gain_db: Range = (-6.0, 6.0)) -> jax.Array:
    """Makes each example louder or softer by a random factor.

    Args:
        key: random key; each example gets its own factor from it.
        waveform: floating `[..., samples]`.
        gain_db: lowest and highest gain in decibels, drawn uniformly.

    Returns:
        Array of the same shape, float32 at least. Values may leave [-1, 1].

    Raises:
        InputError: the range is not one, or the waveform is not floating.
    """
    check_range("gain_db", gain_db)
    waveform = as_waveform(waveform)
    decibel = uniform(key, waveform.shape[:-1], gain_db).astype(waveform.dtype)
    return waveform * 10 ** (decibel[..., None] / 20)


def shift(
    key: jax.Array,
    waveform: Array,
    lengths: Array | None = None,
    *,
    largest_samples: int = 1_600,
) -> jax.Array:
    """Shifts each utterance in time; what leaves at one of its ends comes in at the other.

    Args:
        key: random key; each example gets its own shift from it.
        waveform: floating `[..., samples]`.
        lengths: integer `[...]`, samples of each utterance of a padded batch; all when None.
        largest_samples: largest shift; whole numbers of samples from its negative to it are
            drawn uniformly.

    Returns:
        Array of the same shape, float32 at least, zero past the end.

    Raises:
        InputError: the largest shift is negative, or as `serjax.features.stft`.
    """
    if largest_samples < 0:
        raise InputError(f"largest_samples: expected at least 0, found {largest_samples}")
    waveform, lengths = as_utterances(waveform, lengths)
    lengths = lengths[..., None]
    by = jax.random.randint(key, lengths.shape, -largest_samples, largest_samples + 1, jnp.int32)
    position = jnp.arange(waveform.shape[-1], dtype=jnp.int32)
    source = (position - by) % jnp.maximum(lengths, 1)
    return jnp.where(position < lengths, jnp.take_along_axis(waveform, source, axis=-1), 0)


def change_speed(
    key: jax.Array,
    waveform: Array,
    lengths: Array | None = None,
    *,
    factors: Range = (0.9, 1.1),
) -> tuple[jax.Array, jax.Array]:
    """Plays each utterance faster or slower, which scales its time, and its pitch inversely.

    Speed perturbation (Ko et al., "Audio Augmentation for Speech Recognition", Interspeech 2015),
    with linear interpolation between samples.

    Args:
        key: random key; each example gets its own factor from it.
        waveform: floating `[..., samples]`.
        lengths: integer `[...]`, samples of each utterance of a padded batch; all when None.
        factors: slowest and fastest speed, positive; whole thousandths are drawn uniformly, whose
            places between samples are exact in any utterance.

    Returns:
        Waveform of the same shape, float32 at least, zero past the end, and the new lengths, int32
        `[...]`. What a slower utterance no longer has room for at its end is lost.

    Raises:
        InputError: the range is not one, or the waveform is so long (2^31 / 1000 samples for twice
            the speed) that places overflow; or as `serjax.features.stft`.
    """
    check_range("factors", factors, above=0)
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
    index = jnp.arange(samples, dtype=jnp.int32)
    ahead = index * surplus
    left, thousandths = index + ahead // 1000, ahead % 1000
    right = left + (thousandths > 0).astype(jnp.int32)
    real = right < lengths[..., None]
    low, high = (
        jnp.take_along_axis(waveform, jnp.minimum(place, samples - 1), axis=-1)
        for place in (left, right)
    )
    weight = thousandths.astype(waveform.dtype) / 1000
    return jnp.where(real, low + weight * (high - low), 0), real.sum(axis=-1, dtype=jnp.int32)

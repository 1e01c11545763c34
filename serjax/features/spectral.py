"""Spectral features of waveforms, computed on the device: mel and log-mel spectrograms, MFCCs.

The functions are pure and map `[..., samples]` to `[..., frames, bins]`, the transpose of librosa's
results. All of them can be jitted, vmapped and differentiated.

`lengths` describes utterances in a padded batch. Samples past an utterance's end have no effect,
its valid frames are those that it has without padding, and the frames past its end are those of
silence.
"""

import math
from typing import Literal, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from serjax.errors import InputError
from serjax.features.arrays import Mask, Spectrogram, Waveform, as_masked, at_least_float32
from serjax.features.fourier import StftOptions, magnitude_spectrogram
from serjax.features.mel import mel_filterbank
from serjax.kernels import kernel

# GPUs and TPUs multiply float32 matrices with 10-bit or 7-bit mantissas by default, and weak mel
# bands would drown in the rounding of strong ones.
_EXACT = jax.lax.Precision.HIGHEST


class MelOptions(StftOptions, total=False):
    """Keyword options of `mel_spectrogram`, which the features that are built on it pass on."""

    mel_bins: int
    min_hz: float
    max_hz: float | None
    mel_scale: Literal["slaney", "htk"]
    mel_norm: Literal["slaney"] | None


@kernel
def mel_spectrogram(
    waveform: Waveform,
    sample_rate: int = 16_000,
    *,
    mel_bins: int = 128,
    min_hz: float = 0.0,
    max_hz: float | None = None,
    mel_scale: Literal["slaney", "htk"] = "slaney",
    mel_norm: Literal["slaney"] | None = "slaney",
    power: float = 2.0,
    **stft_options: Unpack[StftOptions],
) -> Float[Array, "*batch frames mel_bins"]:
    """Computes a mel spectrogram, as `librosa.feature.melspectrogram` defines it.

    Args:
        waveform: Floating `[..., samples]`.
        sample_rate: Sample rate of the waveform, in Hz.
        mel_bins: Number of mel filters.
        min_hz: Lower edge of the lowest filter, in Hz.
        max_hz: Upper edge of the highest filter, in Hz; None: half the sample rate.
        mel_scale: "slaney" or "htk", see `mel_filterbank`.
        mel_norm: "slaney" for filters of unit area, None for filters of unit height.
        power: Exponent of the magnitudes that the filters sum, positive.
        **stft_options: Options of `stft`.

    Returns:
        float32 (float64 for float64) `[..., frames, mel_bins]`, not negative.

    Raises:
        InputError: As `mel_filterbank`, `magnitude_spectrogram` and `stft`.

    Example:
        >>> mel_spectrogram(jnp.ones(16_000), mel_bins=64, fft_size=512).shape
        (101, 64)
    """
    spectrogram = magnitude_spectrogram(waveform, power=power, **stft_options)
    fft_size = stft_options.get("fft_size") or stft_options.get("window_samples", 400)
    filters = mel_filterbank(
        sample_rate, fft_size, mel_bins, min_hz, max_hz, mel_scale=mel_scale, norm=mel_norm
    )
    return jnp.matmul(spectrogram, jnp.asarray(filters, spectrogram.dtype), precision=_EXACT)


@kernel
def log_power(
    power: Spectrogram,
    *,
    log: Literal["db", "natural"] = "db",
    floor: float = 1e-10,
    top_db: float | None = None,
) -> Float[Array, "*batch frames bins"]:
    """Computes the logarithm of a power spectrogram, bounded below.

    With "db" this is `librosa.power_to_db(power, ref=1.0, amin=floor, top_db=top_db)` of each
    example.

    Args:
        power: Floating `[..., frames, bins]`, not negative.
        log: "db" for ten times the decimal logarithm, "natural" for the natural one.
        floor: Smallest power that differs from silence; a positive normal number.
        top_db: Range below the peak of each example, in decibels for both values of `log`; None:
            unbounded. librosa takes the peak of the whole array: there, one loud utterance raises
            the floor of all others in its batch.

    Returns:
        float32 (float64 for float64) of the same shape.

    Raises:
        InputError: An argument is out of range.

    Example:
        >>> log_power(jnp.array([[1.0, 0.1, 0.0]])).round().tolist()
        [[0.0, -10.0, -100.0]]
    """
    power = at_least_float32(jnp.asarray(power))
    if power.ndim < 2:
        raise InputError(f"power must be [..., frames, bins], found shape {power.shape}")
    if log not in ("db", "natural"):
        raise InputError(f'log must be "db" or "natural", found {log!r}')
    if floor < jnp.finfo(power.dtype).tiny:
        raise InputError(f"floor must be positive and normal in {power.dtype}, found {floor}")
    if top_db is not None and top_db < 0:
        raise InputError(f"top_db must not be negative, found {top_db}")
    decibel = 1.0 if log == "db" else math.log(10) / 10  # in units of the result
    level = (decibel * 10 / math.log(10)) * jnp.log(jnp.maximum(power, floor))
    if top_db is None:
        return level
    return jnp.maximum(level, level.max(axis=(-2, -1), keepdims=True) - top_db * decibel)


@kernel
def log_mel_spectrogram(
    waveform: Waveform,
    sample_rate: int = 16_000,
    *,
    log: Literal["db", "natural"] = "db",
    floor: float = 1e-10,
    top_db: float | None = None,
    **mel_options: Unpack[MelOptions],
) -> Float[Array, "*batch frames mel_bins"]:
    """Computes the logarithm of the mel power spectrogram.

    Args:
        waveform: Floating `[..., samples]`.
        sample_rate: Sample rate of the waveform, in Hz.
        log: "db" or "natural", see `log_power`.
        floor: Smallest power that differs from silence.
        top_db: Range below the peak of each utterance, in decibels; None: unbounded.
        **mel_options: Options of `mel_spectrogram` and `stft`.

    Returns:
        float32 (float64 for float64) `[..., frames, mel_bins]`. Frames past an utterance's end have
        the level of silence, the lowest of all: `10 * log10(floor)` in decibels, or the peak minus
        `top_db`.

    Raises:
        InputError: As `mel_spectrogram` and `log_power`.

    Example:
        >>> log_mel_spectrogram(jnp.zeros(16_000), mel_bins=64, fft_size=512).min().round().item()
        -100.0
    """
    power = mel_spectrogram(waveform, sample_rate, **mel_options)
    return log_power(power, log=log, floor=floor, top_db=top_db)


@kernel
def mfcc(
    waveform: Waveform,
    sample_rate: int = 16_000,
    *,
    coefficients: int = 20,
    floor: float = 1e-10,
    top_db: float | None = 80.0,
    **mel_options: Unpack[MelOptions],
) -> Float[Array, "*batch frames {coefficients}"]:
    """Computes mel-frequency cepstral coefficients, as `librosa.feature.mfcc` defines them.

    They are the orthonormal DCT-II of the log-mel spectrogram in decibels.

    Args:
        waveform: Floating `[..., samples]`.
        sample_rate: Sample rate of the waveform, in Hz.
        coefficients: Number of coefficients, at most `mel_bins`.
        floor: Smallest power that differs from silence.
        top_db: Range below the peak of each utterance, in decibels; None: unbounded.
        **mel_options: Options of `mel_spectrogram` and `stft`.

    Returns:
        float32 (float64 for float64) `[..., frames, coefficients]`. Frames past an utterance's end
        are those of silence, in which only the first coefficient is not zero.

    Raises:
        InputError: `coefficients` is out of range, or as `log_mel_spectrogram`.

    Example:
        >>> mfcc(jnp.ones(16_000), coefficients=13, mel_bins=64, fft_size=512).shape
        (101, 13)
    """
    from scipy.fft import dct

    mel_bins = mel_options.get("mel_bins", 128)
    if not 1 <= coefficients <= mel_bins:
        raise InputError(
            f"coefficients must be between 1 and mel_bins ({mel_bins}), found {coefficients}"
        )
    level = log_mel_spectrogram(waveform, sample_rate, floor=floor, top_db=top_db, **mel_options)
    basis = jnp.asarray(dct(np.eye(mel_bins), norm="ortho")[:, :coefficients], level.dtype)
    return jnp.matmul(level, basis, precision=_EXACT)


@kernel
def normalize(
    spectrogram: Spectrogram,
    mask: Mask | None = None,
    *,
    method: Literal["unit_range", "standard"] = "unit_range",
    axes: tuple[int, ...] = (-2, -1),
) -> Float[Array, "*batch frames bins"]:
    """Normalizes each example by statistics of its valid frames.

    Args:
        spectrogram: Floating `[..., frames, bins]`.
        mask: bool `[..., frames]`, True for valid (non-padded) frames; None: all frames are valid.
        method: "unit_range" maps the smallest value to 0 and the largest to 1, "standard" gives
            zero mean and unit variance (of the population).
        axes: Axes that share their statistics; `(-2, -1)` normalizes each example, `(-2,)` each
            bin of an example.

    Returns:
        Array of the same shape and dtype, from statistics in float32 or wider. Padded frames are
        zero, and so are values without spread: a constant, or an example without valid frames.

    Raises:
        InputError: An argument is out of range, or shapes do not match.

    Example:
        >>> normalize(jnp.array([[2.0, 4.0], [3.0, 6.0]])).tolist()
        [[0.0, 0.5], [0.25, 1.0]]
    """
    spectrogram, mask = as_masked(spectrogram, mask)
    if method not in ("unit_range", "standard"):
        raise InputError(f'method must be "unit_range" or "standard", found {method!r}')
    is_valid = mask[..., None]
    values = at_least_float32(spectrogram)
    largest = float(jnp.finfo(values.dtype).max)
    low = jnp.where(is_valid, values, largest).min(axis=axes, keepdims=True)
    high = jnp.where(is_valid, values, -largest).max(axis=axes, keepdims=True)
    if method == "standard":
        # Standardization removes shift and scale, so a constant is recognized exactly, by its
        # range. Its variance is not exactly zero because of rounding. For the same reason no
        # gradient flows through the range.
        low, high = jax.lax.stop_gradient((low, high))
    has_spread = is_valid & (high - low >= float(jnp.finfo(values.dtype).tiny))
    result = jnp.where(has_spread, values - low, 0) / jnp.where(has_spread, high - low, 1)
    if method == "standard":
        valid_values = jnp.broadcast_to(is_valid, values.shape)
        count = jnp.maximum(valid_values.sum(axis=axes, keepdims=True), 1).astype(values.dtype)
        mean = result.sum(axis=axes, keepdims=True) / count
        deviation = jnp.where(has_spread, result - mean, 0)
        variance = (deviation**2).sum(axis=axes, keepdims=True) / count
        result = deviation / jnp.sqrt(jnp.where(variance > 0, variance, 1))
    return result.astype(spectrogram.dtype)

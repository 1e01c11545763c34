"""Spectral features of waveforms, computed on the device: magnitude, mel, log-mel, MFCC.

Pure functions of `[..., samples]` that return `[..., frames, bins]`, librosa's results transposed;
all of them can be jitted, vmapped and differentiated.

Utterances padded into a batch are described by `lengths`: samples past an utterance's end count
for nothing, its frames are the ones it has alone, and frames past its end are those of silence.
"""

import math
from typing import Literal, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from serjax.errors import InputError
from serjax.features.arrays import as_masked, at_least_float32
from serjax.features.fourier import (
    StftOptions,
    frame_count,
    frame_mask,
    magnitude_spectrogram,
    stft,
)
from serjax.features.mel import mel_filterbank

__all__ = [
    "StftOptions",
    "frame_count",
    "frame_mask",
    "log_mel_spectrogram",
    "log_power",
    "magnitude_spectrogram",
    "mel_filterbank",
    "mel_spectrogram",
    "mfcc",
    "normalize",
    "stft",
]

# GPUs and TPUs multiply float32 matrices with 10-bit or 7-bit mantissas unless told otherwise, and
# weak mel bands would drown in the rounding of strong ones.
_EXACT = jax.lax.Precision.HIGHEST


class MelOptions(StftOptions, total=False):
    """Keyword options of `mel_spectrogram`, which the features built on it pass on."""

    mel_bins: int
    min_hz: float
    max_hz: float | None
    mel_scale: Literal["slaney", "htk"]
    mel_norm: Literal["slaney"] | None


def mel_spectrogram(
    waveform: jax.Array | np.ndarray,
    sample_rate: int = 16_000,
    *,
    mel_bins: int = 128,
    min_hz: float = 0.0,
    max_hz: float | None = None,
    mel_scale: Literal["slaney", "htk"] = "slaney",
    mel_norm: Literal["slaney"] | None = "slaney",
    power: float = 2.0,
    **stft_options: Unpack[StftOptions],
) -> jax.Array:
    """Mel spectrogram, as `librosa.feature.melspectrogram` defines it.

    Args:
        waveform: floating `[..., samples]`.
        sample_rate: rate of the waveform in Hz.
        mel_bins: number of mel filters.
        min_hz: lower edge of the lowest filter.
        max_hz: upper edge of the highest filter; half the sample rate when None.
        mel_scale: "slaney" or "htk", see `mel_filterbank`.
        mel_norm: "slaney" for filters of unit area, None for filters of unit height.
        power: exponent of the magnitudes that the filters sum.
        **stft_options: see `stft`.

    Returns:
        float32 `[..., frames, mel_bins]`, not negative.

    Raises:
        InputError: as `mel_filterbank`, `magnitude_spectrogram` and `stft`.
    """
    spectrogram = magnitude_spectrogram(waveform, power=power, **stft_options)
    fft_size = stft_options.get("fft_size") or stft_options.get("window_samples", 400)
    filters = mel_filterbank(
        sample_rate, fft_size, mel_bins, min_hz, max_hz, mel_scale=mel_scale, norm=mel_norm
    )
    return jnp.matmul(spectrogram, jnp.asarray(filters, spectrogram.dtype), precision=_EXACT)


def log_power(
    power: jax.Array | np.ndarray,
    *,
    log: Literal["db", "natural"] = "db",
    floor: float = 1e-10,
    top_db: float | None = None,
) -> jax.Array:
    """Logarithm of a power spectrogram, bounded below.

    With "db" this is `librosa.power_to_db(power, ref=1.0, amin=floor, top_db=top_db)` of each
    example.

    Args:
        power: floating `[..., frames, bins]`, not negative.
        log: "db" for ten times the decimal logarithm, "natural" for the natural one.
        floor: smallest power that is told from silence; a positive normal number.
        top_db: range below each example's own peak, in decibels whatever `log` is; unbounded when
            None. librosa takes the peak of the whole array: there, one loud utterance raises the
            floor of all others in its batch.

    Returns:
        float32 (float64 of float64) of the same shape.

    Raises:
        InputError: an argument is out of range.
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


def log_mel_spectrogram(
    waveform: jax.Array | np.ndarray,
    sample_rate: int = 16_000,
    *,
    log: Literal["db", "natural"] = "db",
    floor: float = 1e-10,
    top_db: float | None = None,
    **mel_options: Unpack[MelOptions],
) -> jax.Array:
    """Logarithm of the mel power spectrogram.

    Args:
        waveform: floating `[..., samples]`.
        sample_rate: rate of the waveform in Hz.
        log: "db" or "natural", see `log_power`.
        floor: smallest power that is told from silence.
        top_db: range below each utterance's own peak in decibels; unbounded when None.
        **mel_options: see `mel_spectrogram` and `stft`.

    Returns:
        float32 `[..., frames, mel_bins]`. Frames past an utterance's end hold the level of silence,
        the lowest there is: `10 * log10(floor)` in decibels, or the peak less `top_db`.

    Raises:
        InputError: as `mel_spectrogram` and `log_power`.
    """
    power = mel_spectrogram(waveform, sample_rate, **mel_options)
    return log_power(power, log=log, floor=floor, top_db=top_db)


def mfcc(
    waveform: jax.Array | np.ndarray,
    sample_rate: int = 16_000,
    *,
    coefficients: int = 20,
    floor: float = 1e-10,
    top_db: float | None = 80.0,
    **mel_options: Unpack[MelOptions],
) -> jax.Array:
    """Mel-frequency cepstral coefficients, as `librosa.feature.mfcc` defines them.

    The orthonormal DCT-II of the log-mel spectrogram in decibels.

    Args:
        waveform: floating `[..., samples]`.
        sample_rate: rate of the waveform in Hz.
        coefficients: number of coefficients, at most `mel_bins`.
        floor: smallest power that is told from silence.
        top_db: range below each utterance's own peak in decibels; unbounded when None.
        **mel_options: see `mel_spectrogram` and `stft`.

    Returns:
        float32 `[..., frames, coefficients]`. Frames past an utterance's end are those of silence,
        of which only the first coefficient is not zero.

    Raises:
        InputError: `coefficients` is out of range, or as `log_mel_spectrogram`.
    """
    mel_bins = mel_options.get("mel_bins", 128)
    if not 1 <= coefficients <= mel_bins:
        raise InputError(
            f"coefficients must be between 1 and mel_bins ({mel_bins}), found {coefficients}"
        )
    level = log_mel_spectrogram(waveform, sample_rate, floor=floor, top_db=top_db, **mel_options)
    basis = jnp.asarray(_dct_basis(mel_bins, coefficients), level.dtype)
    return jnp.matmul(level, basis, precision=_EXACT)


def normalize(
    spectrogram: jax.Array | np.ndarray,
    mask: jax.Array | np.ndarray | None = None,
    *,
    method: Literal["unit_range", "standard"] = "unit_range",
    axes: tuple[int, ...] = (-2, -1),
) -> jax.Array:
    """Normalises each example by statistics of its real frames.

    Args:
        spectrogram: floating `[..., frames, bins]`.
        mask: bool `[..., frames]`, True for real frames; all when None.
        method: "unit_range" maps the smallest value to 0 and the largest to 1, "standard" gives
            zero mean and unit variance (of the population).
        axes: axes that share their statistics; `(-2, -1)` normalises each example, `(-2,)` each
            of its bins.

    Returns:
        Array of the same shape and dtype; statistics are float32 at least. Padded frames are zero,
        and so is what has no spread: a constant, or an example without real frames.

    Raises:
        InputError: an argument is out of range or shapes do not match.
    """
    spectrogram, real = as_masked(spectrogram, mask)
    if method not in ("unit_range", "standard"):
        raise InputError(f'method must be "unit_range" or "standard", found {method!r}')
    real = real[..., None]
    values = at_least_float32(spectrogram)
    largest = float(jnp.finfo(values.dtype).max)
    low = jnp.where(real, values, largest).min(axis=axes, keepdims=True)
    high = jnp.where(real, values, -largest).max(axis=axes, keepdims=True)
    if method == "standard":
        # Standardising forgets shift and scale, so a constant is recognised exactly, by its range,
        # rather than by a variance that rounding keeps from zero; for the same reason no gradient
        # flows through the range.
        low, high = jax.lax.stop_gradient((low, high))
    spread = real & (high - low >= float(jnp.finfo(values.dtype).tiny))
    result = jnp.where(spread, values - low, 0) / jnp.where(spread, high - low, 1)
    if method == "standard":
        count = jnp.maximum(jnp.broadcast_to(real, values.shape).sum(axis=axes, keepdims=True), 1)
        count = count.astype(values.dtype)
        deviation = jnp.where(spread, result - result.sum(axis=axes, keepdims=True) / count, 0)
        variance = (deviation**2).sum(axis=axes, keepdims=True) / count
        result = deviation / jnp.sqrt(jnp.where(variance > 0, variance, 1))
    return result.astype(spectrogram.dtype)


def _dct_basis(bins: int, coefficients: int) -> np.ndarray:
    """Orthonormal DCT-II, float64 `[bins, coefficients]`."""
    position, order = np.arange(bins)[:, None] + 0.5, np.arange(coefficients)
    basis = np.sqrt(2 / bins) * np.cos(np.pi / bins * position * order)
    basis[:, 0] = np.sqrt(1 / bins)
    return basis

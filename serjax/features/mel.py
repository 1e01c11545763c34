"""The mel filter bank, as a plain array. Public as `serjax.features.mel_filterbank`."""

import warnings
from typing import Literal

import numpy as np

from serjax.errors import InputError

# Slaney's scale (Auditory Toolbox, 1998): below 1 kHz 3 mel to 200 Hz, above it 27 mel to a factor
# of 6.4.
_SLANEY_HZ_PER_MEL = 200 / 3
_SLANEY_BREAK_HZ = 1000.0
_SLANEY_BREAK_MEL = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL
_SLANEY_LOG_STEP = np.log(6.4) / 27


def mel_filterbank(
    sample_rate: int,
    fft_size: int,
    mel_bins: int,
    min_hz: float = 0.0,
    max_hz: float | None = None,
    mel_scale: Literal["slaney", "htk"] = "slaney",
    norm: Literal["slaney"] | None = "slaney",
) -> np.ndarray:
    """Triangular filters, equally spaced on a mel scale; `librosa.filters.mel`, transposed.

    Computed here because librosa at run time would bring numba, which supports a new Python or
    NumPy only months later, for fifty lines of arithmetic.

    Args:
        sample_rate: rate of the waveform in Hz.
        fft_size: size of the Fourier transform.
        mel_bins: number of filters.
        min_hz: lower edge of the lowest filter.
        max_hz: upper edge of the highest filter; half the sample rate when None.
        mel_scale: "slaney" (Slaney's Auditory Toolbox: linear to 1 kHz, then logarithmic) or "htk"
            (Young et al., The HTK Book: `2595 log10(1 + hz / 700)`).
        norm: "slaney" for filters of unit area (in Hz), None for filters of unit height.

    Returns:
        float32 `[fft_size // 2 + 1, mel_bins]`. A filter narrower than the distance of
        two Fourier bins may hold none of them and stay zero, which is warned of.

    Raises:
        InputError: an argument is out of range.
    """
    if sample_rate <= 0 or fft_size < 1 or mel_bins < 1:
        raise InputError(
            "sample_rate, fft_size and mel_bins must be positive, "
            f"found {sample_rate}, {fft_size} and {mel_bins}"
        )
    nyquist = sample_rate / 2
    max_hz = nyquist if max_hz is None else max_hz
    if not 0 <= min_hz < max_hz <= nyquist:
        raise InputError(
            "min_hz and max_hz must satisfy 0 <= min_hz < max_hz <= sample_rate / 2 "
            f"({nyquist:g} Hz), found {min_hz:g} and {max_hz:g}"
        )
    if mel_scale not in ("slaney", "htk"):
        raise InputError(f'mel_scale must be "slaney" or "htk", found {mel_scale!r}')
    if norm not in ("slaney", None):
        raise InputError(f'norm must be "slaney" or None, found {norm!r}')

    low, high = _hz_to_mel(np.array([min_hz, max_hz]), mel_scale)
    edges = _mel_to_hz(np.linspace(low, high, mel_bins + 2), mel_scale)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    hz = np.arange(fft_size // 2 + 1)[:, None] * (sample_rate / fft_size)
    rising = (hz - left) / (centre - left)
    falling = (right - hz) / (right - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    empty = np.flatnonzero(~filters.any(axis=0))
    if empty.size:
        warnings.warn(
            f"{empty.size} of {mel_bins} mel filters lie between two Fourier bins and stay zero; "
            f"take fewer mel_bins or a larger fft_size than {fft_size}",
            stacklevel=2,
        )
    if norm == "slaney":
        filters *= 2 / (right - left)
    return filters.astype(np.float32)


def _hz_to_mel(hz: np.ndarray, mel_scale: str) -> np.ndarray:
    if mel_scale == "htk":
        return 2595 * np.log10(1 + hz / 700)
    logarithmic = np.log(np.maximum(hz, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP
    return np.where(hz < _SLANEY_BREAK_HZ, hz / _SLANEY_HZ_PER_MEL, _SLANEY_BREAK_MEL + logarithmic)


def _mel_to_hz(mel: np.ndarray, mel_scale: str) -> np.ndarray:
    if mel_scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    above = np.maximum(mel - _SLANEY_BREAK_MEL, 0)
    logarithmic = _SLANEY_BREAK_HZ * np.exp(_SLANEY_LOG_STEP * above)
    return np.where(mel < _SLANEY_BREAK_MEL, mel * _SLANEY_HZ_PER_MEL, logarithmic)

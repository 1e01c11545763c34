"""Mel filter bank as a NumPy array; public as `serjax.features.mel_filterbank`."""

import warnings
from typing import Literal

import numpy as np
from jaxtyping import Float32

from serjax.errors import InputError


def mel_filterbank(
    sample_rate: int,
    fft_size: int,
    mel_bins: int,
    min_hz: float = 0.0,
    max_hz: float | None = None,
    mel_scale: Literal["slaney", "htk"] = "slaney",
    norm: Literal["slaney"] | None = "slaney",
) -> Float32[np.ndarray, "bins mel_bins"]:
    """Computes triangular filters, equally spaced on a mel scale.

    The filters are those of `librosa.filters.mel`, transposed.

    Args:
        sample_rate: Sample rate of the waveform, in Hz.
        fft_size: Size of the Fourier transform, in samples.
        mel_bins: Number of filters.
        min_hz: Lower edge of the lowest filter, in Hz.
        max_hz: Upper edge of the highest filter, in Hz; None: half the sample rate.
        mel_scale: "slaney" (Slaney's Auditory Toolbox: linear to 1 kHz, then logarithmic) or "htk"
            (Young et al., The HTK Book: `2595 log10(1 + hz / 700)`).
        norm: "slaney" for filters of unit area (in Hz), None for filters of unit height.

    Returns:
        float32 `[fft_size // 2 + 1, mel_bins]`. A filter that is narrower than the distance of two
        Fourier bins may contain none of them. It is zero, and a UserWarning is issued.

    Raises:
        InputError: An argument is out of range.

    Example:
        >>> mel_filterbank(16_000, fft_size=512, mel_bins=64).shape
        (257, 64)
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

    from librosa.filters import mel  # takes half a second, most of it numba

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Empty filters detected")  # the warning below says more
        # float64, so that the filters are rounded once.
        filters = mel(
            sr=sample_rate,
            n_fft=fft_size,
            n_mels=mel_bins,
            fmin=min_hz,
            fmax=max_hz,
            htk=mel_scale == "htk",
            norm=norm,
            dtype=np.float64,
        ).T
    empty = np.flatnonzero(~filters.any(axis=0))
    if empty.size:
        warnings.warn(
            f"{empty.size} of {mel_bins} mel filters lie between two Fourier bins and stay zero; "
            f"use fewer mel_bins or a larger fft_size than {fft_size}",
            stacklevel=2,
        )
    return np.ascontiguousarray(filters, np.float32)

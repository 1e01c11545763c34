"""Slow, plain NumPy definitions that the fast code must agree with.

Nothing here imports serjax: each function is written from its definition, in float64, with
loops where loops are clearer.
"""

import numpy as np

# --- Spectral features (serjax.features) ---------------------------------------------------------


def stft(
    waveform: np.ndarray, taper: np.ndarray, hop_samples: int, fft_size: int, pad: str | None
) -> np.ndarray:
    """Short-time Fourier transform `[frames, fft_size // 2 + 1]` of `[samples]`, term by term.

    `taper` lies in the middle of a frame; `pad` is a mode of np.pad by half a frame, or None.
    """
    if pad is not None:
        waveform = np.pad(waveform, fft_size // 2, mode=pad)
    left = (fft_size - len(taper)) // 2
    n, k = np.arange(fft_size), np.arange(fft_size // 2 + 1)
    frames = []
    for start in range(0, len(waveform) - fft_size + 1, hop_samples):
        frame = np.zeros(fft_size)
        inner = waveform[start + left : start + left + len(taper)]
        frame[left : left + len(taper)] = inner.astype(np.float64) * taper
        frames.append([np.sum(frame * np.exp(-2j * np.pi * n * i / fft_size)) for i in k])
    return np.array(frames)


def mel_filters(
    sample_rate: int, fft_size: int, mel_bins: int, min_hz: float, max_hz: float
) -> np.ndarray:
    """HTK mel filters `[fft_size // 2 + 1, mel_bins]` of unit height, bin by bin (The HTK Book)."""

    def mel(hz: float) -> float:
        return 2595 * np.log10(1 + hz / 700)

    def hz(mel: float) -> float:
        return 700 * (10 ** (mel / 2595) - 1)

    step = (mel(max_hz) - mel(min_hz)) / (mel_bins + 1)
    filters = np.zeros((fft_size // 2 + 1, mel_bins))
    for j in range(mel_bins):
        left, centre, right = (hz(mel(min_hz) + (j + i) * step) for i in range(3))
        for i in range(fft_size // 2 + 1):
            frequency = i * sample_rate / fft_size
            if left < frequency <= centre:
                filters[i, j] = (frequency - left) / (centre - left)
            elif centre < frequency < right:
                filters[i, j] = (right - frequency) / (right - centre)
    return filters


# --- SpecAugment (serjax.augment) ----------------------------------------------------------------


def stripe_patterns(places: int, widest: int, stripes: int) -> dict[tuple[bool, ...], float]:
    """Probability of every pattern that random stripes leave on a number of places.

    A stripe's width is uniform on {0, ..., widest} and its start on {0, ..., places - width}
    (Padi et al., 2021, section 3.4, with both ends in the range); all combinations are enumerated.
    """
    patterns = {(False,) * places: 1.0}
    for _ in range(stripes):
        longer: dict[tuple[bool, ...], float] = {}
        for pattern, probability in patterns.items():
            for width in range(widest + 1):
                starts = range(places - width + 1)
                for start in starts:
                    union = tuple(p or start <= i < start + width for i, p in enumerate(pattern))
                    share = probability / (widest + 1) / len(starts)
                    longer[union] = longer.get(union, 0.0) + share
        patterns = longer
    return patterns

"""Test signals, and librosa's features of them with serjax's options and layout."""

import librosa
import numpy as np


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Samples uniform noise in [-0.5, 0.5], float32 of a shape."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def librosa_options(
    *, window="hann", window_samples=400, hop_samples=160, fft_size=None, center=True,
    pad_mode="constant",
) -> dict:  # fmt: skip
    """Translates options of `features.stft` to those of librosa."""
    return {
        "window": window,
        "win_length": window_samples,
        "hop_length": hop_samples,
        "n_fft": fft_size or window_samples,
        "center": center,
        "pad_mode": pad_mode,
    }


def librosa_mel(waveform: np.ndarray, sample_rate: int, options: dict) -> np.ndarray:
    """Computes librosa's mel spectrogram `[frames, mel_bins]` with options of serjax."""
    options = dict(options)
    mel = {
        "n_mels": options.pop("mel_bins", 128),
        "fmin": options.pop("min_hz", 0.0),
        "fmax": options.pop("max_hz", None),
        "htk": options.pop("mel_scale", "slaney") == "htk",
        "norm": options.pop("mel_norm", "slaney"),
        "power": options.pop("power", 2.0),
    }
    return librosa.feature.melspectrogram(
        y=waveform, sr=sample_rate, **mel, **librosa_options(**options)
    ).swapaxes(-1, -2)


def assert_close(actual: np.ndarray, expected: np.ndarray, relative: float = 1e-4) -> None:
    """Checks values to a relative tolerance, of the value or of a hundredth of the largest."""
    assert actual.shape == expected.shape
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=relative, atol=relative * scale / 100)

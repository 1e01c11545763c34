"""Short-time Fourier transforms against librosa and SciPy, of single utterances and batches."""

import functools

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.signal

from serjax import features
from tests.helpers.librosa_features import assert_close, librosa_options, noise

# Framings under which the transform must agree with librosa.
STFT_CASES = [
    {},
    {"fft_size": 512},
    {"window_samples": 512, "hop_samples": 256, "window": "hamming"},
    {"window_samples": 399, "hop_samples": 77, "fft_size": 512, "pad_mode": "reflect"},
    {"window_samples": 400, "hop_samples": 500, "center": False},
    {"window_samples": 320, "hop_samples": 160, "fft_size": 511, "center": False},
    {"window_samples": 255, "hop_samples": 64, "window": ("kaiser", 8.0)},
    {"window_samples": 2048, "hop_samples": 512, "window": "blackman"},
]


@pytest.mark.parametrize("options", STFT_CASES)
def test_stft_equals_librosa(waveform, options):
    expected = librosa.stft(waveform, **librosa_options(**options)).T
    eager = features.stft(waveform, **options)
    assert eager.dtype == jnp.complex64
    assert_close(eager, expected)
    jitted = jax.jit(functools.partial(features.stft, **options))(waveform)
    assert_close(jitted, np.asarray(eager), relative=1e-5)


@pytest.mark.parametrize("window", ["hann", "hamming"])
def test_stft_equals_scipy(window):
    taper = scipy.signal.get_window(window, 400)
    transform = scipy.signal.ShortTimeFFT(taper, hop=160, fs=16_000, mfft=512, phase_shift=None)
    signal = noise(4000)
    # SciPy's slice p is centred on sample p * hop and, with phase_shift None, begins its transform
    # at the window. In serjax, as in librosa, it begins (512 - 400) / 2 samples earlier.
    expected = transform.stft(signal, p0=0, p1=1 + 4000 // 160).T
    expected = expected * np.exp(-2j * np.pi * np.arange(257) * 56 / 512)
    assert_close(features.stft(signal, window=window, fft_size=512), expected)


@pytest.mark.parametrize("power", [1.0, 2.0, 0.5, 3.0])
def test_magnitude_equals_librosa(waveform, power):
    expected = np.abs(librosa.stft(waveform, **librosa_options())).T ** power
    assert_close(features.magnitude_spectrogram(waveform, power=power), expected)


# --- Batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pad_mode": "reflect"},
        {"center": False},
        {"window_samples": 255, "hop_samples": 100},
        {"window_samples": 255, "hop_samples": 100, "pad_mode": "reflect"},
        {"window_samples": 300, "fft_size": 512, "hop_samples": 128},
    ],
)
def test_padding_does_not_change_the_frames_of_an_utterance(options):
    lengths = np.array([1600, 801, 400, 37, 1, 0])
    batch = noise(len(lengths), 1600)  # samples past the ends are noise, not zero
    magnitude = jax.jit(functools.partial(features.magnitude_spectrogram, **options))
    batch_result = np.asarray(magnitude(batch, lengths=lengths))
    framing = {k: v for k, v in options.items() if k != "pad_mode"}
    mask = np.asarray(features.frame_mask(lengths, batch_result.shape[1], **framing))
    min_samples = 1 if options.get("center", True) else 400
    for i, length in enumerate(lengths):
        count = features.frame_count(int(length), **framing)
        np.testing.assert_array_equal(mask[i], np.arange(mask.shape[1]) < count)
        np.testing.assert_array_equal(batch_result[i, count:], 0)
        if length >= min_samples:
            expected = magnitude(batch[i, :length])
            assert expected.shape[0] == count
            np.testing.assert_allclose(batch_result[i, :count], expected, atol=1e-5)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("fft_size", [255, 256])
def test_frame_count_equals_the_frames_of_the_stft(center, fft_size):
    options = {"window_samples": 200, "fft_size": fft_size, "center": center}
    for samples in [256, 257, 319, 320, 1000]:
        frames = jax.eval_shape(functools.partial(features.stft, **options), noise(samples)).shape[
            0
        ]
        assert features.frame_count(samples, **options) == frames
        assert features.frame_count(jnp.array([samples]), **options)[0] == frames
    assert features.frame_count(0, **options) == 0


# --- Gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [1.0, 2.0, 0.5])
def test_gradient_at_silence_is_zero(power):
    def total(signal):
        return features.magnitude_spectrogram(signal, power=power).sum()

    np.testing.assert_array_equal(jax.grad(total)(jnp.zeros(1000)), 0)
    half = jnp.where(jnp.arange(2000) < 1000, jnp.asarray(noise(2000)), 0)
    assert bool(jnp.isfinite(jax.grad(total)(half)).all())

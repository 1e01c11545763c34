"""Level and constant offset of recordings change no feature."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serjax.features import FRONT_ENDS, normalize_level, remove_offset
from serjax.features.front_ends import GUIZZO_QUATERNION, PADI

SAMPLES = 1_000


def speech_like(samples):
    """Tones that rise and fall, on noise."""
    time = np.arange(samples) / 16_000
    tones = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 9))
    noise = np.random.default_rng(0).normal(0, 0.01, samples)
    return (0.2 * tones * np.abs(np.sin(2 * np.pi * 3 * time)) + noise).astype(np.float32)


def normal(seed, length=SAMPLES):
    return np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)


@given(st.integers(0, 2**31), st.integers(1, SAMPLES), st.floats(-1, 1), st.floats(-100, 0))
def test_definition(seed, length, offset, level_db):
    waveform = np.zeros((2, SAMPLES), np.float32)
    waveform[0, :length] = normal(seed, length) * 10 ** (level_db / 20) + offset
    waveform[0, length:] = np.nan
    lengths = np.array([length, 0])
    exact = waveform[0, :length].astype(np.float64)
    centred = exact - exact.mean()
    rounding = 1e-6 * np.abs(exact).max()
    result = np.asarray(remove_offset(waveform, lengths))
    np.testing.assert_allclose(result[0, :length], centred, atol=rounding)
    assert not result[0, length:].any()
    assert not result[1].any()
    level = np.asarray(normalize_level(waveform, lengths))
    peak = np.abs(centred).max()
    if peak > 1e-3 * np.abs(exact).max():
        np.testing.assert_allclose(level[0, :length], centred / peak, atol=2 * rounding / peak)


@pytest.mark.parametrize("value", [0.0, 1e-30, 0.3, -1.0])
@pytest.mark.parametrize("length", [1, 7, SAMPLES])
def test_constant_is_silence(value, length):
    waveform = np.full(SAMPLES, value, np.float32)
    assert not np.asarray(normalize_level(waveform, jnp.int32(length))).any()


@pytest.mark.parametrize(
    "front_end", [*FRONT_ENDS.values(), GUIZZO_QUATERNION, PADI], ids=lambda f: f"{f.hop_samples}"
)
def test_front_end_does_not_depend_on_level_or_offset(front_end):
    size = front_end.segment_samples if front_end.segment_seconds < 5 else 32_000
    waveform = jnp.asarray(speech_like(size)[None])
    lengths = jnp.array([size * 3 // 4])
    expected, _ = front_end(waveform, lengths)
    assert np.asarray(expected).std() > 0.05
    for level, offset in ((1e-4, 0.0), (0.01, 0.02), (2.0, -0.3), (1.0, 0.1)):
        result, _ = front_end(jnp.float32(level) * (waveform + jnp.float32(offset)), lengths)
        # Rounding of the offset waveform to float32 lies far below speech, but not below pauses.
        error = np.abs(np.asarray(result) - np.asarray(expected))
        assert error.mean() < 2e-3, (level, offset)

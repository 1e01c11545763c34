"""Spectral features against librosa and their definitions, in batches and differentiated."""

import functools

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from jax.test_util import check_grads

from serjax import features
from serjax.errors import InputError
from tests.helpers import reference
from tests.helpers.librosa_features import assert_close, librosa_mel, noise
from tests.helpers.type_checks import without_type_checks

# Mel options under which the features must agree with librosa.
MEL_CASES = [
    {"mel_bins": 64},
    {"mel_bins": 40, "mel_scale": "htk", "mel_norm": None},
    {"mel_bins": 23, "min_hz": 64.0, "max_hz": 3800.0, "fft_size": 512},
    {"mel_bins": 30, "mel_scale": "htk", "power": 1.0, "hop_samples": 200},
]


@pytest.mark.parametrize("options", MEL_CASES)
def test_mel_spectrogram_equals_librosa(waveform, options):
    expected = librosa_mel(waveform, 16_000, options)
    eager = features.mel_spectrogram(waveform, 16_000, **options)
    assert eager.dtype == jnp.float32
    assert_close(eager, expected)
    jitted = jax.jit(functools.partial(features.mel_spectrogram, **options))(waveform)
    assert_close(jitted, np.asarray(eager), relative=1e-5)


@pytest.mark.parametrize("top_db", [None, 80.0, 20.0])
def test_log_mel_equals_power_to_db_of_librosa(waveform, top_db):
    mel = librosa_mel(waveform, 16_000, {"mel_bins": 64})
    expected = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=top_db)
    actual = features.log_mel_spectrogram(waveform, mel_bins=64, top_db=top_db)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("top_db", [None, 30.0])
def test_natural_log_equals_decibels_in_another_unit(top_db):
    power = np.abs(noise(2, 5, 4)) ** 8
    decibels = features.log_power(power, top_db=top_db)
    natural = features.log_power(power, log="natural", top_db=top_db)
    np.testing.assert_allclose(natural, decibels * np.log(10) / 10, rtol=1e-5)


def test_top_db_is_relative_to_each_example():
    quiet = np.full((1, 3, 4), 1e-6, np.float32)
    quiet[0, 0, 0] = 1e-9
    batch = features.log_power(np.concatenate([quiet, quiet * 1e12]), top_db=80.0)
    np.testing.assert_array_equal(batch[:1], features.log_power(quiet, top_db=80.0))


@pytest.mark.parametrize("options", [{}, {"coefficients": 13, "mel_bins": 40, "fft_size": 512}])
def test_mfcc_equals_librosa(waveform, options):
    mel_options = {k: v for k, v in options.items() if k != "coefficients"}
    decibels = librosa.power_to_db(librosa_mel(waveform, 16_000, mel_options), top_db=80.0)
    coefficients = options.get("coefficients", 20)
    expected = librosa.feature.mfcc(S=decibels.T, n_mfcc=coefficients).T
    actual = features.mfcc(waveform, 16_000, **options)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("pad", "samples"),
    [(None, 300), ("constant", 300), ("reflect", 300), ("reflect", 20), ("reflect", 1)],
)
def test_features_equal_their_definition(pad, samples):
    signal, taper = noise(samples), scipy.signal.get_window("hann", 50)
    options = {"window_samples": 50, "hop_samples": 20, "fft_size": 64, "center": pad is not None}
    options |= {"pad_mode": pad} if pad else {}
    expected = reference.stft(signal, taper, 20, 64, pad)
    assert_close(features.stft(signal, **options), expected)
    filters = reference.mel_filters(8000, 64, 8, 100.0, 3900.0)
    actual = features.mel_spectrogram(
        signal, 8000, mel_bins=8, min_hz=100.0, max_hz=3900.0, mel_scale="htk", mel_norm=None,
        **options,
    )  # fmt: skip
    assert_close(actual, np.abs(expected) ** 2 @ filters)


def test_float64_and_float16():
    signal = noise(2000)
    with jax.enable_x64(True):
        wide = features.log_mel_spectrogram(jnp.asarray(signal, jnp.float64), mel_bins=40)
        assert wide.dtype == jnp.float64
    for dtype in (jnp.float16, jnp.bfloat16):
        narrow = jnp.asarray(signal, dtype)
        level = features.log_mel_spectrogram(narrow, mel_bins=40)
        assert level.dtype == jnp.float32
        np.testing.assert_array_equal(
            level, features.log_mel_spectrogram(narrow.astype(jnp.float32), mel_bins=40)
        )
    np.testing.assert_allclose(features.log_mel_spectrogram(signal, mel_bins=40), wide, atol=1e-3)


# --- Batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("feature", [features.magnitude_spectrogram, features.mfcc])
def test_any_batch_shape(feature):
    feature = jax.jit(feature)
    batch = noise(2, 3, 1200)
    result = feature(batch)
    for index in np.ndindex(2, 3):
        expected = feature(batch[index])
        np.testing.assert_allclose(result[index], expected, rtol=1e-4, atol=1e-3)
    mapped = jax.vmap(jax.vmap(feature))(batch)
    np.testing.assert_allclose(mapped, result, rtol=1e-4, atol=1e-3)


def test_log_features_of_padded_frames_equal_those_of_silence():
    batch, lengths = noise(2, 1600), np.array([800, 1600])
    level = features.log_mel_spectrogram(batch, lengths=lengths)
    np.testing.assert_allclose(level[0, 6:], -100.0, rtol=1e-6)
    bounded = features.log_mel_spectrogram(batch, lengths=lengths, top_db=20.0)
    np.testing.assert_allclose(bounded[0, 6:], bounded[0, :6].max() - 20.0, rtol=1e-6)
    cepstra = features.mfcc(batch, lengths=lengths, top_db=None)
    np.testing.assert_allclose(cepstra[0, 6:, 1:], 0.0, atol=1e-3)
    np.testing.assert_allclose(cepstra[0, 6:, 0], -100.0 * np.sqrt(128), rtol=1e-5)


# --- Gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("feature", ["magnitude_spectrogram", "log_mel_spectrogram", "mfcc"])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
def test_gradients_equal_finite_differences(feature, pad_mode):
    options = {"window_samples": 64, "hop_samples": 20, "pad_mode": pad_mode}
    options |= {} if feature == "magnitude_spectrogram" else {"mel_bins": 8}
    options |= {"coefficients": 5} if feature == "mfcc" else {}
    function = functools.partial(
        getattr(features, feature), lengths=np.array([200, 130]), **options
    )
    with jax.enable_x64(True):
        signal = jnp.asarray(noise(2, 200), jnp.float64)
        check_grads(function, (signal,), order=1, modes=["rev"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", ["unit_range", "standard"])
@pytest.mark.parametrize("axes", [(-2, -1), (-2,)])
def test_gradients_of_normalize(method, axes):
    mask = np.arange(6) < np.array([[6], [4]])
    function = functools.partial(features.normalize, mask=mask, method=method, axes=axes)
    with jax.enable_x64(True):
        spectrogram = jnp.asarray(noise(2, 6, 5), jnp.float64)
        check_grads(function, (spectrogram,), order=1, modes=["rev"], atol=1e-6, rtol=1e-6)


# --- Normalization -------------------------------------------------------------------------------

# Few shapes, so that few programs are compiled.
spectrograms = st_numpy.arrays(
    np.float32,
    st.sampled_from([(1, 1, 1), (2, 5, 3)]),
    elements=st.floats(-1000, 1000, width=32),
)
normalize = jax.jit(features.normalize, static_argnames=("method", "axes"))


@given(spectrogram=spectrograms, data=st.data())
def test_normalize_uses_valid_frames_only(spectrogram, data):
    batch, frames, _ = spectrogram.shape
    counts = data.draw(st.lists(st.integers(0, frames), min_size=batch, max_size=batch))
    mask = np.arange(frames) < np.array(counts)[:, None]
    for method in ("unit_range", "standard"):
        result = np.asarray(normalize(spectrogram, mask, method=method))
        assert np.isfinite(result).all()
        np.testing.assert_array_equal(result[~mask], 0)
        for example, values, count in zip(spectrogram, result, counts, strict=True):
            valid = example[:count].astype(np.float64)
            if not count or np.ptp(valid) == 0:
                np.testing.assert_array_equal(values, 0)
                continue
            if method == "unit_range":
                expected = (valid - valid.min()) / np.ptp(valid)
            else:
                expected = (valid - valid.mean()) / valid.std()
            # Neighbouring float32 values at the magnitude of the data differ by this much.
            rounding = np.abs(valid).max() * 2.0**-23 / max(valid.std(), 1e-30)
            np.testing.assert_allclose(values[:count], expected, atol=1e-4 + 4 * rounding)


@given(spectrogram=spectrograms)
def test_normalize_each_bin(spectrogram):
    result = np.asarray(normalize(spectrogram, axes=(-2,)))
    is_varying = np.ptp(spectrogram, axis=1) > 0
    np.testing.assert_array_equal(result.min(axis=1), 0)
    np.testing.assert_allclose(result.max(axis=1), is_varying, rtol=2**-22)


@pytest.mark.parametrize("method", ["unit_range", "standard"])
@pytest.mark.parametrize("valid_frames", [0, 3])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e30])
def test_normalize_without_spread_is_zero_with_finite_gradient(method, valid_frames, value):
    mask = np.arange(5) < valid_frames

    def total(spectrogram):
        return (features.normalize(spectrogram, mask, method=method) ** 2).sum()

    constant = jnp.full((5, 4), value)
    assert total(constant) == 0
    assert bool(jnp.isfinite(jax.grad(total)(constant)).all())


def test_normalize_keeps_the_dtype_and_needs_no_mask():
    spectrogram = jnp.asarray(noise(4, 50, 40), jnp.bfloat16)
    result = normalize(spectrogram)
    assert result.dtype == jnp.bfloat16
    ones = np.ones((4, 50), bool)
    np.testing.assert_array_equal(result, features.normalize(spectrogram, ones))


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hop_samples": 0}, "hop_samples must be positive, found 0"),
        ({"window_samples": 0}, "window_samples must be positive, found 0"),
        ({"fft_size": 256}, r"window_samples must not exceed fft_size \(256\), found 400"),
        ({"window": "hat"}, "window must be one that scipy.signal.get_window knows, found 'hat'"),
        ({"window": ("kaiser",)}, "window must be one that scipy.signal.get_window knows"),
        ({"pad_mode": "edge"}, 'pad_mode must be "constant" or "reflect", found \'edge\''),
        ({"mel_scale": "bark"}, 'mel_scale must be "slaney" or "htk", found \'bark\''),
        ({"mel_norm": "area"}, "norm must be \"slaney\" or None, found 'area'"),
        ({"mel_bins": 0}, "must be positive, found 16000, 400 and 0"),
        ({"min_hz": 500.0, "max_hz": 500.0}, "min_hz < max_hz .* found 500 and 500"),
        ({"max_hz": 9000.0}, r"sample_rate / 2 \(8000 Hz\), found 0 and 9000"),
        ({"sample_rate": 0}, "must be positive, found 0, 400 and 128"),
        ({"log": "log2"}, 'log must be "db" or "natural", found \'log2\''),
        ({"floor": 0.0}, "floor must be positive and normal in float32, found 0.0"),
        ({"top_db": -1.0}, "top_db must not be negative, found -1.0"),
        ({"lengths": np.array([3])}, r"lengths must be integer of shape \(\) .* shape \(1,\)"),
        ({"lengths": np.array(3.0)}, r"lengths must be integer of shape \(\) .* float32"),
        ({"waveform": np.zeros(800, np.int16)}, r"waveform must be floating .* int16"),
        ({"waveform": np.float32(0)}, r"waveform must be floating .* shape \(\)"),
        ({"waveform": noise(0)}, r"at least 1 samples .* shape \(0,\)"),
        ({"waveform": noise(399), "center": False}, r"at least 400 samples .* shape \(399,\)"),
    ],
)
@without_type_checks()
def test_bad_arguments(arguments, message):
    arguments = {"waveform": noise(800), **arguments}
    with pytest.raises(InputError, match=message):
        features.log_mel_spectrogram(**arguments)


@without_type_checks()
def test_more_bad_arguments():
    with pytest.raises(InputError, match="power must be positive, found 0"):
        features.magnitude_spectrogram(noise(800), power=0)
    with pytest.raises(InputError, match=r"between 1 and mel_bins \(40\), found 41"):
        features.mfcc(noise(800), coefficients=41, mel_bins=40)
    with pytest.raises(
        InputError, match=r"power must be \[..., frames, bins\], found shape \(3,\)"
    ):
        features.log_power(np.ones(3, np.float32))
    with pytest.raises(InputError, match='method must be "unit_range" or "standard", found \'l2\''):
        features.normalize(noise(3, 4), method="l2")
    with pytest.raises(
        InputError, match=r"mask must be bool of shape \(3,\), found bool .* \(4,\)"
    ):
        features.normalize(noise(3, 4), np.ones(4, bool))
    with pytest.raises(InputError, match=r"spectrogram must be floating .* int32"):
        features.normalize(np.ones((3, 4), np.int32))

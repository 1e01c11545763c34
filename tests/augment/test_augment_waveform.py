import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from serjax.augment import add_noise, change_speed, gain, shift
from serjax.errors import InputError
from tests.helpers.type_checks import without_type_checks

SAMPLES = 600  # One size for all generated cases, so that each function is compiled once.

FUNCTIONS = {
    "add_noise": add_noise,
    "gain": lambda key, waveform, lengths: gain(key, waveform),
    "shift": lambda key, waveform, lengths: shift(key, waveform, lengths, largest_samples=50),
    "change_speed": lambda key, waveform, lengths: change_speed(key, waveform, lengths)[0],
}


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def padded(lengths, padding=0.0, seed: int = 0):
    lengths = np.array(lengths, np.int32)
    valid = np.arange(SAMPLES) < lengths[..., None]
    return np.where(valid, noise(*lengths.shape, SAMPLES, seed=seed), np.float32(padding))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_depend_on_the_key_and_examples_are_independent(key, name):
    function = FUNCTIONS[name]
    waveform = np.broadcast_to(noise(SAMPLES), (8, SAMPLES))
    lengths = np.full(8, SAMPLES, np.int32)
    result = np.asarray(function(key, waveform, lengths))
    np.testing.assert_array_equal(result, function(key, waveform, lengths))
    assert len({row.tobytes() for row in result}) >= 7  # two shifts may be the same
    assert (result != np.asarray(function(jax.random.key(1), waveform, lengths))).any()
    jitted = np.asarray(jax.jit(function)(key, waveform, lengths))
    np.testing.assert_allclose(jitted, result, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["add_noise", "shift", "change_speed"])
@pytest.mark.parametrize("padding", [0.9, np.nan])
def test_padding_has_no_influence(key, name, padding):
    lengths = np.array([[SAMPLES, 300, 1], [0, 17, 599]], np.int32)
    clean = FUNCTIONS[name](key, padded(lengths), lengths)
    dirty = FUNCTIONS[name](key, padded(lengths, padding), lengths)
    np.testing.assert_array_equal(clean, dirty)
    if name != "change_speed":
        assert not np.asarray(clean)[np.arange(SAMPLES) >= lengths[..., None]].any()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtype_is_float32_at_least(key, name, dtype, float64):
    result = FUNCTIONS[name](key, jnp.asarray(noise(2, SAMPLES), dtype), np.array([SAMPLES, 9]))
    assert result.dtype == (jnp.float32 if dtype == jnp.bfloat16 else dtype)


# --- Noise ---------------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.lists(st.integers(1, SAMPLES), min_size=3, max_size=3))
def test_signal_to_noise_ratio_is_exact_over_the_valid_samples(seed, lengths):
    waveform = padded(lengths, seed=seed)
    snr_db = (-5.0, 40.0)
    key = jax.random.key(seed)
    result = np.asarray(add_noise(key, waveform, np.array(lengths), snr_db=snr_db), np.float64)
    fixed = np.asarray(add_noise(key, waveform, np.array(lengths), snr_db=(7.0, 7.0)), np.float64)
    for row, seven, clean, length in zip(result, fixed, waveform, lengths, strict=True):
        power = np.mean(clean[:length].astype(np.float64) ** 2)
        ratio_db = 10 * np.log10(power / np.mean((row - clean)[:length] ** 2))
        assert snr_db[0] - 0.1 <= ratio_db <= snr_db[1] + 0.1
        ratio_db = 10 * np.log10(power / np.mean((seven - clean)[:length] ** 2))
        assert ratio_db == pytest.approx(7, abs=0.1)


def test_noise_is_white_and_normal_and_its_ratio_uniform(key):
    waveform = np.broadcast_to(noise(SAMPLES), (2000, SAMPLES))
    added = np.asarray(add_noise(key, waveform, snr_db=(0.0, 20.0)) - waveform, np.float64)
    ratio = 10 * np.log10(np.mean(waveform[0] ** 2) / np.mean(added**2, axis=1))
    assert scipy.stats.kstest(ratio / 20, "uniform").pvalue > 1e-4
    white = added / added.std(axis=1, keepdims=True)
    assert scipy.stats.kstest(white[:20].ravel(), "norm").pvalue > 1e-4
    assert abs(np.mean(white[:, 1:] * white[:, :-1])) < 5 / np.sqrt(white.size)


def test_no_noise_is_added_to_silence(key):
    assert not np.asarray(add_noise(key, np.zeros((2, 50), np.float32))).any()
    assert not np.asarray(add_noise(key, noise(1, 50), np.array([0]))).any()


def test_probability_selects_the_noisy_examples(key):
    waveform = np.broadcast_to(noise(SAMPLES), (2000, SAMPLES))
    result = np.asarray(add_noise(key, waveform, probability=0.3))
    changed = (result != waveform).any(axis=1)
    assert scipy.stats.binomtest(int(changed.sum()), 2000, 0.3).pvalue > 1e-4
    np.testing.assert_array_equal(result[changed], np.asarray(add_noise(key, waveform))[changed])
    np.testing.assert_array_equal(add_noise(key, waveform, probability=0.0), waveform)


# --- Gain, shift, speed --------------------------------------------------------------------------


def test_gain_is_one_factor_in_its_range(key):
    waveform = noise(2000, 5)
    ratio = np.asarray(gain(key, waveform, gain_db=(-6.0, 12.0))) / waveform
    decibels = 20 * np.log10(ratio)
    np.testing.assert_allclose(decibels, decibels[:, :1].repeat(5, 1), atol=1e-4)
    assert scipy.stats.kstest((decibels[:, 0] + 6) / 18, "uniform").pvalue > 1e-4


def test_shifts_are_uniform_cyclic_shifts_of_the_valid_samples(key):
    lengths = np.tile(np.array([40, 7, 1, 0], np.int32), 1000)
    waveform = noise(len(lengths), 50)
    result = np.asarray(shift(key, waveform, lengths, largest_samples=3))
    shifts = []
    for row, before, length in zip(result, waveform, lengths, strict=True):
        rolled = [np.roll(before[:length], by) for by in range(-3, 4)]
        matches = [i for i, r in enumerate(rolled) if np.array_equal(r, row[:length])]
        assert matches
        assert not row[length:].any()
        shifts.extend(matches if length == 40 else [])
    assert scipy.stats.chisquare(np.bincount(shifts, minlength=7)).pvalue > 1e-4


@given(st.sampled_from([0.5, 0.9, 0.917, 1.0, 1.1, 1.5, 2.0]), st.integers(0, SAMPLES))
def test_speed_equals_numpys_interpolation(factor, length):
    waveform = padded([length])
    key = jax.random.key(0)
    result, new = change_speed(key, waveform, np.array([length]), factors=(factor, factor))
    positions = np.arange(SAMPLES) * round(1000 * factor) / 1000
    positions = positions[positions <= length - 1]
    assert new.tolist() == [len(positions)]
    expected = np.interp(positions, np.arange(SAMPLES), waveform[0]) if length else []
    np.testing.assert_allclose(result[0, : len(positions)], expected, atol=1e-6)
    assert not np.asarray(result[0, len(positions) :]).any()


def test_speed_changes_the_frequency_of_a_tone(key):
    """A tone of 800 Hz becomes one of 1000 Hz at 1.25 times the speed."""
    rate, samples = 16_000, 4_000
    tone = np.sin(2 * np.pi * 800 * np.arange(samples) / rate).astype(np.float32)
    result, length = change_speed(key, tone, factors=(1.25, 1.25))
    assert length == 3_200
    spectrum = np.abs(np.fft.rfft(np.asarray(result)[:3_200]))
    assert spectrum.argmax() * rate / 3_200 == 1_000


def test_speeds_are_uniform(key):
    waveform = np.ones((3000, SAMPLES), np.float32)
    _, lengths = change_speed(key, waveform, np.full(3000, 400), factors=(0.8, 1.25))
    counted = np.array([int(399 * 1000 // k) + 1 for k in range(800, 1251)])
    probabilities = np.bincount(counted) / len(counted)
    observed = np.bincount(np.asarray(lengths), minlength=len(probabilities))
    likely = probabilities > 0
    assert not observed[~likely].any()
    test = scipy.stats.chisquare(observed[likely], 3000 * probabilities[likely])
    assert test.pvalue > 1e-4


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k, x: add_noise(k, x, snr_db=(3.0, 1.0)), "snr_db: .* low <= high, found 3.0, 1.0"),
        (lambda k, x: add_noise(k, x, snr_db=(0.0, np.inf)), "snr_db: expected two numbers"),
        (lambda k, x: add_noise(k, x, probability=-0.1), r"in \[0, 1\], found -0.1"),
        (lambda k, x: gain(k, x, gain_db=(np.nan, 1.0)), "gain_db: expected two numbers"),
        (lambda k, x: shift(k, x, largest_samples=-1), "at least 0, found -1"),
        (lambda k, x: change_speed(k, x, factors=(0.0, 1.0)), "factors: .* 0 < low <= high, found"),
        (lambda k, x: change_speed(k, x, factors=(1e7, 1e7)), "expected fewer than 0 samples"),
        (lambda k, x: shift(k, x[:, :0]), r"at least one sample, found shape \(2, 0\)"),
    ],
)
def test_bad_arguments(key, call, message):
    with without_type_checks(), pytest.raises(InputError, match=message):
        call(key, noise(2, 10))


def test_bad_shapes(key):
    for function in (add_noise, shift, change_speed):
        with (
            without_type_checks(),
            pytest.raises(InputError, match=r"lengths must be integer of shape \(2,\)"),
        ):
            function(key, noise(2, 10), np.array([1, 2, 3]))
    for function in (add_noise, gain, shift, change_speed):
        with without_type_checks(), pytest.raises(InputError, match="waveform must be floating"):
            function(key, np.ones(10, np.int16))

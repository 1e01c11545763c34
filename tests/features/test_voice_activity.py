"""Removal of silence, and voicing decisions, against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serjax.errors import InputError
from serjax.features.voice_activity import remove_silence, voiced_chunks, voiced_frames
from tests.helpers import reference
from tests.helpers.type_checks import without_type_checks

RATE = 16_000
SAMPLES = 2_000  # One size for all random signals, so that each function is compiled once.
BLOCK = 64

remove = jax.jit(remove_silence, static_argnames=("threshold", "block_samples"))
voiced = jax.jit(voiced_frames, static_argnames=("block_samples", "sample_rate"))
chunked = jax.jit(voiced_chunks, static_argnames=("chunk_samples", "block_samples"))


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Samples noise that is never weaker than a third of its peak."""
    rng = np.random.default_rng(seed)
    sign = rng.choice([-1.0, 1.0], samples)
    return (sign * rng.uniform(0.3, 0.9, samples)).astype(np.float32)


def vowel(samples: int, hz: float = 120.0) -> np.ndarray:
    """Synthesizes harmonics that fall by 12 dB per octave, like those of vocal folds."""
    time = np.arange(samples) / RATE
    harmonics = sum(np.sin(2 * np.pi * hz * k * time + k * k) / k**2 for k in range(1, 20))
    return (0.3 * harmonics).astype(np.float32)


def alternating(seed: int, length: int) -> np.ndarray:
    """Alternates noise and pauses of random lengths and levels; a pause is weak or zero."""
    rng = np.random.default_rng(seed)
    waveform, position = noise(length, seed), 0
    while position < length:
        step = int(rng.integers(1, 400))
        waveform[position : position + step] *= rng.choice([1.0, 0.5, 0.03, 0.003, 0.0])
        position += step
    return waveform


def padded(waveforms, samples: int = SAMPLES, past_the_end: float = 0.0):
    batch = np.full((len(waveforms), samples), past_the_end, np.float32)
    for row, waveform in zip(batch, waveforms, strict=True):
        row[: len(waveform)] = waveform
    return batch, np.array([len(w) for w in waveforms], np.int32)


signals = st.builds(alternating, st.integers(0, 2**31), st.integers(1, SAMPLES))


# --- Removal of silence --------------------------------------------------------------------------


@given(signals)
def test_removal_equals_its_definition(waveform):
    batch, lengths = padded([waveform])
    result, new_lengths = remove(batch, lengths, block_samples=BLOCK)
    expected = reference.non_silent_samples(waveform, 0.03, BLOCK)
    assert new_lengths.tolist() == [len(expected)]
    np.testing.assert_array_equal(result[0, : len(expected)], expected)
    assert not np.asarray(result[0, len(expected) :]).any()


@given(st.lists(signals, min_size=3, max_size=3), st.sampled_from([0.0, 0.9, np.nan]))
def test_padding_and_batch_do_not_change_an_utterance(waveforms, past_the_end):
    """Samples past the end are neither a peak that hides an utterance nor its silence."""
    result, new_lengths = remove(*padded(waveforms, past_the_end=past_the_end), block_samples=BLOCK)
    for waveform, row, length in zip(waveforms, np.asarray(result), new_lengths, strict=True):
        expected, expected_length = remove(*padded([waveform]), block_samples=BLOCK)
        assert expected_length[0] == length <= len(waveform)
        np.testing.assert_array_equal(row, expected[0])


@given(st.integers(0, 2**31), st.integers(0, 12), st.integers(1, 12), st.integers(0, 12))
def test_blocks_of_zeros_are_all_removed(seed, before, inside, after):
    first, second = noise(3 * BLOCK, seed), noise(2 * BLOCK, seed + 1)
    pauses = [np.zeros(count * BLOCK, np.float32) for count in (before, inside, after)]
    waveform = np.concatenate([pauses[0], first, pauses[1], second, pauses[2]])
    result, new_lengths = remove(*padded([waveform], 48 * BLOCK), block_samples=BLOCK)
    assert new_lengths.tolist() == [5 * BLOCK]
    np.testing.assert_array_equal(result[0, : 5 * BLOCK], np.concatenate([first, second]))


@given(st.integers(0, 2**31), st.integers(1, SAMPLES))
def test_a_signal_without_pauses_does_not_change(seed, length):
    waveform = noise(length, seed)
    result, new_lengths = remove(*padded([waveform]), block_samples=BLOCK)
    assert new_lengths.tolist() == [length]
    np.testing.assert_array_equal(result[0, :length], waveform)


@given(signals, st.integers(-12, 12))
def test_loudness_does_not_change_the_result(waveform, octaves):
    batch, lengths = padded([waveform])
    result, new_lengths = remove(batch, lengths, block_samples=BLOCK)
    scaled, scaled_lengths = remove(batch * np.float32(2.0**octaves), lengths, block_samples=BLOCK)
    assert new_lengths == scaled_lengths
    np.testing.assert_array_equal(scaled, result * np.float32(2.0**octaves))


@given(signals, st.floats(-0.5, 0.5, width=16))
def test_offset_does_not_change_the_result(waveform, offset):
    # On a grid of 16 bits, on which sums are exact.
    waveform = np.round(waveform * 2**15).astype(np.float32) / 2**15
    result, lengths = remove(*padded([waveform]), block_samples=BLOCK)
    shifted, shifted_lengths = remove(*padded([waveform + np.float32(offset)]), block_samples=BLOCK)
    length = int(lengths[0])
    assert shifted_lengths == lengths
    np.testing.assert_array_equal(shifted[0, :length] - np.float32(offset), result[0, :length])


@given(signals)
def test_removal_twice_equals_removal_once(waveform):
    once = remove(*padded([waveform]), block_samples=BLOCK)
    twice = remove(*once, block_samples=BLOCK)
    np.testing.assert_array_equal(once[0], twice[0])
    assert once[1] == twice[1]


@pytest.mark.parametrize("length", [0, 1, 100, SAMPLES])
def test_an_utterance_of_zeros_does_not_change(length):
    result, new_lengths = remove(np.zeros((1, SAMPLES), np.float32), np.array([length]))
    assert new_lengths.tolist() == [length]
    assert not np.asarray(result).any()


def test_removal_with_any_batch_shape_jitted_and_eager():
    waveform = np.stack([alternating(seed, SAMPLES) for seed in range(6)]).reshape(2, 3, SAMPLES)
    lengths = np.array([[SAMPLES, 1_500, 900], [333, 1, 0]], np.int32)
    eager, eager_lengths = remove_silence(waveform, lengths)
    jitted, jitted_lengths = remove(waveform, lengths)
    assert eager.shape == waveform.shape
    assert eager_lengths.shape == lengths.shape
    np.testing.assert_array_equal(eager, jitted)
    np.testing.assert_array_equal(eager_lengths, jitted_lengths)
    single, length = remove(waveform[0, 0])
    np.testing.assert_array_equal(single, eager[0, 0])
    assert length == eager_lengths[0, 0]


def test_removal_in_other_precisions(float64):
    waveform = alternating(0, SAMPLES)
    assert remove_silence(jnp.asarray(waveform, jnp.float64))[0].dtype == jnp.float64
    assert remove_silence(jnp.asarray(waveform, jnp.bfloat16))[0].dtype == jnp.float32


# --- Voiced speech -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_voicing_equals_its_definition(seed):
    rng = np.random.default_rng(seed)
    sounds = [vowel(900, 90 + 60 * seed), noise(700, seed) / 2, vowel(800) / 40, vowel(600) / 9]
    waveform = np.concatenate(sounds) + rng.normal(0, 0.003, 3_000).astype(np.float32)
    margin = reference.voicing(waveform.astype(np.float64), 160, RATE, 75, 500, 0.03, 0.45)
    is_clear = np.abs(margin) > 1e-4  # rounding cannot change the decision
    assert is_clear.sum() > 0.9 * len(margin)
    assert 0 < (margin > 0).sum() < len(margin)
    np.testing.assert_array_equal(np.asarray(voiced(waveform))[is_clear], (margin > 0)[is_clear])


@pytest.mark.parametrize("hz", [80, 120, 200, 320, 480])
def test_vowels_are_voiced_and_noise_and_pauses_are_not(hz):
    pause = np.zeros(3_200, np.float32)
    hiss = np.random.default_rng(0).normal(0, 0.1, 3_200).astype(np.float32)
    waveform = np.concatenate([pause, vowel(3_200, hz), pause, hiss, pause])
    result = np.asarray(voiced(waveform)).reshape(5, 20)
    # At the borders, the 40 ms windows of 10 ms blocks reach into the neighbours.
    assert result[1, 1:-1].all()
    assert not result[[0, 2, 3, 4], 2:-2].any()


def test_voicing_does_not_depend_on_padding_or_batch():
    waveforms = [np.concatenate([vowel(n), noise(500, n) / 3]) for n in (300, 900, 1_500)]
    for past_the_end in (0.0, 0.9, np.nan):
        batch, lengths = padded(waveforms, past_the_end=past_the_end)
        result = np.asarray(voiced(batch, lengths))
        for waveform, row in zip(waveforms, result, strict=True):
            expected = np.asarray(voiced(waveform))
            np.testing.assert_array_equal(row[: len(expected)], expected)
            assert not row[len(expected) :].any()
    np.testing.assert_array_equal(result, voiced_frames(batch, lengths))


@pytest.mark.parametrize("level", [1e-5, 0.01, 1.0])
@pytest.mark.parametrize("offset", [0.0, 0.3, -2.0])
def test_voicing_does_not_depend_on_level_or_offset(level, offset):
    waveform = np.concatenate([vowel(900), noise(700) / 2, np.zeros(500), vowel(800) / 40])
    changed = np.float32(level) * (waveform + np.float32(offset))
    np.testing.assert_array_equal(voiced(changed), voiced(waveform.astype(np.float32)))


@pytest.mark.parametrize("value", [0.0, 0.1, -0.7])
def test_silence_is_not_voiced(value):
    assert not np.asarray(voiced(np.full((2, SAMPLES), value, np.float32))).any()


def test_chunks_are_the_voiced_samples_in_order():
    """Chunks have 30 ms at 16 kHz (Kapoor & Kumar), and a remainder is dropped."""
    pause = np.zeros(1_600, np.float32)
    waveform = np.concatenate([pause, vowel(2_000), pause, vowel(1_111, 200), pause])
    is_voiced = np.repeat(np.asarray(voiced(waveform)), 160)[: len(waveform)]
    expected = waveform[is_voiced]
    count = len(expected) // 480
    assert count >= 5
    chunks, is_valid = chunked(waveform)
    assert chunks.shape == (len(waveform) // 480, 480)
    assert is_valid.tolist() == [i < count for i in range(len(waveform) // 480)]
    np.testing.assert_array_equal(chunks[:count].ravel(), expected[: count * 480])
    assert not np.asarray(chunks[count:]).any()


def test_chunks_of_a_batch_jitted_and_eager():
    waveforms = [vowel(1_900), np.zeros(1_000, np.float32), vowel(700)]
    batch, lengths = padded(waveforms)
    chunks, is_valid = chunked(batch, lengths)
    eager, eager_is_valid = voiced_chunks(batch, lengths)
    np.testing.assert_array_equal(chunks, eager)
    np.testing.assert_array_equal(is_valid, eager_is_valid)
    assert is_valid.sum(axis=1).tolist() == [3, 0, 1]
    for row, mask, waveform in zip(chunks, is_valid, waveforms, strict=True):
        expected, expected_mask = chunked(waveform)
        np.testing.assert_array_equal(row[mask], expected[expected_mask])


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (remove_silence, {"threshold": 1.5}, r"threshold: expected .* in \[0, 1\], found 1.5"),
        (remove_silence, {"block_samples": 0}, "block_samples: expected at least 1, found 0"),
        (voiced_frames, {"silence_threshold": 0.0}, "expected more than 0, found 0.0"),
        (voiced_frames, {"voicing_threshold": -1}, r"expected a value in \[0, 1\], found -1"),
        (voiced_frames, {"max_hz": 9e3}, r"max_hz <= 8000.0, .* found min_hz 75.0 and max_hz 9000"),
        (
            voiced_frames,
            {"block_samples": 641},
            "block_samples: expected at most 640, .* found 641",
        ),
        (voiced_chunks, {"chunk_samples": 1001}, r"in \[1, 1000\], .* found 1001"),
    ],
)
@without_type_checks()
def test_bad_arguments(function, options, message):
    with pytest.raises(InputError, match=message):
        function(noise(1_000), **options)


@pytest.mark.parametrize("function", [remove_silence, voiced_frames, voiced_chunks])
@without_type_checks()
def test_bad_shapes(function):
    with pytest.raises(InputError, match=r"expected at least one sample, found shape \(2, 0\)"):
        function(np.zeros((2, 0), np.float32))
    with pytest.raises(InputError, match=r"lengths must be integer of shape \(2,\)"):
        function(np.zeros((2, 100), np.float32), np.array([3]))
    with pytest.raises(InputError, match=r"waveform must be floating .* found int16"):
        function(np.zeros(100, np.int16))

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
SAMPLES = 2_000  # One size for all drawn signals, so that each function is compiled once.
BLOCK = 64

remove = jax.jit(remove_silence, static_argnames=("threshold", "block_samples"))
voiced = jax.jit(voiced_frames, static_argnames=("block_samples", "sample_rate"))
chunked = jax.jit(voiced_chunks, static_argnames=("chunk_samples", "block_samples"))


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Never weaker than a third of its peak."""
    rng = np.random.default_rng(seed)
    sign = rng.choice([-1.0, 1.0], samples)
    return (sign * rng.uniform(0.3, 0.9, samples)).astype(np.float32)


def vowel(samples: int, hz: float = 120.0) -> np.ndarray:
    """A buzz of harmonics that fall by 12 dB an octave, as of vocal folds."""
    time = np.arange(samples) / RATE
    harmonics = sum(np.sin(2 * np.pi * hz * k * time + k * k) / k**2 for k in range(1, 20))
    return (0.3 * harmonics).astype(np.float32)


def alternating(seed: int, length: int) -> np.ndarray:
    """Sound and pauses of random lengths and levels; a pause is weak, or nothing at all."""
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
    result, new = remove(batch, lengths, block_samples=BLOCK)
    expected = reference.sounding_samples(waveform, 0.03, BLOCK)
    assert new.tolist() == [len(expected)]
    np.testing.assert_array_equal(result[0, : len(expected)], expected)
    assert not np.asarray(result[0, len(expected) :]).any()


@given(st.lists(signals, min_size=3, max_size=3), st.sampled_from([0.0, 0.9, np.nan]))
def test_a_batch_is_its_utterances_and_padding_is_neither(waveforms, past_the_end):
    """What lies past the end is no peak that hides an utterance, and no silence of it."""
    result, new = remove(*padded(waveforms, past_the_end=past_the_end), block_samples=BLOCK)
    for waveform, row, length in zip(waveforms, np.asarray(result), new, strict=True):
        alone, one = remove(*padded([waveform]), block_samples=BLOCK)
        assert one[0] == length <= len(waveform)
        np.testing.assert_array_equal(row, alone[0])


@given(st.integers(0, 2**31), st.integers(0, 12), st.integers(1, 12), st.integers(0, 12))
def test_blocks_of_zeros_are_all_removed(seed, before, inside, after):
    first, second = noise(3 * BLOCK, seed), noise(2 * BLOCK, seed + 1)
    pauses = [np.zeros(count * BLOCK, np.float32) for count in (before, inside, after)]
    waveform = np.concatenate([pauses[0], first, pauses[1], second, pauses[2]])
    result, new = remove(*padded([waveform], 48 * BLOCK), block_samples=BLOCK)
    assert new.tolist() == [5 * BLOCK]
    np.testing.assert_array_equal(result[0, : 5 * BLOCK], np.concatenate([first, second]))


@given(st.integers(0, 2**31), st.integers(1, SAMPLES))
def test_a_signal_without_pauses_is_kept(seed, length):
    waveform = noise(length, seed)
    result, new = remove(*padded([waveform]), block_samples=BLOCK)
    assert new.tolist() == [length]
    np.testing.assert_array_equal(result[0, :length], waveform)


@given(signals, st.integers(-12, 12))
def test_loudness_does_not_matter(waveform, octaves):
    batch, lengths = padded([waveform])
    result, new = remove(batch, lengths, block_samples=BLOCK)
    scaled, same = remove(batch * np.float32(2.0**octaves), lengths, block_samples=BLOCK)
    assert new == same
    np.testing.assert_array_equal(scaled, result * np.float32(2.0**octaves))


@given(signals)
def test_removal_twice_is_removal_once(waveform):
    once = remove(*padded([waveform]), block_samples=BLOCK)
    twice = remove(*once, block_samples=BLOCK)
    np.testing.assert_array_equal(once[0], twice[0])
    assert once[1] == twice[1]


@pytest.mark.parametrize("length", [0, 1, 100, SAMPLES])
def test_an_utterance_without_sound_stays_as_it_is(length):
    result, new = remove(np.zeros((1, SAMPLES), np.float32), np.array([length]))
    assert new.tolist() == [length]
    assert not np.asarray(result).any()


def test_removal_of_any_leading_shape_jitted_and_eager():
    waveform = np.stack([alternating(seed, SAMPLES) for seed in range(6)]).reshape(2, 3, SAMPLES)
    lengths = np.array([[SAMPLES, 1_500, 900], [333, 1, 0]], np.int32)
    eager, new = remove_silence(waveform, lengths)
    jitted, same = remove(waveform, lengths)
    assert eager.shape == waveform.shape
    assert new.shape == lengths.shape
    np.testing.assert_array_equal(eager, jitted)
    np.testing.assert_array_equal(new, same)
    single, length = remove(waveform[0, 0])
    np.testing.assert_array_equal(single, eager[0, 0])
    assert length == new[0, 0]


def test_removal_in_other_precisions(float64):
    waveform = alternating(0, SAMPLES)
    assert remove_silence(jnp.asarray(waveform, jnp.float64))[0].dtype == jnp.float64
    assert remove_silence(jnp.asarray(waveform, jnp.bfloat16))[0].dtype == jnp.float32


# --- Voiced speech -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_voicing_equals_its_definition(seed):
    rng = np.random.default_rng(seed)
    parts = [vowel(900, 90 + 60 * seed), noise(700, seed) / 2, vowel(800) / 40, vowel(600) / 9]
    waveform = np.concatenate(parts) + rng.normal(0, 0.003, 3_000).astype(np.float32)
    margin = reference.voicing(waveform.astype(np.float64), 160, RATE, 75, 500, 0.03, 0.45)
    clear = np.abs(margin) > 1e-4  # where rounding cannot decide
    assert clear.sum() > 0.9 * len(margin)
    assert 0 < (margin > 0).sum() < len(margin)
    np.testing.assert_array_equal(np.asarray(voiced(waveform))[clear], (margin > 0)[clear])


@pytest.mark.parametrize("hz", [80, 120, 200, 320, 480])
def test_vowels_are_voiced_and_noise_and_pauses_are_not(hz):
    pause = np.zeros(3_200, np.float32)
    hiss = np.random.default_rng(0).normal(0, 0.1, 3_200).astype(np.float32)
    waveform = np.concatenate([pause, vowel(3_200, hz), pause, hiss, pause])
    result = np.asarray(voiced(waveform)).reshape(5, 20)
    # At the borders, 10 ms blocks share their 40 ms windows with the neighbours.
    assert result[1, 1:-1].all()
    assert not result[[0, 2, 3, 4], 2:-2].any()


def test_voicing_does_not_depend_on_padding_or_batch():
    waveforms = [np.concatenate([vowel(n), noise(500, n) / 3]) for n in (300, 900, 1_500)]
    for past_the_end in (0.0, 0.9, np.nan):
        batch, lengths = padded(waveforms, past_the_end=past_the_end)
        result = np.asarray(voiced(batch, lengths))
        for waveform, row in zip(waveforms, result, strict=True):
            alone = np.asarray(voiced(waveform))
            np.testing.assert_array_equal(row[: len(alone)], alone)
            assert not row[len(alone) :].any()
    np.testing.assert_array_equal(result, voiced_frames(batch, lengths))


def test_silence_is_not_voiced():
    assert not np.asarray(voiced(np.zeros((2, SAMPLES), np.float32))).any()


def test_chunks_are_the_voiced_samples_in_order():
    """30 ms of 16 kHz (Kapoor & Kumar); what is left over is dropped."""
    pause = np.zeros(1_600, np.float32)
    waveform = np.concatenate([pause, vowel(2_000), pause, vowel(1_111, 200), pause])
    marks = np.repeat(np.asarray(voiced(waveform)), 160)[: len(waveform)]
    expected = waveform[marks]
    count = len(expected) // 480
    assert count >= 5
    chunks, real = chunked(waveform)
    assert chunks.shape == (len(waveform) // 480, 480)
    assert real.tolist() == [i < count for i in range(len(waveform) // 480)]
    np.testing.assert_array_equal(chunks[:count].ravel(), expected[: count * 480])
    assert not np.asarray(chunks[count:]).any()


def test_chunks_of_a_batch_jitted_and_eager():
    waveforms = [vowel(1_900), np.zeros(1_000, np.float32), vowel(700)]
    batch, lengths = padded(waveforms)
    chunks, real = chunked(batch, lengths)
    eager, same = voiced_chunks(batch, lengths)
    np.testing.assert_array_equal(chunks, eager)
    np.testing.assert_array_equal(real, same)
    assert real.sum(axis=1).tolist() == [3, 0, 1]
    for row, mask, waveform in zip(chunks, real, waveforms, strict=True):
        alone, marks = chunked(waveform)
        np.testing.assert_array_equal(row[mask], alone[marks])


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

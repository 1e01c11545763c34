"""Waveforms packed for the device, cut into segments, and shuffled into batches."""

import itertools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serjax.data import batches
from serjax.errors import InputError

lengths_strategy = st.integers(1, 2000)


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, length).astype(np.float32)


# --- Segments ------------------------------------------------------------------------------------


@given(length=lengths_strategy, longest=st.integers(1, 600))
def test_segments_cover_an_utterance_and_their_number_is_minimal(length, longest):
    starts = batches.segment_starts(length, longest)
    ends = [min(start + longest, length) for start in starts]
    covered = set(itertools.chain(*map(range, starts, ends)))
    assert covered == set(range(length))
    assert longest * (len(starts) - 1) < length
    if len(starts) > 1:  # full segments, evenly spread
        assert all(end - start == longest for start, end in zip(starts, ends, strict=True))
        steps = np.diff(starts)
        assert steps.max() - steps.min() <= 1


def test_an_utterance_without_a_sample_is_one_segment():
    assert batches.segment_starts(0, 100) == [0]


# --- Packing -------------------------------------------------------------------------------------


@given(
    lengths=st.lists(lengths_strategy, min_size=1, max_size=6),
    longest=st.integers(50, 600),
    data=st.data(),
)
def test_packed_examples_are_segments_of_their_waveforms(lengths, longest, data):
    waveforms = [noise(length, seed) for seed, length in enumerate(lengths)]
    labels = [data.draw(st.integers(0, 3)) for _ in lengths]
    examples = batches.pack(waveforms, labels, longest, room=longest)
    fields = (examples.start, examples.length, examples.label, examples.utterance)
    assert all(field.dtype == np.int32 and field.shape == (len(examples),) for field in fields)

    cut = np.asarray(batches.cut(examples.samples, examples.start, examples.length, longest))
    for index, waveform in enumerate(waveforms):
        rows = np.flatnonzero(examples.utterance == index)
        starts = batches.segment_starts(len(waveform), longest)
        assert len(rows) == len(starts)
        for row, start in zip(rows, starts, strict=True):
            expected = np.zeros(longest, np.float32)
            segment = waveform[start : start + longest]
            samples, gain = batches.amplified(waveform)
            expected[: len(segment)] = samples[start : start + longest] / 32768
            np.testing.assert_array_equal(cut[row], expected)
            # Half a quantum of 16 bits, another one of the offset, and what is clipped.
            offset = waveform.mean(dtype=np.float64)
            clipped = max(np.abs(waveform - offset).max() * gain - 1, 0)
            restored = expected[: len(segment)] + gain * offset
            tolerance = clipped + 1.00001 / 32768
            np.testing.assert_allclose(restored, gain * segment, rtol=0, atol=tolerance)
            assert clipped < 1e-3
            assert examples.gain[row] == gain


def test_sixteen_bit_recordings_are_stored_exactly():
    recorded = np.arange(-32768, 32768).astype(np.int16)
    waveform = recorded.astype(np.float32) / 32768  # as libsndfile and librosa read them
    examples = batches.pack([waveform], [0], len(waveform), room=0)
    np.testing.assert_array_equal(examples.samples[: len(recorded)], recorded)
    assert examples.samples.dtype == np.int16


def test_full_scale_is_clipped_and_does_not_wrap_around():
    waveform = np.array([1.0, 0.5, -1.0, -0.5, 0.0], np.float32)
    for samples in (batches.to_int16(waveform), batches.amplified(waveform)[0]):
        np.testing.assert_array_equal(samples, [32767, 16384, -32768, -16384, 0])
    np.testing.assert_array_equal(batches.to_int16(2 * waveform)[:3], [32767, 32767, -32768])
    samples, gain = batches.amplified(1.5 * waveform)
    np.testing.assert_array_equal(samples, [24576, 12288, -24576, -12288, 0])
    assert gain == 0.5


@given(st.integers(0, 2**31), st.integers(1, 15), st.integers(-(2**14), 2**14))
def test_sixteen_bits_are_kept_at_any_level_and_offset(seed, bits, offset):
    """Differences of samples are exact; a quiet recording had few bits left."""
    generator = np.random.default_rng(seed)
    recorded = generator.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), 300)
    waveform = ((recorded + offset) / 32768).astype(np.float32)
    samples, gain = batches.amplified(waveform)
    np.testing.assert_array_equal(np.diff(samples.astype(int)), np.diff(recorded) * gain)
    if np.ptp(recorded):
        assert np.abs(samples.astype(int)).max() > 2**14 - 2
        assert abs(samples.mean()) <= 0.5
    for octave in (-20, -3, 3):
        other, _ = batches.amplified(waveform * np.float32(2.0**octave))
        np.testing.assert_array_equal(other, samples)
    restored = batches.from_int16(samples) / np.float32(gain)
    np.testing.assert_array_equal(batches.amplified(restored)[0], samples)


@pytest.mark.parametrize("level", [1e-7, 1e-4, 0.03, 1.0, 1.9])
@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_error_of_rounding_is_relative_to_the_level(level, offset):
    waveform = noise(5_000) * np.float64(level)
    exact = waveform - waveform.mean()
    samples, gain = batches.amplified((waveform + offset * level).astype(np.float32))
    assert np.abs(batches.from_int16(samples) / gain - exact).max() < 1e-4 * np.abs(exact).max()


@pytest.mark.parametrize("value", [0.0, 1e-13, 0.25, -1.0])
def test_constant_waveform_is_silence(value):
    samples, gain = batches.amplified(np.full(100, value, np.float32))
    assert gain == 1
    assert not samples.any()


@pytest.mark.parametrize("room", [0, 7, 2**20])
def test_room_for_the_longest_cut_follows_the_last_sample(room):
    examples = batches.pack([noise(300)], [0], longest=300, room=room)
    assert len(examples.samples) >= 300 + room
    assert len(examples.samples) % 2**20 == 0
    assert not examples.samples[300:].any()


def test_more_samples_than_positions_are_refused():
    endless = np.broadcast_to(np.float32(0), 2**31)  # takes no memory
    with pytest.raises(InputError, match=r"expected fewer than 2\^31 samples .* found 21474"):
        batches.pack([endless], [0], longest=100, room=0)


@pytest.mark.parametrize(
    ("lengths", "most", "size"),
    [
        ([10], 480, 480),
        ([8192, 3], 64_000, 8192),
        ([8193], 64_000, 16_384),
        ([99, 60_000], 60_000, 60_000),
    ],
)
def test_batches_are_padded_to_the_longest_segment(lengths, most, size):
    waveforms = [noise(length) for length in lengths]
    examples = batches.pack(waveforms, [0] * len(lengths), most, room=most)
    assert examples.longest == size
    # The size is a shape: it does not become an array on a device.
    assert jax.device_put(examples).longest == size


# --- Cuts and selections -------------------------------------------------------------------------


def test_cut_is_zero_past_the_length_and_in_empty_entries():
    samples = np.arange(1, 101, dtype=np.int16) * 256
    start, length = np.array([0, 90, 40], np.int32), np.array([10, 4, 0], np.int32)
    expected = np.zeros((3, 10), np.float32)
    expected[0] = np.arange(1, 11) / 128
    expected[1, :4] = np.arange(91, 95) / 128
    for cut in (batches.cut, jax.jit(batches.cut, static_argnums=3)):
        np.testing.assert_array_equal(cut(samples, start, length, 10), expected)


def test_select_marks_empty_entries():
    table = np.array([[5, 30, 1], [40, 20, 2], [70, 10, 0]], np.int32).T
    utterance = np.arange(3, dtype=np.int32)
    examples = batches.Examples(np.zeros(100, np.int16), *table, utterance, longest=30)
    indices = np.array([2, -1, 0, -1], np.int32)
    for select in (batches.select, jax.jit(batches.select)):
        start, length, label, weight = select(jax.device_put(examples), jax.device_put(indices))
        assert weight.dtype == np.float32
        np.testing.assert_array_equal(weight, [1, 0, 1, 0])
        np.testing.assert_array_equal(length, [10, 0, 30, 0])
        np.testing.assert_array_equal(start[np.array([0, 2])], [70, 5])
        np.testing.assert_array_equal(label[np.array([0, 2])], [0, 1])


# --- Order ---------------------------------------------------------------------------------------

indices_strategy = st.sets(st.integers(0, 99), min_size=1, max_size=30).map(
    lambda indices: np.array(sorted(indices), np.int32)
)


@given(indices=indices_strategy, batch_size=st.integers(1, 12), seed=st.integers(0, 9))
def test_an_epoch_has_every_example_once(indices, batch_size, seed):
    order = batches.epoch_order(jax.random.key(seed), indices, batch_size)
    assert order.dtype == np.int32
    assert order.shape == (-(-len(indices) // batch_size), batch_size)
    flat = order.ravel()
    assert sorted(flat[: len(indices)]) == indices.tolist()
    assert (flat[len(indices) :] == -1).all()
    again = batches.epoch_order(jax.random.key(seed), indices, batch_size)
    np.testing.assert_array_equal(order, again)


def test_order_depends_on_the_key(key):
    indices = np.arange(40, dtype=np.int32)
    orders = {
        tuple(batches.epoch_order(jax.random.fold_in(key, epoch), indices, 8).ravel().tolist())
        for epoch in range(10)
    }
    assert len(orders) == 10
    assert tuple(range(40)) not in orders


@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=30),
    batch_size=st.integers(1, 6),
    data=st.data(),
)
def test_evaluation_batches_have_every_example_once_at_the_smallest_size(lengths, batch_size, data):
    lengths = np.array(lengths, np.int32)
    sizes = batches.length_sizes(int(lengths.max()), shortest=60)
    chosen = data.draw(st.sets(st.integers(0, len(lengths) - 1), min_size=1))
    indices = np.array(sorted(chosen))
    seen: dict[int, list[int]] = {size: [] for size in sizes}
    batch_count = 0
    for batch, size in batches.evaluation_batches(lengths, indices, batch_size, sizes):
        assert batch.dtype == np.int32
        assert batch.shape == (batch_size,)
        valid = batch[batch >= 0]
        assert len(valid) >= 1
        np.testing.assert_array_equal(batch[len(valid) :], -1)
        seen[size].extend(valid.tolist())
        batch_count += 1
    assert sorted(itertools.chain(*seen.values())) == indices.tolist()
    for size, inside in seen.items():
        assert inside == sorted(inside)
        for index in inside:  # the smallest size that holds it
            assert size == min(s for s in sizes if s >= lengths[index])
    assert batch_count == sum(-(-len(inside) // batch_size) for inside in seen.values())


@given(longest=st.integers(1, 10**6), shortest=st.integers(2, 10**5))
def test_sizes_grow_by_half_up_to_the_longest(longest, shortest):
    sizes = batches.length_sizes(longest, shortest)
    assert sizes[-1] == longest
    assert sizes[0] == min(longest, shortest)
    for smaller, larger in itertools.pairwise(sizes):
        assert smaller < larger <= smaller * 3 // 2


def test_half_a_minute_is_few_sizes():
    # 2 s to 30 s at 16 kHz: each size costs a compiled program.
    assert len(batches.length_sizes(480_000, 32_000)) <= 8

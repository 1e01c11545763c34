"""Orders of the training set."""

import dataclasses

import jax
import numpy as np
import pytest

from serjax.data import batches
from serjax.features import front_ends
from serjax.training.input.sampler import Sampler

FIXED = dataclasses.replace(front_ends.GUIZZO_REAL, frames=32, bins=32, segment_seconds=0.25)
TRAIN = np.array([0, 2, 3, 5])


@pytest.fixture(scope="module")
def examples():
    """Six utterances of one to three segments."""
    size = FIXED.segment_samples
    waveforms = [np.zeros(size * n, np.float32) for n in (1, 1, 3, 2, 1, 1)]
    return batches.pack(waveforms, [0] * 6, size, room=size)


def sampler_of(examples, front_end, key, batch_size=3):
    return Sampler.of(examples, TRAIN, front_end, key, batch_size)


def test_an_epoch_holds_every_segment_of_the_training_set_once(examples, key):
    sampler = sampler_of(examples, FIXED, key)
    utterance = np.asarray(examples.utterance)
    expected = np.flatnonzero(np.isin(utterance, TRAIN))
    for epoch in (1, 2):
        order = sampler.order(epoch)
        assert order.shape == (sampler.steps, 3)
        np.testing.assert_array_equal(np.sort(order[order >= 0]), expected)


def test_epochs_differ_and_repeat_by_the_key(examples, key):
    first = [sampler_of(examples, FIXED, key).order(epoch) for epoch in range(1, 6)]
    again = [sampler_of(examples, FIXED, key).order(epoch) for epoch in range(1, 6)]
    np.testing.assert_array_equal(first, again)
    assert len({order.tobytes() for order in first}) > 1
    other = sampler_of(examples, FIXED, jax.random.key(1))
    assert any((other.order(n + 1) != order).any() for n, order in enumerate(first))


@pytest.mark.parametrize("name", ["one segment", "one chunk"])
def test_an_epoch_can_take_one_segment_of_each_utterance(examples, key, name):
    front_end = FIXED
    if name == "one chunk":
        front_end = dataclasses.replace(front_ends.PADI, bins=16)
    sampler = sampler_of(examples, front_end, key)
    if name == "one segment":
        sampler = dataclasses.replace(sampler, one_segment_per_epoch=True)
    assert sampler.steps == 2
    for epoch in (1, 2):
        order = sampler.order(epoch)
        assert order.shape == (2, 3)
        taken = np.asarray(examples.utterance)[order[order >= 0]]
        np.testing.assert_array_equal(np.sort(taken), TRAIN)


def test_an_epoch_has_every_example_and_its_copies():
    sampler = Sampler(np.array([0, 2]), np.arange(5), False, jax.random.key(0), 4, copies=2)
    assert sampler.steps == 2
    orders = [sampler.order(epoch) for epoch in range(3)]
    for order in orders:
        assert sorted(order.ravel()) == [-1, -1, 0, 2, 5, 7, 10, 12]
    assert any(not np.array_equal(orders[0], order) for order in orders[1:])


def test_an_epoch_has_a_chunk_of_any_segment_of_a_long_utterance():
    """An utterance of three segments, of which every epoch takes another one."""
    waveforms = [np.zeros(n, np.float32) for n in (100, 250, 80)]
    examples = batches.pack(waveforms, [0, 1, 0], 100, room=100)
    train = np.array([0, 1])
    sampler = Sampler.of(examples, train, front_ends.PADI, jax.random.key(0), 2)
    rows = np.concatenate([sampler.order(epoch) for epoch in range(20)])
    assert (np.sort(np.asarray(examples.utterance)[rows], axis=1) == train).all()
    assert set(rows.ravel()) == {0, 1, 2, 3}

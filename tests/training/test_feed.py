"""Calls of a training step: batches in order, from where an epoch was left."""

import jax
import numpy as np
import pytest

from serjax.data import batches
from serjax.training.input.feed import group_batches, in_memory

ORDER = np.arange(10, dtype=np.int32).reshape(5, 2)


@pytest.mark.parametrize("first", range(6))
@pytest.mark.parametrize("scan_steps", [1, 2, 3, 7])
def test_calls_hold_the_remaining_batches_in_order(first, scan_steps):
    groups = group_batches(ORDER, first, scan_steps)
    assert sum(count for count, _ in groups) == len(ORDER) - first
    taken = [indices.reshape(-1, 2)[:count] for count, indices in groups]
    np.testing.assert_array_equal(np.concatenate([ORDER[:first], *taken]), ORDER)
    for count, indices in groups:
        assert indices.shape == ((2,) if scan_steps == 1 else (scan_steps, 2))
        assert (indices.reshape(-1, 2)[count:] == -1).all()


def test_examples_in_memory_are_the_same_in_every_call():
    waveforms = [np.full(4, value, np.float32) for value in (0.1, 0.2)]
    examples = jax.device_put(batches.pack(waveforms, [0, 1], 4, room=4))
    calls = list(in_memory(examples, scan_steps=2)(ORDER, 1))
    assert [call.batches for call in calls] == [2, 2]
    assert all(call.examples is examples for call in calls)
    np.testing.assert_array_equal(np.concatenate([call.indices for call in calls]), ORDER[1:])

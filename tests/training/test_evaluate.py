"""Tests of how utterances are evaluated."""

from hypothesis import given
from hypothesis import strategies as st

from serjax.training.evaluate import evaluation_batch


@given(st.integers(1, 300))
def test_evaluation_takes_whole_training_batches(batch_size):
    found = evaluation_batch(batch_size)
    assert found % batch_size == 0, "devices share out training batches evenly"
    assert found <= 4 * batch_size
    assert found <= max(32, batch_size)
    assert found + batch_size > min(4 * batch_size, 32), "no more fit"

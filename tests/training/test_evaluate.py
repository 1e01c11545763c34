"""Tests of the evaluation of utterances."""

from hypothesis import given
from hypothesis import strategies as st

from serjax.training.evaluate import evaluation_batch


@given(st.integers(1, 300))
def test_evaluation_takes_whole_training_batches(batch_size):
    size = evaluation_batch(batch_size)
    assert size % batch_size == 0, "devices share training batches evenly"
    assert size <= 4 * batch_size
    assert size <= max(32, batch_size)
    assert size + batch_size > min(4 * batch_size, 32), "no more fit"

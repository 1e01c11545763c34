"""Losses and predictions of a task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax.errors import InputError
from serjax.training.objective.task_loss import Batch, class_probabilities, classification_loss

LOGITS = jnp.array([[2.0, 0.0, -1.0], [0.0, 0.5, 0.25]])
LABEL = jnp.array([0, 2])


def batch():
    rows = jnp.arange(2)
    x = jnp.zeros((2, 1, 1, 1))
    return Batch(x, jnp.ones((2, 1), bool), LABEL, jnp.ones(2), rows, rows, jnp.int32(0))


def test_the_loss_of_an_example_is_that_of_its_label():
    loss = classification_loss()(LOGITS, {}, batch())
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    np.testing.assert_allclose(loss, -np.log(probabilities[[0, 1], LABEL]), rtol=1e-6)


def test_an_unknown_loss_is_refused():
    with pytest.raises(InputError, match="did you mean 'cross_entropy'"):
        classification_loss("cross_entropi")


def test_probabilities_are_a_softmax_of_the_logits():
    probabilities = class_probabilities(LOGITS, {}, jnp.zeros((2, 1, 1, 1)))
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-6)
    shifted = jax.nn.softmax(LOGITS + 3.0)
    np.testing.assert_allclose(probabilities, shifted, rtol=1e-6)

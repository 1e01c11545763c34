"""State of training: initial variables and the optimizer's moments."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from serjax.training.state import create_state, parameter_count, state_of

pytestmark = pytest.mark.usefixtures("standard_promotion")


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=True)(nn.Dense(3)(x))


def test_the_initial_state_is_that_of_the_model_and_the_optimizer(key):
    model, optimizer = Normed(), optax.adam(1e-3)
    state = create_state(model, optimizer, key, (1, 4))
    expected = model.init(key, jnp.zeros((1, 4)))
    jax.tree.map(np.testing.assert_array_equal, state.variables, expected)
    jax.tree.map(np.testing.assert_array_equal, state.opt_state, optimizer.init(expected["params"]))
    assert state.step == 0
    assert state.step.dtype == jnp.int32


def test_models_without_statistics_have_an_empty_collection(key):
    variables = nn.Dense(3).init(key, jnp.zeros((1, 4)))
    assert state_of(variables, optax.sgd(1.0)).batch_stats == {}


def test_parameters_are_counted_without_their_values(key):
    model = Normed()
    abstract = jax.eval_shape(model.init, key, jnp.zeros((1, 4)))
    assert parameter_count(abstract["params"]) == 4 * 3 + 3 + 3 + 3

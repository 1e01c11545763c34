import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import programs
from serjax.training.state import create_state


def test_operations_and_memory_of_a_product_are_counted():
    x, y = jnp.ones((64, 128)), jnp.ones((128, 32))
    program = programs.compile_program(lambda x, y: (x @ y) @ jnp.ones((32, 64)), x, y)
    assert program.operations == pytest.approx(2 * 64 * 32 * (128 + 64), rel=0.05)
    assert program.temporary_bytes >= 64 * 32 * 4
    np.testing.assert_allclose(program.call(x, y), np.full((64, 64), 128.0 * 32))


def test_a_known_allocation_is_measured():
    x = jnp.zeros(1 << 16, jnp.float32)
    separate = programs.compile_program(lambda x: x + 1, x)
    donated = programs.compile_program(lambda x: x + 1, x, donate=(0,))
    assert separate.memory_bytes - separate.temporary_bytes == 2 * x.nbytes  # argument and result
    assert donated.memory_bytes - donated.temporary_bytes == x.nbytes  # the same memory for both


def test_concurrently_compiled_programs_give_the_results_of_their_functions():
    x = jnp.arange(4, dtype=jnp.float32)
    functions = {"sum": jnp.sum, "twice": lambda x: 2 * x, "first": lambda x: x[0]}
    makers = {
        name: functools.partial(programs.compile_program, function, x)
        for name, function in functions.items()
    }
    compiled = programs.compile_concurrently(makers)
    assert list(compiled) == list(functions)
    for name, program in compiled.items():
        np.testing.assert_array_equal(program.call(*program.arguments), functions[name](x))


class Layers(nn.Module):
    """A convolution, a batch norm and a dense layer."""

    @nn.compact
    def __call__(self, x):
        y = nn.Conv(32, (3, 3))(x)
        y = nn.BatchNorm(use_running_average=True)(y)
        return nn.Dense(500)(y.reshape(len(y), -1))


def test_an_initial_state_is_that_of_a_run_with_other_kernels():
    model, optimizer, shape = Layers(), optax.adam(1e-3), (1, 4, 4, 8)
    expected = create_state(model, optimizer, jax.random.key(0), shape)
    state, other = (programs.initial_state(model, optimizer, shape, seed=seed) for seed in (0, 1))
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    for leaf, reference in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        assert (leaf.shape, leaf.dtype) == (reference.shape, reference.dtype)
        if leaf.ndim < 2:  # biases, scales, statistics
            np.testing.assert_array_equal(leaf, reference)
    for layer, fan_in in (("Conv_0", 9 * 8), ("Dense_0", 16 * 32)):
        kernel = state.params[layer]["kernel"]
        assert np.std(kernel) == pytest.approx(np.sqrt(2 / fan_in), rel=0.05)  # He et al., 2015
        assert np.corrcoef(kernel.ravel(), other.params[layer]["kernel"].ravel())[0, 1] < 0.1

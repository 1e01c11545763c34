import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.operations import count_operations
from serjax.ops import real_convolution


def test_operations_of_loops_are_those_of_all_iterations():
    def product(x):
        return x @ x

    def nested(x):
        return jax.lax.fori_loop(0, 5, lambda _, y: jax.lax.scan(iterations, y, None, 3)[0], x)

    def iterations(x, _):
        return jax.jit(product)(x), None

    x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    one = 2 * 8**3
    assert count_operations(jax.jit(product).trace(x)) == one
    assert count_operations(jax.jit(nested).trace(x)) == pytest.approx(15 * one, abs=15)


def test_operations_of_a_convolution_are_the_same_for_each_form_of_its_gradient(monkeypatch):
    x, kernel = np.ones((4, 66, 66, 16), np.float32), np.ones((3, 3, 16, 32), np.float32)

    def loss(x, kernel):
        options = (1, 1), ((0, 0), (0, 0)), (1, 1)
        return jnp.sum(real_convolution.conv(x, kernel, *options))

    def count():
        return count_operations(jax.jit(jax.grad(loss, argnums=(0, 1))).trace(x, kernel))

    default = count()
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # selects the gradient by patches
    assert default == pytest.approx(count(), rel=0.02)
    # The gradients of a sum do not need the forward pass.
    assert default == pytest.approx(2 * 2 * 4 * 64 * 64 * kernel.size, rel=0.02)

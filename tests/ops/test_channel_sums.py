import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from serjax.ops.channel_sums import add_bias, channel_sum, over_batch

SHAPES = st.lists(st.integers(0, 5), min_size=0, max_size=4).flatmap(
    lambda axes: st.integers(1, 6).map(lambda channels: (*axes, channels))
)


@given(SHAPES, st.integers(0, 2**32 - 1))
def test_sums_and_their_transpose_equal_numpys(shape, seed):
    with jax.enable_x64(True):
        rng = np.random.default_rng(seed)
        x, value = rng.normal(size=shape), rng.normal(size=shape[-1:])
        over = tuple(range(len(shape) - 1))
        total, vjp = jax.vjp(channel_sum, jnp.asarray(x))
        np.testing.assert_allclose(total, x.sum(over), rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(vjp(jnp.asarray(value))[0], np.broadcast_to(value, shape))
        broadcast, vjp = jax.vjp(lambda v: over_batch(v, shape), jnp.asarray(value))
        np.testing.assert_array_equal(broadcast, np.broadcast_to(value, shape))
        np.testing.assert_allclose(vjp(jnp.asarray(x))[0], x.sum(over), rtol=1e-12, atol=1e-12)


def test_second_derivatives(float64):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 2)))

    def function(x, bias):
        x, bias = jnp.asarray(x), jnp.asarray(bias)  # check_grads passes NumPy arrays
        return jnp.sum(jnp.sin(channel_sum(jnp.square(add_bias(x, bias)))))

    check_grads(function, (x, jnp.asarray([0.5, -1.0])), order=2)


@pytest.mark.parametrize(("dtype", "bound"), [(jnp.float32, 2e-6), (jnp.bfloat16, 2**-8)])
def test_long_sums_are_accurate(dtype, bound):
    # A running sum of bfloat16 ones would stop at 256.
    x = jnp.asarray(1 + np.random.default_rng(0).random((32, 128, 128, 3)), dtype)
    total = channel_sum(x)
    assert total.dtype == dtype
    exact = np.asarray(x, np.float64).sum((0, 1, 2))
    np.testing.assert_allclose(np.asarray(total, np.float64), exact, rtol=bound)
    grad_bias = jax.vjp(lambda bias: add_bias(x, bias), jnp.zeros(3, dtype))[1](x)[0]
    assert grad_bias.dtype == dtype
    np.testing.assert_allclose(np.asarray(grad_bias, np.float64), exact, rtol=bound)


def test_vmap_equals_a_loop():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5, 4, 2)), jnp.float32)
    np.testing.assert_allclose(
        jax.vmap(channel_sum)(x), [channel_sum(example) for example in x], rtol=1e-5
    )


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="XLA's sums are fast on other backends")
def test_no_sum_has_strided_memory_access():
    def loss(x, bias):
        return jnp.sum(jnp.square(channel_sum(add_bias(x, bias))))

    x, bias = jax.ShapeDtypeStruct((64, 32, 8), jnp.float32), jnp.ones(8)
    lowered = jax.jit(jax.grad(loss, (0, 1))).lower(x, bias)
    reduced = re.findall(r"stablehlo.reduce\(.* : \(tensor<(\S+)xf32>", lowered.as_text())
    assert reduced == ["32x8"] * 2  # columns; products sum the rows
    text = lowered.compile().as_text()
    assert re.search(r"f32\[(1,)?256\]\S* dot\(", text)
    assert not re.search(r"f32\[64,(32,8|256)\]\S* dot\(", text), "a broadcast is a product"

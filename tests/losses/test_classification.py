"""Losses of classes and of emotion dimensions: values by hand, and PyTorch's."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import losses


def test_binary_cross_entropy_equals_values_by_hand():
    # -log 1/2; for p = sigmoid(log 3) = 3/4, -0.5 log 3/4 - 0.5 log 1/4; and their mean.
    logits = jnp.array([[0.0, 0.0], [math.log(3), math.log(3)], [0.0, math.log(3)]], jnp.float32)
    targets = jnp.array([[1.0, 0.3], [0.5, 0.5], [0.0, 0.5]], jnp.float32)
    even, half = math.log(2), -0.5 * math.log(3 / 16)
    values = losses.binary_cross_entropy(logits, targets)
    np.testing.assert_allclose(values, [even, half, (even + half) / 2], rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_binary_cross_entropy_equals_pytorch(dtype):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    rng = np.random.default_rng(0)
    logits = jnp.asarray(30 * rng.normal(size=(4, 8, 6, 1)), dtype)
    targets = rng.uniform(size=logits.shape).astype(np.float32)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.from_numpy(np.array(logits.astype(jnp.float32))).double(),
        torch.from_numpy(targets).double(),
        reduction="none",
    ).mean((1, 2, 3))
    values = jax.jit(losses.binary_cross_entropy)(logits, jnp.asarray(targets))
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_binary_cross_entropy_is_finite_where_probabilities_round():
    logits = jnp.array([1e4, -1e4, 1e4], jnp.float32)
    targets = jnp.array([0.0, 1.0, 1.0], jnp.float32)
    np.testing.assert_allclose(losses.binary_cross_entropy(logits, targets), [1e4, 1e4, 0.0])
    gradient = jax.grad(lambda z: losses.binary_cross_entropy(z, targets).sum())(logits)
    np.testing.assert_allclose(gradient, [1.0, -1.0, 0.0])


def test_the_emotion_loss_equals_values_by_hand():
    # Even odds of 4 classes and of each dimension: 0.01 (log 4 + 100 * 3 log 2).
    even = losses.emotion_loss(
        jnp.zeros((1, 4)), jnp.zeros((1, 3)), jnp.array([2]), jnp.array([[0.0, 1.0, 0.5]])
    )
    np.testing.assert_allclose(even, [0.01 * (math.log(4) + 300 * math.log(2))], rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_emotion_loss_equals_pytorch(dtype):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    layers = torch.nn.functional
    rng = np.random.default_rng(0)
    logits = jnp.asarray(20 * rng.normal(size=(6, 5)), dtype)
    dimensions = jnp.asarray(20 * rng.normal(size=(6, 3)), dtype)
    labels, targets = rng.integers(5, size=6), rng.integers(2, size=(6, 3)).astype(np.float32)

    def tensor(values):
        return torch.from_numpy(np.array(values, np.float64))

    expected = layers.cross_entropy(tensor(logits), torch.from_numpy(labels), reduction="none")
    for index in range(3):
        expected = expected + 100 * layers.binary_cross_entropy_with_logits(
            tensor(dimensions[:, index]), tensor(targets[:, index]), reduction="none"
        )
    values = jax.jit(losses.emotion_loss)(
        logits, dimensions, jnp.asarray(labels, jnp.int32), jnp.asarray(targets)
    )
    assert values.shape == (6,)
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(values, 0.01 * expected, rtol=1e-5)

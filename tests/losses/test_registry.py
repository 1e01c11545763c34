"""Classification losses by name."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from serjax import losses
from serjax.errors import InputError
from serjax.losses import registry


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Restores the registry after each test."""
    monkeypatch.setattr(registry, "_LOSSES", dict(registry._LOSSES))


def test_cross_entropy_is_built_in():
    assert losses.names() == ["cross_entropy"]
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
    labels = jnp.array([0, 2, 1, 1, 0])
    loss = losses.get("cross_entropy")
    assert loss is losses.cross_entropy
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    np.testing.assert_array_equal(loss(logits, labels, {}), expected)
    probabilities = np.asarray(jax.nn.softmax(logits))
    by_hand = -np.log(probabilities[np.arange(5), labels])
    np.testing.assert_allclose(loss(logits, labels, {}), by_hand, rtol=1e-5)
    np.testing.assert_allclose(
        losses.negative_log_likelihood(probabilities, np.asarray(labels)), by_hand, rtol=1e-5
    )


def test_cross_entropy_is_float32_at_least():
    logits = jnp.zeros((2, 4), jnp.bfloat16)
    loss = losses.cross_entropy(logits, jnp.array([0, 1]), {})
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, np.log(4), rtol=1e-6)


def test_negative_log_likelihood_is_finite():
    loss = losses.negative_log_likelihood(np.array([[1, 0]], np.float32), np.array([1]))
    assert loss.dtype == np.float64
    np.testing.assert_allclose(loss, 87.3, atol=0.05)


def test_a_loss_is_registered():
    @losses.register("feature_norm")
    def feature_norm(logits, labels, features):
        return jnp.sum(jnp.square(features["conv1"]), axis=-1)

    assert losses.names() == ["cross_entropy", "feature_norm"]
    assert losses.get("feature_norm") is feature_norm
    loss = losses.get("feature_norm")(None, None, {"conv1": jnp.ones((2, 3))})
    np.testing.assert_array_equal(loss, [3, 3])


def test_unknown_names_suggest_the_nearest():
    message = "unknown loss 'cross_entropie': did you mean 'cross_entropy'"
    with pytest.raises(InputError, match=message):
        losses.get("cross_entropie")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cross_entropy", "loss 'cross_entropy': expected a new name, found a registered one"),
        ("", "expected a name, found an empty one"),
    ],
)
def test_names_are_unique_and_not_empty(name, message):
    with pytest.raises(InputError, match=message):
        losses.register(name)
    assert losses.get("cross_entropy") is losses.cross_entropy

"""Tests of the training step: its batch, its losses, and its parts against the whole step."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from serjax import losses
from serjax.data import batches
from serjax.features import front_ends
from serjax.training import (
    classification_loss,
    create_state,
    make_train_step,
    prepare_batch,
    training_step,
)

pytestmark = pytest.mark.usefixtures("standard_promotion")

FRONT_END = dataclasses.replace(front_ends.GUIZZO_REAL, frames=32, bins=32, segment_seconds=0.25)
VARIABLE = dataclasses.replace(front_ends.PADI, bins=16, segment_seconds=3.0)
LABELS = [0, 1, 2, 0, 1]


class Linear(nn.Module):
    """A model of one product, which is compiled fast."""

    @nn.compact
    def __call__(self, x, *, train=False, mask=None):
        return nn.Dense(3)(x.reshape(len(x), -1)), {}


def examples_of(front_end):
    rng = np.random.default_rng(0)
    size = front_end.segment_samples
    lengths = rng.integers(size // 2, size, len(LABELS))
    waveforms = [0.1 * rng.normal(size=n).astype(np.float32) for n in lengths]
    return jax.device_put(batches.pack(waveforms, LABELS, size, room=size))


def test_a_batch_holds_inputs_labels_and_padding():
    examples = examples_of(FRONT_END)
    indices = jnp.array([3, 0, -1], jnp.int32)
    batch = prepare_batch(jax.random.key(0), examples, indices, front_end=FRONT_END)
    assert batch.x.shape == (3, *FRONT_END.input_shape)
    assert batch.mask.shape == (3, 32)
    assert batch.label[:2].tolist() == [0, 0]
    assert batch.weight.tolist() == [1, 1, 0]
    assert batch.utterance[:2].tolist() == [3, 0]
    assert batch.indices.tolist() == [3, 0, -1]
    assert int(batch.step) == 0
    # Without augmentation the input is that of evaluation.
    start, length, _, _ = batches.select(examples, indices)
    waveform = batches.cut(examples.samples, start, length, FRONT_END.segment_samples)
    x, mask = FRONT_END(waveform, length)
    np.testing.assert_allclose(batch.x, x, atol=1e-6)
    np.testing.assert_array_equal(batch.mask, mask)


@pytest.mark.parametrize("front_end", [FRONT_END, VARIABLE])
def test_a_batch_is_random_by_its_key(front_end):
    examples = examples_of(front_end)
    indices = jnp.array([1, 2], jnp.int32)

    def batch(seed, augmentation):
        key = jax.random.key(seed)
        return prepare_batch(
            key, examples, indices, front_end=front_end, augmentation=augmentation
        ).x

    np.testing.assert_array_equal(batch(0, "conservative"), batch(0, "conservative"))
    assert np.abs(batch(0, "conservative") - batch(1, "conservative")).max() > 0
    if not front_end.variable_length:  # random chunks
        np.testing.assert_array_equal(batch(0, "none"), batch(1, "none"))


def test_a_step_is_the_update_of_its_batch():
    """Gradient descent on the batch that `prepare_batch` returns for the key of the step."""
    examples, optimizer, key = examples_of(FRONT_END), optax.sgd(0.1), jax.random.key(7)
    model = Linear()
    state = create_state(model, optimizer, jax.random.key(1), (1, *FRONT_END.input_shape))
    indices = jnp.array([0, 4, 2, -1], jnp.int32)
    batch = prepare_batch(
        jax.random.fold_in(key, 0),
        examples,
        indices,
        front_end=FRONT_END,
        augmentation="conservative",
    )

    def mean_loss(params):
        logits, _ = model.apply({"params": params}, batch.x)
        values = optax.softmax_cross_entropy_with_integer_labels(logits, batch.label)
        return jnp.sum(values * batch.weight) / 3

    loss, grads = jax.value_and_grad(mean_loss)(state.params)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, grads)
    step = make_train_step(model, FRONT_END, optimizer, key, 3, augmentation="conservative")
    state, result = step(state, examples, indices)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state.params, expected
    )
    np.testing.assert_allclose(result.loss, 3 * loss, rtol=1e-5)
    np.testing.assert_allclose(result.gradient_norm, optax.tree.norm(grads), rtol=1e-4)
    assert result.auxiliary == {}
    assert result.weight == 3
    assert result.confusion.sum() == 3
    assert bool(result.input_finite)
    assert int(state.step) == 1


def test_a_registered_loss_is_minimized():
    """The loss of a user replaces cross-entropy."""

    @losses.register("test_margin")
    def margin(logits, labels, features):
        return -jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]

    examples, optimizer = examples_of(FRONT_END), optax.sgd(0.1)
    model = Linear()
    state = create_state(model, optimizer, jax.random.key(1), (1, *FRONT_END.input_shape))
    step = training_step(
        model,
        FRONT_END,
        optimizer,
        jax.random.key(0),
        3,
        loss=classification_loss("test_margin"),
    )
    indices = jnp.array([0, 1, 2], jnp.int32)
    before = state.params["Dense_0"]["bias"]
    state, result = jax.jit(step)(state, examples, indices)
    # The gradient of the bias is minus the fraction of each class.
    np.testing.assert_allclose(state.params["Dense_0"]["bias"] - before, [0.1 / 3] * 3, rtol=1e-5)
    assert np.isfinite(result.loss)

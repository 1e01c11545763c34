import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from serjax import losses
from serjax.errors import InputError
from serjax.losses import gram
from tests.helpers import reference
from tests.helpers.strategies import normal
from tests.helpers.type_checks import without_type_checks

# Rows, columns and channels of the 13 convolutions of VGG16 on a 64 x 64 embedding.
VGG16_LAYERS = [(64, 64, 64)] * 2 + [(32, 32, 128)] * 2
VGG16_LAYERS += [(16, 16, 256)] * 3 + [(8, 8, 512)] * 3 + [(4, 4, 512)] * 3

shapes = st.tuples(*(st.integers(1, n) for n in (3, 5, 4, 12)))


def activations(seed, *shape, dtype=np.float32):
    """Returns two partly equal layers after a ReLU."""
    rng = np.random.default_rng(seed)
    shared, *separate = rng.normal(size=(3, *shape))
    return [np.maximum(x + shared, 0).astype(dtype) for x in separate]


@pytest.mark.parametrize("layer", [1, 3, 5, 8, 11])
def test_loss_equals_equation_1_at_the_layers_of_vgg16(layer):
    x, y = activations(layer, 2, *VGG16_LAYERS[layer - 1])
    loss = jax.jit(losses.anti_transfer_loss)(x, y)
    np.testing.assert_allclose(loss, reference.anti_transfer(x, y), rtol=2e-6)


@settings(deadline=None, max_examples=50)
@given(shapes, st.integers(0, 9), st.floats(0.1, 10))
def test_loss_of_any_shape_equals_equation_1(shape, seed, beta):
    with jax.enable_x64(True):
        x, y = activations(seed, *shape, dtype=np.float64)
        x[:, 0, 0, 0], y[:, 0, 0, 0] = 1, 1  # no example whose activations are all 0
        loss = losses.anti_transfer_loss(jnp.asarray(x), jnp.asarray(y), beta)
        np.testing.assert_allclose(loss, reference.anti_transfer(x, y, beta), rtol=1e-12)


@pytest.mark.parametrize("shape", [(50, 3), (6, 4), (2, 4), (3, 20), (1, 7), (9, 1)])
def test_both_sides_and_quantized_layers_give_the_same_cosine(shape, monkeypatch):
    x, y = activations(0, *shape)
    cosines = {}
    for channels_first in (True, False):
        monkeypatch.setattr(gram, "_over_channels", lambda shape, c=channels_first: c)
        cosines[channels_first] = gram.similarity(jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(cosines[True], cosines[False], rtol=1e-6)
    quantized = gram.quantize(jnp.asarray(y))
    assert quantized.shape == (gram.quantized_size(*shape),)
    assert quantized.size <= min(x.size, shape[1] * (shape[1] + 1) // 2)
    # Errors of few values do not average out.
    cosine = gram.similarity_to_quantized(jnp.asarray(x), quantized)
    np.testing.assert_allclose(cosine, cosines[True], atol=3e-3)


@pytest.mark.parametrize("layer", [1, 3, 5, 8, 11])
def test_quantization_changes_the_loss_by_less_than_a_thousandth(layer):
    x, y = (f.reshape(-1, f.shape[-1]) for f in activations(1, *VGG16_LAYERS[layer - 1]))
    exact = gram.similarity(jnp.asarray(x), jnp.asarray(y)) ** 2
    quantized = gram.similarity_to_quantized(jnp.asarray(x), gram.quantize(jnp.asarray(y))) ** 2
    assert abs(quantized - exact) < 1e-3


@pytest.mark.parametrize("aggregation", losses.AGGREGATIONS)
@pytest.mark.parametrize("shape", [(2, 5, 3, 4), (2, 2, 1, 6)])
def test_gradient_equals_finite_differences(shape, aggregation):
    with jax.enable_x64(True):
        x, y = (jnp.asarray(normal(seed, *shape)) for seed in (0, 1))  # no ties, no kinks

        def loss(x):
            return losses.anti_transfer_loss(x, y, 2.0, aggregation=aggregation)

        check_grads(loss, (x,), order=1, modes=["rev"], eps=1e-6, rtol=1e-5)


def test_no_gradient_reaches_the_reference():
    x, y = activations(0, 2, 4, 3, 5)
    gradient = jax.grad(lambda y: losses.anti_transfer_loss(jnp.asarray(x), y).sum())(y)
    assert not np.any(gradient)


@pytest.mark.parametrize("aggregation", ["mean", "sum", "max"])
def test_other_aggregations_are_squared_cosines_of_maps(aggregation):
    x, y = activations(0, 3, 6, 5, 4)
    m, n = (getattr(f.astype(np.float64), aggregation)(-1).reshape(3, -1) for f in (x, y))
    cosine = (m * n).sum(-1) / (np.linalg.norm(m, axis=-1) * np.linalg.norm(n, axis=-1))
    loss = losses.anti_transfer_loss(x, y, 0.5, aggregation=aggregation)
    np.testing.assert_allclose(loss, 0.5 * cosine**2, rtol=1e-5)


def test_the_loss_of_an_example_does_not_depend_on_its_batch():
    x, y = activations(0, 5, 6, 4, 8)
    loss = jax.jit(losses.anti_transfer_loss)
    single = np.concatenate([loss(x[i : i + 1], y[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(loss(x, y), single, rtol=1e-6)


def test_zero_padding_does_not_change_the_loss():
    x, y = activations(0, 2, 6, 4, 8)
    padding = ((0, 0), (0, 3), (0, 0), (0, 0))
    padded = losses.anti_transfer_loss(np.pad(x, padding), np.pad(y, padding))
    np.testing.assert_allclose(padded, losses.anti_transfer_loss(x, y), rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 9, 4, 3), (1, 1, 2, 8)])
@pytest.mark.parametrize("factor", [0.0, 1e-15, 1e15])
def test_zero_tiny_and_huge_activations_are_safe(shape, factor):
    x, y = activations(0, *shape)
    value, gradient = jax.value_and_grad(lambda x: losses.anti_transfer_loss(x, y).sum())(
        jnp.asarray(x * np.float32(factor))
    )
    assert np.all(np.isfinite(gradient))
    expected = losses.anti_transfer_loss(x, y).sum() if factor else 0
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    # The same holds for a source-task network whose activations are all 0.
    value, gradient = jax.value_and_grad(
        lambda x: losses.anti_transfer_loss(x, jnp.zeros_like(x)).sum()
    )(jnp.asarray(x))
    assert value == 0
    assert not np.any(gradient)


def test_bfloat16_activations_are_summed_in_float32():
    x, y = (jnp.asarray(f, jnp.bfloat16) for f in activations(0, 2, 64, 64, 64))
    loss = losses.anti_transfer_loss(x, y)
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, reference.anti_transfer(x, y), rtol=1e-5)


def test_loss_is_beta_for_proportional_and_zero_for_disjoint_layers():
    x, _ = activations(0, 2, 6, 4, 8)
    np.testing.assert_allclose(losses.anti_transfer_loss(x, 3 * x, 0.25), 0.25, rtol=1e-6)
    disjoint = np.zeros((1, 2, 2, 4), np.float32), np.zeros((1, 2, 2, 4), np.float32)
    disjoint[0][..., :2], disjoint[1][..., 2:] = 1, 1
    assert losses.anti_transfer_loss(*disjoint) == 0


def test_shapes_and_aggregations_are_checked():
    x = np.ones((2, 3, 4, 5), np.float32)
    with (
        without_type_checks(),
        pytest.raises(InputError, match=r"same shape .*found \(2, 3, 4, 5\) and \(2, 3, 4, 6\)"),
    ):
        losses.anti_transfer_loss(x, np.ones((2, 3, 4, 6), np.float32))
    with (
        without_type_checks(),
        pytest.raises(InputError, match=r"\[batch, ..., channels\], found \(2, 5\)"),
    ):
        losses.anti_transfer_loss(normal(0, 2, 5), normal(0, 2, 5))
    with pytest.raises(InputError, match="unknown aggregation 'grams': did you mean 'gram'"):
        losses.anti_transfer_loss(x, x, aggregation="grams")

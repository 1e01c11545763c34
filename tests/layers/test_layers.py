"""Dense layers and convolutions of every algebra, and their common interface."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax.errors import InputError
from serjax.layers import (
    QUATERNION,
    REAL,
    QuaternionBatchNorm,
    QuaternionConv,
    QuaternionConvTranspose,
    QuaternionDense,
    WhiteningBatchNorm,
    phm,
)
from tests.helpers import reference
from tests.helpers.networks import assert_close, shapes
from tests.helpers.strategies import normal
from tests.helpers.type_checks import without_type_checks

ALGEBRAS = [pytest.param(a, id=a.name) for a in (REAL, QUATERNION, phm(2))]
PRECISIONS = [(jnp.float32, 1e-5), (jnp.float64, 1e-12)]


# --- Dense layer and convolutions ----------------------------------------------------------------


def conv_reference(x, kernel):
    padding = reference.same_padding(x.shape[1:-1], (3, 2), (2, 1), (1, 2))
    return reference.quaternion_conv(x, kernel, (2, 1), padding, (1, 2))


def grouped_reference(x, kernel):
    return reference.quaternion_conv(x, kernel, (1, 1), [(1, 1), (1, 1)], (1, 1), groups=2)


def transposed_reference(x, kernel):
    return reference.quaternion_conv_transpose(x, kernel, (2, 1), "SAME")


# Layer, input shape, shape of the kernel, definition.
LAYERS = {
    "dense": (QuaternionDense(12), (2, 8), (4, 2, 3), reference.quaternion_dense),
    "conv": (
        QuaternionConv(12, (3, 2), strides=(2, 1), kernel_dilation=(1, 2)),
        (2, 5, 4, 8),
        (4, 3, 2, 2, 3),
        conv_reference,
    ),
    "grouped conv": (
        QuaternionConv(8, 3, padding=1, feature_group_count=2),
        (2, 3, 4, 16),
        (4, 3, 3, 2, 2),
        grouped_reference,
    ),
    "conv_transpose": (
        QuaternionConvTranspose(12, 3, strides=(2, 1)),
        (2, 3, 4, 8),
        (4, 3, 3, 2, 3),
        transposed_reference,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_layer_equals_its_definition(name, dtype, tolerance, key):
    layer, x_shape, kernel_shape, definition = LAYERS[name]
    with jax.enable_x64(dtype == jnp.float64):
        layer = layer.clone(param_dtype=dtype)
        x = jnp.asarray(normal(0, *x_shape), dtype)
        params = jax.eval_shape(layer.init, key, x)["params"]
        features = 4 * kernel_shape[-1]
        assert shapes(params) == {"kernel": kernel_shape, "bias": (features,)}
        assert {p.dtype for p in params.values()} == {jnp.dtype(dtype)}
        params = {name: jnp.asarray(normal(1, *p.shape), dtype) for name, p in params.items()}
        y = jax.jit(layer.apply)({"params": params}, x)
        assert y.dtype == dtype
        params = {name: np.asarray(value) for name, value in params.items()}
        expected = definition(np.asarray(x), params["kernel"]) + params["bias"]
        assert_close(y, expected, tolerance)


@pytest.mark.parametrize("name", LAYERS)
def test_dtype_sets_the_arithmetic_and_the_bias_is_optional(name):
    layer, x_shape, kernel_shape, _ = LAYERS[name]
    layer = layer.clone(dtype=jnp.bfloat16, use_bias=False)
    x = jax.ShapeDtypeStruct(x_shape, jnp.float32)
    y, variables = jax.eval_shape(lambda x: layer.init_with_output(jax.random.key(0), x), x)
    assert y.dtype == jnp.bfloat16
    assert shapes(variables) == {"params": {"kernel": kernel_shape}}
    assert variables["params"]["kernel"].dtype == jnp.float32


@pytest.mark.parametrize(
    ("layer", "x_shape", "message"),
    [
        (QuaternionDense(8), (2, 6), "QuaternionDense, input: .*found 6"),
        (QuaternionDense(6), (2, 8), "QuaternionDense, features: .*found 6"),
        (QuaternionConv(8, 3), (1, 4, 4, 3), "QuaternionConv, input: .*found 3"),
        (QuaternionConv(9, 3), (1, 4, 4, 4), "QuaternionConv, features: .*found 9"),
        (QuaternionConvTranspose(8, 3), (1, 4, 4, 2), "QuaternionConvTranspose, input: .*found 2"),
        (QuaternionConvTranspose(2, 3), (1, 4, 4, 4), "QuaternionConvTranspose, features: .*2"),
        (QuaternionBatchNorm(False), (2, 5), "QuaternionBatchNorm, input: .*found 5"),
        (WhiteningBatchNorm(False), (2, 5), "WhiteningBatchNorm, input: .*found 5"),
    ],
)
def test_widths_must_be_whole_quaternions(layer, x_shape, message, key):
    with without_type_checks(), pytest.raises(InputError, match=message):
        jax.eval_shape(layer.init, key, jax.ShapeDtypeStruct(x_shape, jnp.float32))


# --- Common interface of the algebras ------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dense", "conv", "conv_transpose"])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("algebra", ALGEBRAS[1:])
def test_algebras_offer_the_same_layers(algebra, kind, use_bias, key):
    """The same call makes the layer of either algebra, with the same result shape and dtype."""
    options = {"use_bias": use_bias, "dtype": jnp.bfloat16, "param_dtype": jnp.float32}
    if kind == "dense":
        arguments, x_shape = (8,), (2, 4)
    else:
        arguments, x_shape = (8, 3), (2, 6, 5, 4)
        options |= {"strides": 2, "padding": "SAME" if kind == "conv_transpose" else 1}
        if kind == "conv_transpose":
            options["strides"] = (2, 1)
    x = jax.ShapeDtypeStruct(x_shape, jnp.float32)
    results = []
    weights = []
    for layers in (REAL, algebra):
        layer = getattr(layers, kind)(*arguments, name="layer", **options)
        assert isinstance(layer, nn.Module)
        y, variables = jax.eval_shape(layer.init_with_output, key, x)
        # The multiplication tensor is the only parameter that not every algebra has.
        results.append((y.shape, y.dtype, sorted(set(variables["params"]) - {"rule"})))
        weights.append(variables["params"]["kernel"].size)
    assert results[0] == results[1]
    assert weights[0] == algebra.components * weights[1]


@pytest.mark.parametrize("algebra", ALGEBRAS[1:])
def test_algebras_offer_the_same_batch_norm(algebra, key):
    x = jax.ShapeDtypeStruct((2, 6, 5, 8), jnp.float32)
    mask = jax.ShapeDtypeStruct((2, 6, 1, 1), bool)
    results = []
    for layers in (REAL, algebra):
        layer = layers.batch_norm(use_running_average=False, dtype=jnp.float32, name="norm")
        y, variables = jax.eval_shape(
            lambda x, mask, layer=layer: layer.init_with_output(key, x, mask=mask), x, mask
        )
        results.append((y.shape, y.dtype, jax.tree.structure(variables)))
    assert results[0] == results[1]


@pytest.mark.parametrize("algebra", ALGEBRAS)
def test_flatten_preserves_component_blocks(algebra):
    x = normal(0, 2, 3, 5, 8)
    flat = algebra.flatten(jnp.asarray(x, jnp.float32))
    blocks = np.split(x, algebra.components, axis=-1)
    expected = np.concatenate([block.reshape(2, -1) for block in blocks], axis=-1)
    np.testing.assert_array_equal(flat, expected.astype(np.float32))


@pytest.mark.parametrize("algebra", ALGEBRAS)
def test_concatenate_preserves_component_blocks(algebra):
    x, y = normal(0, 2, 8), normal(1, 2, 12)
    q = algebra.components
    # Each block of the result is the concatenation of the blocks of all inputs.
    expected = [np.split(z, q, axis=-1) for z in (x, y)]
    expected = np.concatenate([block for pair in zip(*expected, strict=True) for block in pair], -1)
    joined = algebra.concatenate([jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)])
    np.testing.assert_array_equal(joined, expected.astype(np.float32))

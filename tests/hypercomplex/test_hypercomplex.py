import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from serjax import hypercomplex, quaternion
from serjax.errors import InputError
from serjax.layers import HypercomplexBatchNorm, PHMConv, PHMConvTranspose, PHMDense, phm
from tests.helpers import reference
from tests.helpers.strategies import convolutions, normal
from tests.helpers.type_checks import without_type_checks

COMPONENTS = (1, 2, 3, 4, 5)


def assert_close(actual, expected, tolerance=1e-12):
    """Compares relative to the largest value, because the terms of a single value may cancel."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def pairs(x, kernel, options):
    """Converts the padding of a random convolution to pairs."""
    space, kernel_size, padding = x.shape[1:-1], kernel.shape[1:-2], options["padding"]
    if isinstance(padding, int):
        return [(padding, padding)] * len(space)
    if not isinstance(padding, str):
        return list(padding)
    if padding.upper() == "VALID":
        return [(0, 0)] * len(space)
    return reference.same_padding(space, kernel_size, options["strides"], options["dilation"])


# --- Multiplication tensors ----------------------------------------------------------------------


def test_quaternion_multiplication_equals_the_table_of_units():
    expected = np.zeros((4, 4, 4))
    for i, row in enumerate(reference.UNIT_PRODUCTS):
        for b, (sign, a) in enumerate(row):
            expected[i, a, b] = sign
    np.testing.assert_array_equal(hypercomplex.QUATERNION_MULTIPLICATION, expected)


def test_complex_multiplication_multiplies_complex_numbers():
    for i, b in np.ndindex(2, 2):
        product = (1, 1j)[i] * (1, 1j)[b]
        actual = hypercomplex.COMPLEX_MULTIPLICATION[i, :, b]
        np.testing.assert_array_equal(actual, [np.real(product), np.imag(product)])


@pytest.mark.parametrize("n", COMPONENTS)
def test_the_block_matrix_is_a_sum_of_kronecker_products(n, float64):
    multiplication, kernel = normal(0, n, n, n), normal(1, n, 3, 2, 2, 3)
    matrix = hypercomplex.block_matrix(jnp.asarray(multiplication), jnp.asarray(kernel))
    assert_close(matrix, reference.hypercomplex_matrix(multiplication, kernel))


# --- Products ------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(st.sampled_from(COMPONENTS).flatmap(convolutions))
def test_conv_equals_its_definition(case):
    x, kernel, options = case
    n, groups = len(kernel), options["groups"]
    multiplication = normal(2, n, n, n)
    padding = pairs(x, kernel, options)
    # A group takes an equal number of channels from every block.
    group_inputs = np.split(x.reshape(*x.shape[:-1], n, -1), groups, axis=-1)
    results = []
    for group, part in zip(group_inputs, np.split(kernel, groups, axis=-1), strict=True):
        matrix = reference.hypercomplex_matrix(multiplication, part)
        group = group.reshape(*x.shape[:-1], -1)
        y = reference.convolve(group, matrix, options["strides"], padding, options["dilation"])
        results.append(y.reshape(*y.shape[:-1], n, -1))
    expected = np.concatenate(results, -1).reshape(*results[0].shape[:-2], -1)
    with jax.enable_x64(True):
        conv = jax.jit(lambda *a: hypercomplex.conv(*a, **options))
        assert_close(conv(*map(jnp.asarray, (x, multiplication, kernel))), expected)


@settings(max_examples=6)
@given(convolutions(components=2))
def test_complex_multiplication_convolves_complex_numbers(case):
    x, kernel, options = case
    options = {**options, "groups": 1}
    x = x[..., : 2 * kernel.shape[-2]]
    channels = x.shape[-1] // 2
    z = x[..., :channels] + 1j * x[..., channels:]
    y = reference.convolve(
        z,
        kernel[0] + 1j * kernel[1],
        options["strides"],
        pairs(x, kernel, options),
        options["dilation"],
    )
    expected = np.concatenate([y.real, y.imag], axis=-1)
    with jax.enable_x64(True):
        multiplication = jnp.asarray(hypercomplex.COMPLEX_MULTIPLICATION, jnp.float64)
        actual = hypercomplex.conv(jnp.asarray(x), multiplication, jnp.asarray(kernel), **options)
        assert_close(actual, expected)


@settings(max_examples=6)
@given(convolutions(components=4))
def test_quaternion_multiplication_gives_the_quaternion_convolution(case):
    x, kernel, options = case
    with jax.enable_x64(True):
        multiplication = jnp.asarray(hypercomplex.QUATERNION_MULTIPLICATION, jnp.float64)
        x, kernel = jnp.asarray(x), jnp.asarray(kernel)
        actual = hypercomplex.conv(x, multiplication, kernel, **options)
        assert_close(actual, quaternion.conv(x, kernel, form="block", **options))


@settings(max_examples=6)
@given(convolutions(components=4, transposed=True))
def test_quaternion_multiplication_gives_the_transposed_quaternion_convolution(case):
    x, kernel, options = case
    with jax.enable_x64(True):
        multiplication = jnp.asarray(hypercomplex.QUATERNION_MULTIPLICATION, jnp.float64)
        x, kernel = jnp.asarray(x), jnp.asarray(kernel)
        actual = hypercomplex.conv_transpose(x, multiplication, kernel, **options)
        assert_close(actual, quaternion.conv_transpose(x, kernel, form="block", **options))


def test_dense_of_each_known_algebra(float64):
    x, bias = normal(0, 2, 3, 8), normal(1, 12)
    multiplications = (
        hypercomplex.REAL_MULTIPLICATION,
        hypercomplex.COMPLEX_MULTIPLICATION,
        hypercomplex.QUATERNION_MULTIPLICATION,
    )
    for multiplication in multiplications:
        n = len(multiplication)
        kernel = normal(2, n, 8 // n, 12 // n)
        actual = hypercomplex.dense(
            *(jnp.asarray(a, jnp.float64) for a in (x, multiplication, kernel, bias))
        )
        if n == 1:
            expected = x @ kernel[0]
        elif n == 2:
            y = (x[..., :4] + 1j * x[..., 4:]) @ (kernel[0] + 1j * kernel[1])
            expected = np.concatenate([y.real, y.imag], axis=-1)
        else:
            expected = reference.quaternion_dense(x, kernel)
        assert_close(actual, expected + bias)


@pytest.mark.parametrize("layer", [nn.Conv, nn.ConvTranspose])
def test_real_multiplication_gives_the_real_layer(layer, float64):
    x, kernel, bias = normal(0, 2, 5, 4, 3), normal(1, 1, 3, 2, 3, 6), normal(2, 6)
    x, kernel, bias = map(jnp.asarray, (x, kernel, bias))
    multiplication = jnp.asarray(hypercomplex.REAL_MULTIPLICATION, jnp.float64)
    params = {"params": {"kernel": kernel[0], "bias": bias}}
    expected = layer(6, (3, 2), strides=(2, 1), param_dtype=jnp.float64).apply(params, x)
    product = hypercomplex.conv if layer is nn.Conv else hypercomplex.conv_transpose
    assert_close(product(x, multiplication, kernel, bias, strides=(2, 1)), expected)


# One case per function: (function, x, multiplication, kernel).
PRODUCTS = {
    "dense": (hypercomplex.dense, (3, 6), (3, 3, 3), (3, 2, 4)),
    "conv": (
        lambda *a: hypercomplex.conv(*a, strides=2, groups=2, dilation=(1, 2)),
        (2, 5, 4, 8),
        (2, 2, 2),
        (2, 3, 2, 2, 4),
    ),
    "conv_transpose": (
        lambda *a: hypercomplex.conv_transpose(*a, strides=(2, 1)),
        (2, 3, 2, 6),
        (3, 3, 3),
        (3, 2, 2, 2, 1),
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_gradients_equal_finite_differences(name, float64):
    function, *shapes = PRODUCTS[name]
    arguments = [jnp.asarray(normal(seed, *shape)) for seed, shape in enumerate(shapes)]
    check_grads(jax.jit(function), arguments, order=1, modes=["rev"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", PRODUCTS)
def test_eager_equals_jit(name):
    function, *shapes = PRODUCTS[name]
    arguments = [jnp.asarray(normal(i, *s), jnp.float32) for i, s in enumerate(shapes)]
    eager = function(*arguments)
    assert eager.dtype == jnp.float32
    assert_close(jax.jit(function)(*arguments), eager, 1e-6)


def test_the_error_in_bfloat16_is_a_few_roundings():
    # The real matrix has one rounding more than a real layer's.
    x, multiplication = normal(0, 4, 8, 8, 32), normal(1, 4, 4, 4) / 2
    kernel = normal(2, 4, 3, 3, 8, 8)
    rounded = [
        np.asarray(jnp.asarray(a, jnp.bfloat16), np.float64) for a in (x, multiplication, kernel)
    ]
    with jax.enable_x64(True):
        exact = np.asarray(hypercomplex.conv(*map(jnp.asarray, rounded)))
    actual = hypercomplex.conv(*(jnp.asarray(a, jnp.bfloat16) for a in rounded))
    assert actual.dtype == jnp.bfloat16
    error = np.asarray(actual, np.float64) - exact
    eps = float(jnp.finfo(jnp.bfloat16).eps)
    assert np.sqrt(np.mean(error**2) / np.mean(exact**2)) < eps


# --- Initial weights -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", COMPONENTS)
def test_initial_multiplication_is_orthogonal_for_every_component_of_the_product(n, key):
    multiplication = np.asarray(
        hypercomplex.multiplication_initializer()(key, (n, n, n)), np.float64
    )
    for a in range(n):
        np.testing.assert_allclose(
            multiplication[:, a] @ multiplication[:, a].T, np.eye(n), atol=1e-6
        )
    if n > 1:
        assert not np.allclose(multiplication[:, 0], multiplication[:, 1])


@pytest.mark.parametrize("n", [1, 2, 4])
def test_known_multiplications_are_orthogonal(n):
    multiplication = {1: "REAL", 2: "COMPLEX", 4: "QUATERNION"}[n]
    multiplication = getattr(hypercomplex, f"{multiplication}_MULTIPLICATION")
    for a in range(n):
        np.testing.assert_array_equal(multiplication[:, a] @ multiplication[:, a].T, np.eye(n))


def test_initial_kernels_have_hes_variance(key):
    kernel = hypercomplex.kernel_initializer()(key, (3, 3, 2, 20, 200))
    # The fan is 3 x 2 positions of 3 x 20 channels.
    np.testing.assert_allclose(jnp.var(kernel), 2 / (6 * 60), rtol=0.02)
    np.testing.assert_allclose(jnp.mean(kernel), 0, atol=1e-3)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_initial_weights_keep_the_variance_of_rectified_layers(n, key):
    x_key, *keys = jax.random.split(key, 6)
    width = 240 * n
    x = jax.random.normal(x_key, (128, width))
    for layer_key in keys:
        rule_key, kernel_key = jax.random.split(layer_key)
        multiplication = hypercomplex.multiplication_initializer()(rule_key, (n, n, n))
        kernel = hypercomplex.kernel_initializer()(kernel_key, (n, width // n, width // n))
        # Equal components have the strongest correlation possible.
        x = jnp.tile(jax.nn.relu(x[:, : width // n]), n)
        y = hypercomplex.dense(x, multiplication, kernel)
        blocks = jnp.var(y.reshape(128, n, -1), axis=(0, 2))
        np.testing.assert_allclose(blocks, 2 * jnp.mean(jnp.square(x)), rtol=0.2)
        x = y


def test_initial_weights_have_the_requested_dtype(key):
    for initialize, shape in (
        (hypercomplex.multiplication_initializer(), (3, 3, 3)),
        (hypercomplex.kernel_initializer(), (3, 3, 4, 4)),
    ):
        weights = jax.eval_shape(lambda key: initialize(key, shape, jnp.bfloat16), key)  # noqa: B023
        assert weights.dtype == jnp.bfloat16


# --- Layers --------------------------------------------------------------------------------------

# Layer, input shape, shape of the kernel, function.
LAYERS = {
    "dense": (PHMDense(12, 3), (2, 6), (3, 2, 4), hypercomplex.dense),
    "conv": (
        PHMConv(8, (3, 2), 2, strides=2, kernel_dilation=(1, 2), feature_group_count=2),
        (2, 5, 4, 8),
        (2, 3, 2, 2, 4),
        PRODUCTS["conv"][0],
    ),
    "conv_transpose": (
        PHMConvTranspose(5, 3, 5, strides=(2, 1)),
        (2, 3, 4, 10),
        (5, 3, 3, 2, 1),
        PRODUCTS["conv_transpose"][0],
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer_applies_the_function_to_its_parameters(name, key):
    layer, x_shape, kernel_shape, function = LAYERS[name]
    x = jnp.asarray(normal(0, *x_shape), jnp.float32)
    y, variables = layer.init_with_output(key, x)
    params, n = variables["params"], kernel_shape[0]
    assert jax.tree.map(jnp.shape, params) == {
        "rule": (n, n, n),
        "kernel": kernel_shape,
        "bias": (n * kernel_shape[-1],),
    }
    bias = jnp.asarray(normal(1, *params["bias"].shape), jnp.float32)
    y = layer.apply({"params": {**params, "bias": bias}}, x)
    expected = function(x, params["rule"], params["kernel"])
    assert_close(y, expected + bias.reshape((1,) * (expected.ndim - 1) + (-1,)), 1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_dtype_sets_the_arithmetic_and_the_bias_is_optional(name):
    layer, x_shape, *_ = LAYERS[name]
    layer = layer.clone(dtype=jnp.bfloat16, use_bias=False)
    x = jax.ShapeDtypeStruct(x_shape, jnp.float32)
    y, variables = jax.eval_shape(lambda x: layer.init_with_output(jax.random.key(0), x), x)
    assert y.dtype == jnp.bfloat16
    assert set(variables["params"]) == {"rule", "kernel"}
    assert {p.dtype for p in variables["params"].values()} == {jnp.dtype(jnp.float32)}


def test_phm_returns_the_same_object():
    assert phm(3) is phm(3)
    assert phm(3).components == 3
    assert phm(2).name == "phm2"


# --- Errors --------------------------------------------------------------------------------------


def ones(*shape: int) -> jax.Array:
    return jnp.ones(shape)


def initialize(layer, *shape):
    return jax.eval_shape(layer.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))


ERRORS = {
    "rule": (
        lambda: hypercomplex.dense(ones(2, 6), ones(2, 2, 2), ones(3, 2, 1)),
        r"dense: expected a multiplication tensor of shape \(3, 3, 3\) for a kernel \(3, 2, 1\), "
        r"found \(2, 2, 2\)",
    ),
    "block matrix": (
        lambda: hypercomplex.block_matrix(ones(2, 2, 3), ones(2, 1, 1)),
        r"block matrix: expected a multiplication tensor of shape \(2, 2, 2\).*found \(2, 2, 3\)",
    ),
    "dense channels": (
        lambda: hypercomplex.dense(ones(2, 7), ones(3, 3, 3), ones(3, 2, 1)),
        "hypercomplex dense, input: .*3 equal blocks, expected a multiple of 3, found 7",
    ),
    "dense rank": (
        lambda: hypercomplex.dense(ones(2, 6), ones(3, 3, 3), ones(3, 1, 2, 1)),
        r"a kernel \[n, inputs / n, outputs / n\], found \(2, 6\) and \(3, 1, 2, 1\)",
    ),
    "dense kernel": (
        lambda: hypercomplex.dense(ones(2, 6), ones(3, 3, 3), ones(3, 4, 1)),
        r"input \(2, 6\) has shape \[3, ..., 2, outputs / 3\], found \(3, 4, 1\)",
    ),
    "dense bias": (
        lambda: hypercomplex.dense(ones(2, 6), ones(3, 3, 3), ones(3, 2, 1), ones(1)),
        r"expected a bias of shape \(3,\), found \(1,\)",
    ),
    "conv rank": (
        lambda: hypercomplex.conv(ones(1, 5, 6), ones(3, 3, 3), ones(3, 3, 3, 2, 1)),
        r"hypercomplex conv: a kernel \(3, 3, 3, 2, 1\) takes input of rank 4, found \(1, 5, 6\)",
    ),
    "conv groups": (
        lambda: hypercomplex.conv(ones(1, 5, 8), ones(2, 2, 2), ones(2, 3, 2, 3), groups=2),
        "hypercomplex conv: 3 outputs / 2 cannot be split into 2 groups",
    ),
    "conv padding": (
        lambda: hypercomplex.conv(ones(1, 5, 2), ones(2, 2, 2), ones(2, 3, 1, 1), padding="full"),
        "padding: expected 'SAME', 'VALID' or numbers, found 'full'",
    ),
    "transposed strides": (
        lambda: hypercomplex.conv_transpose(
            ones(1, 5, 2), ones(2, 2, 2), ones(2, 3, 1, 1), strides=(1, 1)
        ),
        r"strides: expected 1 entries, one per axis, found \(1, 1\)",
    ),
    "layer input": (
        lambda: initialize(PHMConv(6, 3, 3), 1, 4, 4, 1),
        "PHMConv, input: .*expected a multiple of 3, found 1",
    ),
    "layer features": (
        lambda: initialize(PHMDense(8, 3), 1, 6),
        "PHMDense, features: .*expected a multiple of 3, found 8",
    ),
    "transposed layer": (
        lambda: initialize(PHMConvTranspose(8, 3, 3), 1, 4, 4, 6),
        "PHMConvTranspose, features: .*expected a multiple of 3, found 8",
    ),
    "layer components": (
        lambda: initialize(PHMDense(8, 0), 1, 6),
        "PHMDense, input: expected at least 1 component, found 0",
    ),
    "batch norm": (
        lambda: initialize(HypercomplexBatchNorm(False, components=3), 1, 5),
        "HypercomplexBatchNorm, input: .*expected a multiple of 3, found 5",
    ),
    "algebra": (lambda: phm(0), "phm, components: expected at least 1, found 0"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_what_was_expected_and_found(case):
    function, message = ERRORS[case]
    with without_type_checks(), pytest.raises(InputError, match=message):
        function()

import doctest
import importlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax.test_util import check_grads
from strategies import normal

from serjax.errors import InputError
from serjax.layers import (
    QUATERNION,
    REAL,
    HypercomplexBatchNorm,
    QuaternionBatchNorm,
    QuaternionConv,
    QuaternionConvTranspose,
    QuaternionDense,
    StatisticsPooling,
    WhiteningBatchNorm,
    adaptive_average_pool,
    average_pool,
    max_pool,
    phm,
)

ALGEBRAS = [pytest.param(a, id=a.name) for a in (REAL, QUATERNION, phm(2))]
NORMS = [QuaternionBatchNorm, WhiteningBatchNorm]
PRECISIONS = [(jnp.float32, 1e-5), (jnp.float64, 1e-12)]


def shapes(variables):
    return jax.tree.map(jnp.shape, variables)


def assert_close(actual, expected, tolerance):
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize(
    "module",
    [
        "serjax.quaternion.algebra",
        "serjax.layers.quaternion",
        "serjax.layers.hypercomplex",
        "serjax.models.registry",
        "serjax.data.batches",
    ],
)
def test_examples_in_docstrings_run(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


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
        expected = definition(np.asarray(x), np.asarray(params["kernel"])) + params["bias"]
        assert_close(y, expected, tolerance)


@pytest.mark.parametrize("name", LAYERS)
def test_arithmetic_has_its_dtype_and_a_bias_can_be_left_out(name):
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
    with pytest.raises(InputError, match=message):
        jax.eval_shape(layer.init, key, jax.ShapeDtypeStruct(x_shape, jnp.float32))


# --- Batch norm ----------------------------------------------------------------------------------


def normalize(layer, variables, x, **options):
    """Result and new running statistics of batch norm in training."""
    y, updates = layer.apply(variables, x, False, mutable=["batch_stats"], **options)
    return y, updates["batch_stats"]


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_batch_norm_equals_its_definition(dtype, tolerance, key):
    with jax.enable_x64(dtype == jnp.float64):
        layer = QuaternionBatchNorm(momentum=0.8, epsilon=1e-2, param_dtype=dtype)
        x = jnp.asarray(3 + 2 * normal(0, 2, 3, 4, 12), dtype)
        variables = layer.init(key, x, True)
        assert shapes(variables) == {
            "params": {"scale": (3,), "bias": (12,)},
            "batch_stats": {"mean": (12,), "var": (3,)},
        }
        scale, bias = normal(1, 3), normal(2, 12)
        params = {"scale": jnp.asarray(scale, dtype), "bias": jnp.asarray(bias, dtype)}
        variables = {**variables, "params": params}
        y, stats = jax.jit(lambda v, x: normalize(layer, v, x))(variables, x)
        expected, mean, var = reference.quaternion_batch_norm(
            np.asarray(x).reshape(-1, 12), epsilon=1e-2
        )
        expected = (expected * np.tile(scale, 4) + bias).reshape(x.shape)
        assert y.dtype == dtype
        assert_close(y, expected, tolerance)
        # Statistics are stored as float32 whatever the arithmetic.
        assert {s.dtype for s in stats.values()} == {jnp.dtype(jnp.float32)}
        assert_close(stats["mean"], 0.2 * mean, 1e-6)
        assert_close(stats["var"], 0.8 + 0.2 * var, 1e-6)


def test_running_statistics_normalize_in_evaluation(key):
    layer = QuaternionBatchNorm(use_running_average=True, epsilon=0.0)
    x = jnp.asarray(normal(0, 5, 8), jnp.float32)
    variables = layer.init(key, x)
    mean, var = normal(1, 8), np.array([4.0, 0.25])
    stats = {"mean": jnp.asarray(mean, jnp.float32), "var": jnp.asarray(var, jnp.float32)}
    y = layer.apply({**variables, "batch_stats": stats}, x)
    assert_close(y, (np.asarray(x) - mean) / np.tile(np.sqrt(var), 4), 1e-6)


def test_initialization_leaves_the_running_statistics_at_their_start(key):
    x = jnp.asarray(5 + normal(0, 6, 8), jnp.float32)
    stats = QuaternionBatchNorm().init(key, x, False)["batch_stats"]
    np.testing.assert_array_equal(stats["mean"], 0)
    np.testing.assert_array_equal(stats["var"], 1)


def test_batch_norm_of_one_component_is_that_of_real_numbers(key):
    x = jnp.asarray(3 + 2 * normal(0, 7, 6), jnp.float32)
    ours, flax = HypercomplexBatchNorm(), nn.BatchNorm(momentum=0.9)
    variables = ours.init(key, x, True)
    y, stats = normalize(ours, variables, x)
    expected, updates = flax.apply(variables, x, False, mutable=["batch_stats"])
    assert_close(y, expected, 1e-5)
    for name, value in updates["batch_stats"].items():
        assert_close(stats[name], value, 1e-5)


@pytest.mark.parametrize("components", [2, 3])
def test_batch_norm_of_other_numbers_equals_its_definition(components, key):
    x = (3 + 2 * normal(0, 9, 2 * components)).astype(np.float32)
    layer = HypercomplexBatchNorm(components=components, epsilon=1e-2)
    y, stats = normalize(layer, layer.init(key, jnp.asarray(x), True), jnp.asarray(x))
    blocks = x.astype(np.float64).reshape(9, components, 2)
    centred = blocks - blocks.mean(0)
    variances = np.mean(np.sum(centred**2, axis=1), axis=0)
    assert_close(y, (centred / np.sqrt(variances + 1e-2)).reshape(x.shape), 1e-5)
    assert_close(stats["var"], 0.9 + 0.1 * variances, 1e-6)


@pytest.mark.parametrize(
    "make",
    [
        *(pytest.param(a.values[0].batch_norm, id=a.id) for a in ALGEBRAS),
        pytest.param(WhiteningBatchNorm, id="whitening"),
    ],
)
def test_masked_positions_take_no_part_in_batch_norm(make, key):
    layer = make()
    x = jnp.asarray(normal(0, 3, 5, 2, 8), jnp.float32)
    mask = jnp.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
    garbage = jnp.where(mask[..., None, None], x, 1e6)
    variables = layer.init(key, x, True)
    y, stats = normalize(layer, variables, garbage, mask=mask[..., None, None])
    alone, expected = normalize(layer, variables, x[mask])
    assert_close(y[mask], alone, 1e-5)
    for name in expected:
        assert_close(stats[name], expected[name], 1e-5)


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(np.full((4, 3, 8), 1e3, np.float32), id="constant"),
        pytest.param(np.zeros((4, 8), np.float32), id="zero"),
        pytest.param(normal(0, 1, 8).astype(np.float32), id="batch of one"),
        pytest.param(1e4 + normal(0, 64, 8).astype(np.float32), id="large mean"),
        pytest.param(1e6 * np.tile(normal(0, 64, 2).astype(np.float32), 4), id="equal components"),
        pytest.param(1e-20 * normal(0, 64, 8).astype(np.float32), id="vanishing variance"),
    ],
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("norm", NORMS)
def test_batch_norm_and_its_gradient_are_finite(norm, x, dtype, key):
    layer = norm(dtype=dtype)
    x = jnp.asarray(x, dtype)
    variables = layer.init(key, x, True)

    def loss(params, x):
        y, stats = normalize(layer, {**variables, "params": params}, x)
        return jnp.sum(jnp.sin(y.astype(jnp.float32))), (y, stats)

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
    gradients, (y, stats) = gradient(variables["params"], x)
    assert y.dtype == dtype
    for leaf in jax.tree.leaves((y, stats, gradients)):
        assert jnp.all(jnp.isfinite(leaf))


def test_batch_norm_keeps_its_digits_where_the_mean_is_large(key):
    # E[x²] - E[x]² in float32 would be all rounding at 1e4 (1e8 has 8 units in its last place).
    x = (1e4 + normal(0, 256, 4)).astype(np.float32)
    layer = QuaternionBatchNorm(epsilon=0.0)
    y, _ = normalize(layer, layer.init(key, jnp.asarray(x), True), jnp.asarray(x))
    expected, _, _ = reference.quaternion_batch_norm(x, epsilon=0.0)
    np.testing.assert_allclose(y, expected, atol=5e-3)


def test_batch_norm_computes_bfloat16_statistics_in_float32(key):
    x = jnp.asarray(2 + normal(0, 4096, 4), jnp.bfloat16)
    layer = QuaternionBatchNorm()
    y, stats = normalize(layer, layer.init(key, x, True), x)
    assert y.dtype == jnp.bfloat16
    _, mean, var = reference.quaternion_batch_norm(np.asarray(x, np.float64), epsilon=0.0)
    assert_close(stats["mean"], 0.1 * mean, 1e-5)
    assert_close(stats["var"], 0.9 + 0.1 * var, 1e-5)


def test_batch_norm_turns_no_quaternion(key):
    # Components have one variance, so a centred quaternion keeps its direction.
    x = normal(0, 64, 4) * [1, 5, 0.1, 2]
    x = (x - x.mean(0)).astype(np.float32)
    layer = QuaternionBatchNorm()
    y, _ = normalize(layer, layer.init(key, jnp.asarray(x), True), jnp.asarray(x))
    directions = [v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (x, np.asarray(y))]
    np.testing.assert_allclose(*directions, atol=1e-5)


# --- Batch norm by the covariance ----------------------------------------------------------------


def mixed(seed: int, *shape: int) -> np.ndarray:
    """Numbers whose components are correlated, with means and variances of their own."""
    x = normal(seed, *shape)
    blocks = x.reshape(*x.shape[:-1], 4, -1)
    mixing = normal(seed + 1, 4, 4) + 2 * np.eye(4)
    return (np.einsum("ab,...bn->...an", mixing, blocks) + 3).reshape(shape)


def symmetric(lower):
    """Symmetric matrices `[4, 4, n]` from lower triangles `[10, n]`, entry by entry."""
    result = np.zeros((4, 4, lower.shape[-1]))
    index = 0
    for row in range(4):
        for column in range(row + 1):
            result[row, column] = result[column, row] = lower[index]
            index += 1
    return result


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_whitening_equals_its_definition(dtype, tolerance, key):
    with jax.enable_x64(dtype == jnp.float64):
        layer = WhiteningBatchNorm(momentum=0.8, epsilon=1e-2, param_dtype=dtype)
        x = jnp.asarray(mixed(0, 2, 5, 4, 12), dtype)
        variables = layer.init(key, x, True)
        assert shapes(variables) == {
            "params": {"scale": (10, 3), "bias": (12,)},
            "batch_stats": {"mean": (12,), "cov": (4, 4, 3)},
        }
        scale, bias = normal(1, 10, 3), normal(2, 12)
        params = {"scale": jnp.asarray(scale, dtype), "bias": jnp.asarray(bias, dtype)}
        y, stats = jax.jit(lambda v, x: normalize(layer, v, x))({**variables, "params": params}, x)
        white, mean, cov = reference.whitened(np.asarray(x).reshape(-1, 12), 4, epsilon=1e-2)
        expected = np.einsum("abn,pbn->pan", symmetric(scale), white.reshape(-1, 4, 3))
        assert y.dtype == dtype
        assert_close(y, (expected.reshape(-1, 12) + bias).reshape(x.shape), 10 * tolerance)
        assert {s.dtype for s in stats.values()} == {jnp.dtype(jnp.float32)}
        assert_close(stats["mean"], 0.2 * mean, 1e-6)
        start = 0.8 * np.eye(4)[..., None] / 4
        assert_close(stats["cov"], start + 0.2 * cov, 1e-6)


def test_whitened_quaternions_start_with_unit_variance_and_no_correlation(key):
    # Gaudet & Maida 2018, after Trabelsi et al. 2018: the scale starts so that E|y|² is 1.
    x = jnp.asarray(mixed(0, 256, 8), jnp.float32)
    layer = WhiteningBatchNorm(epsilon=0.0)
    y, _ = normalize(layer, layer.init(key, x, True), x)
    for number in np.moveaxis(np.asarray(y, np.float64).reshape(-1, 4, 2), -1, 0):
        np.testing.assert_allclose(number.T @ number / 256, np.eye(4) / 4, atol=1e-4)


def test_running_covariance_whitens_in_evaluation(key):
    x = mixed(0, 6, 8).astype(np.float32)
    layer = WhiteningBatchNorm(use_running_average=True, epsilon=0.0)
    variables = layer.init(key, jnp.asarray(x))
    # Before any training nothing is changed.
    assert_close(layer.apply(variables, jnp.asarray(x)), x, 1e-5)
    mean = normal(1, 8)
    roots = normal(2, 2, 4, 4) + 2 * np.eye(4)
    cov = np.stack([root @ root.T for root in roots], -1)
    stats = {"mean": jnp.asarray(mean, jnp.float32), "cov": jnp.asarray(cov, jnp.float32)}
    y = layer.apply({**variables, "batch_stats": stats}, jnp.asarray(x))
    centred = (x - mean).reshape(6, 4, 2)
    expected = np.stack(
        [
            np.linalg.solve(np.linalg.cholesky(cov[..., n]), centred[..., n].T).T / 2
            for n in range(2)
        ],
        -1,
    )
    assert_close(y, expected.reshape(6, 8), 1e-4)


def test_whitening_gradients_equal_finite_differences(key):
    with jax.enable_x64(True):
        layer = WhiteningBatchNorm(param_dtype=jnp.float64)
        x = jnp.asarray(mixed(0, 7, 8))
        variables = layer.init(key, x, True)

        def apply(params, x):
            return normalize(layer, {**variables, "params": params}, x)[0]

        check_grads(jax.jit(apply), (variables["params"], x), 1, ["rev"], rtol=1e-5, atol=1e-5)


def test_whitening_computes_bfloat16_statistics_in_float32(key):
    x = jnp.asarray(mixed(0, 4096, 4), jnp.bfloat16)
    layer = WhiteningBatchNorm()
    y, stats = normalize(layer, layer.init(key, x, True), x)
    assert y.dtype == jnp.bfloat16
    _, mean, cov = reference.whitened(np.asarray(x, np.float64), 4, epsilon=0.0)
    assert_close(stats["mean"], 0.1 * mean, 1e-5)
    assert_close(stats["cov"], 0.9 * np.eye(4)[..., None] / 4 + 0.1 * cov, 1e-5)


def test_whitening_does_what_one_variance_cannot(key):
    # Where components are uncorrelated and equal, both norms agree; here they are neither.
    x = jnp.asarray(mixed(0, 64, 4), jnp.float32)
    correlations = []
    for norm in NORMS:
        y, _ = normalize(norm(), norm().init(key, x, True), x)
        correlations.append(np.abs(np.corrcoef(np.asarray(y).T) - np.eye(4)).max())
    assert correlations[0] > 0.1
    assert correlations[1] < 1e-3


# --- Statistics pooling --------------------------------------------------------------------------


@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_statistics_pooling_equals_its_definition(components, masked):
    x = 2 + normal(0, 3, 7, 8)
    lengths = np.array([7, 1, 4] if masked else [7, 7, 7])
    mask = np.arange(7) < lengths[:, None]
    x[~mask] = np.nan  # what lies past the end is never looked at
    layer = StatisticsPooling(components=components)
    pool = jax.jit(lambda x, mask=None: layer.apply({}, x, mask))
    found = pool(jnp.asarray(x, jnp.float32), *([jnp.asarray(mask)] if masked else []))
    assert found.shape == (3, 16)
    assert found.dtype == jnp.float32
    expected = reference.statistics_pooling(x.astype(np.float32), mask, components, 1e-5)
    assert_close(found, expected, 1e-5)


def test_statistics_pooling_keeps_the_blocks_of_quaternions():
    # Features 0 to 7 in four blocks of two: each block's means come before its deviations.
    x = jnp.broadcast_to(jnp.arange(8, dtype=jnp.float32), (1, 5, 8))
    pooled = StatisticsPooling(components=4, epsilon=0.0).apply({}, x)
    assert pooled[0].tolist() == [0, 1, 0, 0, 2, 3, 0, 0, 4, 5, 0, 0, 6, 7, 0, 0]


def test_statistics_pooling_sums_bfloat16_in_float32():
    x = jnp.asarray(1 + normal(0, 1, 5000, 4), jnp.bfloat16)
    found = StatisticsPooling().apply({}, x)
    assert found.dtype == jnp.float32
    values = np.asarray(x, np.float64)
    mask = np.ones((1, 5000), bool)
    assert_close(found, reference.statistics_pooling(values, mask, 1, 1e-5), 1e-5)


@pytest.mark.parametrize("lengths", [[6, 6], [3, 0]])
def test_statistics_pooling_of_constants_has_a_finite_gradient(lengths):
    mask = jnp.arange(6) < jnp.array(lengths)[:, None]
    x = jnp.full((2, 6, 4), 2.0)
    gradient = jax.jit(jax.grad(lambda x: StatisticsPooling().apply({}, x, mask).sum()))(x)
    assert jnp.all(jnp.isfinite(gradient))
    np.testing.assert_array_equal(gradient[~mask], 0)


# --- The algebras' common interface --------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dense", "conv", "conv_transpose"])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("algebra", ALGEBRAS[1:])
def test_algebras_offer_the_same_layers(algebra, kind, use_bias, key):
    """One call makes either algebra's layer, with results of the same shape and dtype."""
    options = {"use_bias": use_bias, "dtype": jnp.bfloat16, "param_dtype": jnp.float32}
    if kind == "dense":
        arguments, x_shape = (8,), (2, 4)
    else:
        arguments, x_shape = (8, 3), (2, 6, 5, 4)
        options |= {"strides": 2, "padding": "SAME" if kind == "conv_transpose" else 1}
        if kind == "conv_transpose":
            options["strides"] = (2, 1)
    x = jax.ShapeDtypeStruct(x_shape, jnp.float32)
    found = []
    weights = []
    for layers in (REAL, algebra):
        layer = getattr(layers, kind)(*arguments, name="layer", **options)
        assert isinstance(layer, nn.Module)
        y, variables = jax.eval_shape(layer.init_with_output, key, x)
        # A learnt rule is the one parameter that not every algebra has.
        found.append((y.shape, y.dtype, sorted(set(variables["params"]) - {"rule"})))
        weights.append(variables["params"]["kernel"].size)
    assert found[0] == found[1]
    assert weights[0] == algebra.components * weights[1]


@pytest.mark.parametrize("algebra", ALGEBRAS[1:])
def test_algebras_offer_the_same_batch_norm(algebra, key):
    x = jax.ShapeDtypeStruct((2, 6, 5, 8), jnp.float32)
    mask = jax.ShapeDtypeStruct((2, 6, 1, 1), bool)
    found = []
    for layers in (REAL, algebra):
        layer = layers.batch_norm(use_running_average=False, dtype=jnp.float32, name="norm")
        y, variables = jax.eval_shape(
            lambda x, mask, layer=layer: layer.init_with_output(key, x, mask=mask), x, mask
        )
        found.append((y.shape, y.dtype, jax.tree.structure(variables)))
    assert found[0] == found[1]


@pytest.mark.parametrize("algebra", ALGEBRAS)
def test_flattening_keeps_the_component_blocks(algebra):
    x = normal(0, 2, 3, 5, 8)
    found = algebra.flatten(jnp.asarray(x, jnp.float32))
    blocks = np.split(x, algebra.components, axis=-1)
    expected = np.concatenate([block.reshape(2, -1) for block in blocks], axis=-1)
    np.testing.assert_array_equal(found, expected.astype(np.float32))


# --- Pooling of windows --------------------------------------------------------------------------


def torch_pooled(x, pool):
    """PyTorch's pooling of `[batch, rows, columns, channels]`, and the gradient of its sines."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    tensor = torch.from_numpy(x.transpose(0, 3, 1, 2)).requires_grad_()
    y = pool(torch.nn.functional, tensor)
    torch.sin(y).sum().backward()
    return y.detach().numpy().transpose(0, 2, 3, 1), tensor.grad.numpy().transpose(0, 2, 3, 1)


def assert_pools_alike(x, pool, torch_pool):
    expected, gradient = torch_pooled(x, torch_pool)
    assert_close(jax.jit(pool)(jnp.asarray(x)), expected, 1e-6)
    assert_close(jax.grad(lambda x: jnp.sin(pool(x)).sum())(jnp.asarray(x)), gradient, 1e-6)


@pytest.mark.parametrize("rows", [2, 5, 6, 7, 8])
@pytest.mark.parametrize(
    ("window", "stride", "padding"), [(3, 2, 0), (3, 2, 1), (2, 2, 0), (2, 3, 0), (3, 5, 1)]
)
def test_max_pool_with_a_partial_last_window_is_pytorchs_ceil_mode(rows, window, stride, padding):
    x = normal(0, 2, rows, 9, 3).astype(np.float32)
    assert_pools_alike(
        x,
        lambda x: max_pool(x, (window,) * 2, (stride,) * 2, padding, partial=True),
        lambda f, x: f.max_pool2d(x, window, stride, padding, ceil_mode=True),
    )


@pytest.mark.parametrize(
    ("window", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (5, 3, 0), (2, 2, 1)]
)
def test_average_pool_is_pytorchs(window, stride, padding):
    x = normal(0, 2, 8, 11, 3).astype(np.float32)
    assert_pools_alike(
        x,
        lambda x: average_pool(x, (window,) * 2, (stride,) * 2, padding),
        lambda f, x: f.avg_pool2d(x, window, stride, padding),
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (6, 7), (13, 7), (14, 20)])
@pytest.mark.parametrize("bins", [(1, 1), (7, 7), (6, 4)])
def test_adaptive_average_pool_is_pytorchs(size, bins):
    x = normal(0, 2, *size, 3).astype(np.float32)
    assert_pools_alike(
        x, lambda x: adaptive_average_pool(x, *bins), lambda f, x: f.adaptive_avg_pool2d(x, bins)
    )


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: average_pool(x, (3, 3), (1, 1), 1),
        lambda x: adaptive_average_pool(x, 2, 2),
        lambda x: max_pool(x, (3, 3), (2, 2), partial=True),
    ],
)
def test_pooling_keeps_the_type_and_sums_in_float32(pool):
    x = jnp.asarray(100 + normal(0, 1, 64, 48, 2), jnp.bfloat16)
    y = pool(x)
    assert y.dtype == jnp.bfloat16
    # The result is rounded once, from the mean of the rounded input.
    expected = pool(x.astype(jnp.float32)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(np.asarray(y, np.float32), np.asarray(expected, np.float32))


@pytest.mark.parametrize("pool", [max_pool, average_pool])
def test_an_image_smaller_than_the_window_is_refused(pool):
    with pytest.raises(InputError, match=f"{pool.__name__}: .*3 x 3 .*, found 2 x 4"):
        pool(jnp.zeros((1, 2, 4, 1)), (3, 3))


def test_pooling_to_no_bins_is_refused():
    with pytest.raises(InputError, match="at least one bin, found 0 x 2"):
        adaptive_average_pool(jnp.zeros((1, 4, 4, 1)), 0, 2)


@pytest.mark.parametrize(("shape", "mask"), [((5, 6), None), ((2, 5, 6), (5,))])
def test_statistics_of_other_axes_are_refused(shape, mask):
    real = None if mask is None else jnp.ones(mask, bool)
    with pytest.raises(
        InputError, match=r"expected input \[batch, frames, features\], .*found"
    ) as e:
        StatisticsPooling().init(jax.random.key(0), jnp.zeros(shape), real)
    assert str(e.value).endswith(f"shape {shape}" + (f" and mask {mask}" if mask else ""))


@pytest.mark.parametrize("algebra", ALGEBRAS)
def test_concatenation_keeps_component_blocks(algebra):
    x, y = normal(0, 2, 8), normal(1, 2, 12)
    q = algebra.components
    # Each component's part of the result is that component's of all, by NumPy.
    expected = [np.split(z, q, axis=-1) for z in (x, y)]
    expected = np.concatenate([part for pair in zip(*expected, strict=True) for part in pair], -1)
    joined = algebra.concatenate([jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)])
    np.testing.assert_array_equal(joined, expected.astype(np.float32))

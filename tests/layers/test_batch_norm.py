"""Batch norm by one variance per value and by the covariance."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from serjax.layers import (
    QUATERNION,
    REAL,
    HypercomplexBatchNorm,
    QuaternionBatchNorm,
    WhiteningBatchNorm,
    phm,
)
from tests.helpers import reference
from tests.helpers.networks import assert_close, shapes
from tests.helpers.strategies import normal

NORMS = [QuaternionBatchNorm, WhiteningBatchNorm]
PRECISIONS = [(jnp.float32, 1e-5), (jnp.float64, 1e-12)]


# --- Batch norm ----------------------------------------------------------------------------------


def normalize(layer, variables, x, **options):
    """Returns the result and the new running statistics in training."""
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


def test_initialization_does_not_update_the_running_statistics(key):
    x = jnp.asarray(5 + normal(0, 6, 8), jnp.float32)
    stats = QuaternionBatchNorm().init(key, x, False)["batch_stats"]
    np.testing.assert_array_equal(stats["mean"], 0)
    np.testing.assert_array_equal(stats["var"], 1)


def test_batch_norm_of_one_component_equals_flax(key):
    x = jnp.asarray(3 + 2 * normal(0, 7, 6), jnp.float32)
    layer, flax = HypercomplexBatchNorm(), nn.BatchNorm(momentum=0.9)
    variables = layer.init(key, x, True)
    y, stats = normalize(layer, variables, x)
    expected, updates = flax.apply(variables, x, False, mutable=["batch_stats"])
    assert_close(y, expected, 1e-5)
    for name, value in updates["batch_stats"].items():
        assert_close(stats[name], value, 1e-5)


@pytest.mark.parametrize("components", [2, 3])
def test_batch_norm_of_other_components_equals_its_definition(components, key):
    x = (3 + 2 * normal(0, 9, 2 * components)).astype(np.float32)
    layer = HypercomplexBatchNorm(components=components, epsilon=1e-2)
    y, stats = normalize(layer, layer.init(key, jnp.asarray(x), True), jnp.asarray(x))
    blocks = x.astype(np.float64).reshape(9, components, 2)
    centered = blocks - blocks.mean(0)
    variances = np.mean(np.sum(centered**2, axis=1), axis=0)
    assert_close(y, (centered / np.sqrt(variances + 1e-2)).reshape(x.shape), 1e-5)
    assert_close(stats["var"], 0.9 + 0.1 * variances, 1e-6)


@pytest.mark.parametrize(
    "make",
    [
        *(pytest.param(a.batch_norm, id=a.name) for a in (REAL, QUATERNION, phm(2))),
        pytest.param(WhiteningBatchNorm, id="whitening"),
    ],
)
def test_masked_positions_have_no_influence_on_batch_norm(make, key):
    layer = make()
    x = jnp.asarray(normal(0, 3, 5, 2, 8), jnp.float32)
    mask = jnp.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
    garbage = jnp.where(mask[..., None, None], x, 1e6)
    variables = layer.init(key, x, True)
    y, stats = normalize(layer, variables, garbage, mask=mask[..., None, None])
    unmasked, expected = normalize(layer, variables, x[mask])
    assert_close(y[mask], unmasked, 1e-5)
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


def test_batch_norm_is_accurate_where_the_mean_is_large(key):
    # E[x²] - E[x]² in float32 would only be rounding errors at 1e4 (the spacing at 1e8 is 8).
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


def test_batch_norm_preserves_the_direction_of_quaternions(key):
    # Components have one variance, so a centered quaternion does not change its direction.
    x = normal(0, 64, 4) * [1, 5, 0.1, 2]
    x = (x - x.mean(0)).astype(np.float32)
    layer = QuaternionBatchNorm()
    y, _ = normalize(layer, layer.init(key, jnp.asarray(x), True), jnp.asarray(x))
    directions = [v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (x, np.asarray(y))]
    np.testing.assert_allclose(*directions, atol=1e-5)


# --- Batch norm by the covariance ----------------------------------------------------------------


def mixed(seed: int, *shape: int) -> np.ndarray:
    """Samples quaternions with correlated components of different means and variances."""
    x = normal(seed, *shape)
    blocks = x.reshape(*x.shape[:-1], 4, -1)
    mixing = normal(seed + 1, 4, 4) + 2 * np.eye(4)
    return (np.einsum("ab,...bn->...an", mixing, blocks) + 3).reshape(shape)


def symmetric(lower):
    """Makes symmetric matrices `[4, 4, n]` from lower triangles `[10, n]`, entry by entry."""
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
    # Gaudet & Maida (2018), after Trabelsi et al. (2018): E|y|² is 1 at the start.
    x = jnp.asarray(mixed(0, 256, 8), jnp.float32)
    layer = WhiteningBatchNorm(epsilon=0.0)
    y, _ = normalize(layer, layer.init(key, x, True), x)
    for value in np.moveaxis(np.asarray(y, np.float64).reshape(-1, 4, 2), -1, 0):
        np.testing.assert_allclose(value.T @ value / 256, np.eye(4) / 4, atol=1e-4)


def test_running_covariance_whitens_in_evaluation(key):
    x = mixed(0, 6, 8).astype(np.float32)
    layer = WhiteningBatchNorm(use_running_average=True, epsilon=0.0)
    variables = layer.init(key, jnp.asarray(x))
    # An untrained layer is the identity.
    assert_close(layer.apply(variables, jnp.asarray(x)), x, 1e-5)
    mean = normal(1, 8)
    roots = normal(2, 2, 4, 4) + 2 * np.eye(4)
    cov = np.stack([root @ root.T for root in roots], -1)
    stats = {"mean": jnp.asarray(mean, jnp.float32), "cov": jnp.asarray(cov, jnp.float32)}
    y = layer.apply({**variables, "batch_stats": stats}, jnp.asarray(x))
    centered = (x - mean).reshape(6, 4, 2)
    expected = np.stack(
        [
            np.linalg.solve(np.linalg.cholesky(cov[..., n]), centered[..., n].T).T / 2
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


def test_only_whitening_removes_correlations(key):
    # Both norms agree where components are uncorrelated with equal variances. Here they are not.
    x = jnp.asarray(mixed(0, 64, 4), jnp.float32)
    correlations = []
    for norm in NORMS:
        y, _ = normalize(norm(), norm().init(key, x, True), x)
        correlations.append(np.abs(np.corrcoef(np.asarray(y).T) - np.eye(4)).max())
    assert correlations[0] > 0.1
    assert correlations[1] < 1e-3

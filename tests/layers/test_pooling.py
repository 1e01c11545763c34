"""Statistics pooling of frames, and pooling of windows of images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax.errors import InputError
from serjax.layers import StatisticsPooling, adaptive_average_pool, average_pool, max_pool
from tests.helpers import reference
from tests.helpers.networks import assert_close
from tests.helpers.strategies import normal
from tests.helpers.type_checks import without_type_checks

# --- Statistics pooling --------------------------------------------------------------------------


@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_statistics_pooling_equals_its_definition(components, masked):
    x = 2 + normal(0, 3, 7, 8)
    lengths = np.array([7, 1, 4] if masked else [7, 7, 7])
    mask = np.arange(7) < lengths[:, None]
    x[~mask] = np.nan  # padding must have no influence
    layer = StatisticsPooling(components=components)
    pool = jax.jit(lambda x, mask=None: layer.apply({}, x, mask))
    pooled = pool(jnp.asarray(x, jnp.float32), *([jnp.asarray(mask)] if masked else []))
    assert pooled.shape == (3, 16)
    assert pooled.dtype == jnp.float32
    expected = reference.statistics_pooling(x.astype(np.float32), mask, components, 1e-5)
    assert_close(pooled, expected, 1e-5)


def test_statistics_pooling_preserves_component_blocks():
    # Features 0 to 7 are four blocks of two. In each block, means come before deviations.
    x = jnp.broadcast_to(jnp.arange(8, dtype=jnp.float32), (1, 5, 8))
    pooled = StatisticsPooling(components=4, epsilon=0.0).apply({}, x)
    assert pooled[0].tolist() == [0, 1, 0, 0, 2, 3, 0, 0, 4, 5, 0, 0, 6, 7, 0, 0]


def test_statistics_pooling_sums_bfloat16_in_float32():
    x = jnp.asarray(1 + normal(0, 1, 5000, 4), jnp.bfloat16)
    pooled = StatisticsPooling().apply({}, x)
    assert pooled.dtype == jnp.float32
    values = np.asarray(x, np.float64)
    mask = np.ones((1, 5000), bool)
    assert_close(pooled, reference.statistics_pooling(values, mask, 1, 1e-5), 1e-5)


@pytest.mark.parametrize("lengths", [[6, 6], [3, 0]])
def test_statistics_pooling_of_constants_has_a_finite_gradient(lengths):
    mask = jnp.arange(6)[None] < jnp.array(lengths)[:, None]
    x = jnp.full((2, 6, 4), 2.0)
    gradient = jax.jit(jax.grad(lambda x: StatisticsPooling().apply({}, x, mask).sum()))(x)
    assert jnp.all(jnp.isfinite(gradient))
    np.testing.assert_array_equal(gradient[~mask], 0)


@pytest.mark.parametrize(("shape", "mask"), [((5, 6), None), ((2, 5, 6), (5,))])
def test_statistics_pooling_checks_the_axes(shape, mask):
    valid = None if mask is None else jnp.ones(mask, bool)
    with (
        without_type_checks(),
        pytest.raises(
            InputError, match=r"expected input \[batch, frames, features\], .*found"
        ) as e,
    ):
        StatisticsPooling().init(jax.random.key(0), jnp.zeros(shape), valid)
    assert str(e.value).endswith(f"shape {shape}" + (f" and mask {mask}" if mask else ""))


# --- Pooling of windows --------------------------------------------------------------------------


def torch_pooled(x, pool):
    """Pools images with PyTorch; returns the result and the gradient of the sum of its sines."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    tensor = torch.from_numpy(x.transpose(0, 3, 1, 2)).requires_grad_()
    y = pool(torch.nn.functional, tensor)
    torch.sin(y).sum().backward()
    return y.detach().numpy().transpose(0, 2, 3, 1), tensor.grad.numpy().transpose(0, 2, 3, 1)


def assert_pools_equal(x, pool, torch_pool):
    expected, gradient = torch_pooled(x, torch_pool)
    assert_close(jax.jit(pool)(jnp.asarray(x)), expected, 1e-6)
    assert_close(jax.grad(lambda x: jnp.sin(pool(x)).sum())(jnp.asarray(x)), gradient, 1e-6)


@pytest.mark.parametrize("rows", [2, 5, 6, 7, 8])
@pytest.mark.parametrize(
    ("window", "stride", "padding"), [(3, 2, 0), (3, 2, 1), (2, 2, 0), (2, 3, 0), (3, 5, 1)]
)
def test_max_pool_with_a_partial_last_window_equals_pytorchs_ceil_mode(
    rows, window, stride, padding
):
    x = normal(0, 2, rows, 9, 3).astype(np.float32)
    assert_pools_equal(
        x,
        lambda x: max_pool(x, (window,) * 2, (stride,) * 2, padding, partial=True),
        lambda f, x: f.max_pool2d(x, window, stride, padding, ceil_mode=True),
    )


@pytest.mark.parametrize(
    ("window", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (5, 3, 0), (2, 2, 1)]
)
def test_average_pool_equals_pytorchs(window, stride, padding):
    x = normal(0, 2, 8, 11, 3).astype(np.float32)
    assert_pools_equal(
        x,
        lambda x: average_pool(x, (window,) * 2, (stride,) * 2, padding),
        lambda f, x: f.avg_pool2d(x, window, stride, padding),
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (6, 7), (13, 7), (14, 20)])
@pytest.mark.parametrize("bins", [(1, 1), (7, 7), (6, 4)])
def test_adaptive_average_pool_equals_pytorchs(size, bins):
    x = normal(0, 2, *size, 3).astype(np.float32)
    assert_pools_equal(
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
def test_pooling_preserves_the_dtype_and_sums_in_float32(pool):
    x = jnp.asarray(100 + normal(0, 1, 64, 48, 2), jnp.bfloat16)
    y = pool(x)
    assert y.dtype == jnp.bfloat16
    # The result is rounded once.
    expected = pool(x.astype(jnp.float32)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(np.asarray(y, np.float32), np.asarray(expected, np.float32))


@pytest.mark.parametrize("pool", [max_pool, average_pool])
def test_an_image_smaller_than_the_window_is_an_error(pool):
    with pytest.raises(InputError, match=f"{pool.__name__}: .*3 x 3 .*, found 2 x 4"):
        pool(jnp.zeros((1, 2, 4, 1)), (3, 3))


def test_pooling_to_no_bins_is_an_error():
    with pytest.raises(InputError, match="at least one bin, found 0 x 2"):
        adaptive_average_pool(jnp.zeros((1, 4, 4, 1)), 0, 2)

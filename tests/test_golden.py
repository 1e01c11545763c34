"""Agreement with public PyTorch layers, whose outputs are in tests/golden (see its README)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import hypercomplex, quaternion
from serjax.layers import QuaternionBatchNorm

GOLDEN = Path(__file__).parent / "golden"


def wave(seed: int, *shape: int) -> np.ndarray:
    index = np.arange(np.prod(shape, dtype=int), dtype=np.float64)
    return np.sin(index**2 / 10 + seed).reshape(shape)


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


def assert_golden(function, x, file, name):
    """Output and input gradient of `function` at PyTorch's `x` against those kept under a name."""
    golden = np.load(GOLDEN / file)
    expected, gradient = golden[name], golden[f"{name}_input_gradient"]
    weights = jnp.asarray(channels_last(wave(9, *expected.shape)))
    x = jnp.asarray(channels_last(x))
    found = function(x)
    np.testing.assert_allclose(found, channels_last(expected), rtol=0, atol=1e-12)
    found = jax.grad(lambda x: jnp.sum(weights * function(x)))(x)
    np.testing.assert_allclose(found, channels_last(gradient), rtol=0, atol=1e-12)


pytestmark = pytest.mark.usefixtures("float64")


def quaternion_weights(*shape: int) -> np.ndarray:
    return np.stack([wave(seed, *shape) for seed in (1, 2, 3, 4)])


@pytest.mark.parametrize("form", ["block", "eight"])
@pytest.mark.parametrize("name", ["QuaternionLinear", "QuaternionLinearAutograd"])
def test_quaternion_dense(name, form):
    kernel, bias = jnp.asarray(quaternion_weights(2, 3)), jnp.asarray(wave(5, 12))
    assert_golden(
        lambda x: quaternion.dense(x, kernel, bias, form=form), wave(0, 5, 8), "orkis.npz", name
    )


# Name, shapes of the input and of one component of the weight in PyTorch's order, options.
CONVOLUTIONS = [
    ("QuaternionConv_1d", (2, 8, 7), (3, 2, 3), {"strides": 2, "padding": 1}),
    (
        "QuaternionConv_2d",
        (2, 8, 7, 6),
        (3, 2, 3, 2),
        {"strides": (2, 1), "padding": (1, 0), "dilation": (1, 2)},
    ),
    ("QuaternionConv_3d", (1, 8, 4, 3, 3), (1, 2, 2, 2, 2), {"padding": 0}),
]


@pytest.mark.parametrize("form", ["block", "eight"])
@pytest.mark.parametrize(("name", "x_shape", "w_shape", "options"), CONVOLUTIONS)
def test_quaternion_conv(name, x_shape, w_shape, options, form):
    # [4, outputs, inputs, *window] to [4, *window, inputs, outputs].
    kernel = np.moveaxis(quaternion_weights(*w_shape), (1, 2), (-1, -2))
    bias = jnp.asarray(wave(5, 4 * w_shape[0]))
    assert_golden(
        lambda x: quaternion.conv(x, jnp.asarray(kernel), bias, form=form, **options),
        wave(0, *x_shape),
        "orkis.npz",
        name,
    )


@pytest.mark.parametrize("form", ["block", "eight"])
def test_quaternion_conv_transpose(form):
    # [4, inputs, outputs, rows, columns], conjugate and reversed.
    kernel = np.moveaxis(quaternion_weights(2, 3, 3, 3), (1, 2), (-2, -1))[:, ::-1, ::-1]
    kernel = kernel * np.array([1, -1, -1, -1]).reshape(4, 1, 1, 1, 1)
    # PyTorch's padding of 1 takes from the 2 that a window of 3 reaches over; its output padding
    # of (1, 0) adds at the end.
    padding, bias = ((1, 2), (1, 1)), jnp.asarray(wave(5, 12))
    assert_golden(
        lambda x: quaternion.conv_transpose(
            x, jnp.asarray(kernel), bias, strides=(2, 1), padding=padding, form=form
        ),
        wave(0, 2, 8, 3, 4),
        "orkis.npz",
        "QuaternionTransposeConv_2d",
    )


@pytest.mark.parametrize("n", [1, 3, 4])
def test_hypercomplex_dense(n):
    rule, bias = jnp.asarray(wave(1, n, n, n)), jnp.asarray(wave(3, 3 * n))
    kernel = jnp.asarray(wave(2, n, 3, 2).transpose(0, 2, 1))
    assert_golden(
        lambda x: hypercomplex.dense(x, rule, kernel, bias),
        wave(0, 5, 2 * n),
        "hypernets.npz",
        f"PHMLinear_{n}",
    )


@pytest.mark.parametrize(
    ("name", "n", "space", "window", "options"),
    [
        ("PHConv1D_3", 3, (8,), (3,), {"padding": 2, "dilation": 2}),
        *((f"PHConv2d_{n}", n, (5, 6), (3, 3), {"padding": 1, "strides": 2}) for n in (1, 3, 4)),
        ("PHConv3D_3", 3, (3, 3, 2), (2, 2, 2), {"padding": 0}),
    ],
)
def test_hypercomplex_conv(name, n, space, window, options):
    rule = jnp.asarray(wave(1, n, n, n))
    kernel = jnp.asarray(np.moveaxis(wave(2, n, 3, 2, *window), (1, 2), (-1, -2)))
    batch = 1 if len(space) == 3 else 2
    assert_golden(
        lambda x: hypercomplex.conv(x, rule, kernel, **options),
        wave(0, batch, 2 * n, *space),
        "hypernets.npz",
        name,
    )


def test_quaternion_batch_norm():
    layer = QuaternionBatchNorm(param_dtype=jnp.float64)
    params = {"scale": jnp.asarray(wave(1, 1)), "bias": jnp.asarray(wave(2, 4))}
    start = {"mean": jnp.zeros(4, jnp.float32), "var": jnp.ones(1, jnp.float32)}
    stats = {}

    def train(x):
        variables = {"params": params, "batch_stats": start}
        y, updates = layer.apply(variables, x, False, mutable=["batch_stats"])
        stats.update(updates["batch_stats"])
        return y

    x = 2 * wave(0, 3, 4, 5, 2) + 1
    train(jnp.asarray(channels_last(x)))
    golden = np.load(GOLDEN / "qgan.npz")
    # Running statistics are float32 here.
    np.testing.assert_allclose(stats["mean"], golden["moving_mean"], rtol=1e-6)
    np.testing.assert_allclose(stats["var"], golden["moving_var"], rtol=1e-6)
    x_eval = jnp.asarray(channels_last(wave(3, 3, 4, 5, 2)))
    y = layer.apply({"params": params, "batch_stats": dict(stats)}, x_eval, True)
    np.testing.assert_allclose(y, channels_last(golden["eval"]), rtol=0, atol=1e-6)
    assert_golden(train, x, "qgan.npz", "train")

"""Choice of the form of a quaternion convolution."""

import functools

import jax
import jax.numpy as jnp
import pytest

from serjax import quaternion
from serjax.ops.cpu import has_threaded_convolutions


@pytest.fixture(autouse=True)
def eigen():
    """Skips the tests where the choice was not measured."""
    if jax.default_backend() != "cpu" or not has_threaded_convolutions():
        pytest.skip("measured on CPUs with Eigen's convolutions")


@pytest.mark.parametrize(
    ("x", "kernel_size", "outputs", "strides", "products"),
    [
        ((20, 16, 16, 256), 3, 256, 1, 8),
        ((20, 4, 4, 512), 3, 512, 1, 8),
        ((20, 16, 16, 128), 3, 256, 2, 8),
        ((20, 64, 64, 64), 3, 64, 1, 1),  # many positions: the sums do not fit into the cache
        ((20, 32, 32, 64), 3, 128, 2, 1),  # strides: sums at all positions, products at few
        ((20, 16, 16, 64), 1, 256, 1, 1),  # few products per value
        ((20, 64, 64, 4), 3, 64, 1, 1),  # one quaternion
    ],
)
def test_eight_products_where_they_save_more_than_the_sums_cost(
    x, kernel_size, outputs, strides, products
):
    kernel = jax.ShapeDtypeStruct(
        (4, kernel_size, kernel_size, x[-1] // 4, outputs // 4), jnp.float32
    )
    convolve = jax.jit(functools.partial(quaternion.conv, strides=strides))
    text = convolve.lower(jax.ShapeDtypeStruct(x, jnp.float32), kernel).as_text()
    count = text.count("stablehlo.convolution") + text.count("stablehlo.dot_general")
    assert count == products


def test_a_transposed_convolution_counts_its_output_positions():
    kernel = jax.ShapeDtypeStruct((4, 3, 3, 32, 32), jnp.float32)

    def products(batch: int) -> int:
        x = jax.ShapeDtypeStruct((batch, 16, 16, 128), jnp.float32)
        convolve = jax.jit(functools.partial(quaternion.conv_transpose, strides=2))
        return convolve.lower(x, kernel).as_text().count("stablehlo.convolution")

    # Each product is one convolution per remainder; 20 x 256 positions become four times as many.
    assert products(20) * 8 == products(2)

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from serjax.ops import kernel_gradient, real_convolution
from serjax.ops.convolution import conv_general_dilated

# XLA's convolution and its derivative are the independent definition.


def xla(x, kernel, strides, padding, dilation):
    space = "DHW"[-len(strides) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
    )


@st.composite
def convolutions(draw):
    rank = draw(st.integers(1, 3))
    kernel_size = draw(st.tuples(*[st.integers(1, 3)] * rank))
    strides = draw(st.tuples(*[st.integers(1, 2)] * rank))
    dilation = draw(st.tuples(*[st.integers(1, 2)] * rank))
    padding = draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * rank))
    space = draw(st.tuples(*[st.integers(5, 8)] * rank))
    batch, inputs, outputs = draw(st.tuples(*[st.integers(1, 3)] * 3))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, *space, inputs))
    kernel = rng.normal(size=(*kernel_size, inputs, outputs))
    return x, kernel, strides, padding, dilation


def kernel_gradient_by(patch, *, patches, piece_bytes):
    """Selects the form of the derivative, which depends on the size, for small arrays."""
    patch.delenv("XLA_FLAGS", raising=False)
    patch.setattr(kernel_gradient, "_PIECE_BYTES", piece_bytes)
    patch.setattr(kernel_gradient, "_MIN_PRODUCTS", 0 if patches else 10**9)
    patch.setattr(kernel_gradient, "_MIN_PRODUCTS_PER_POSITION", 0)


# The sizes give pieces of one row, of some rows or an image, and of the whole batch.
@settings(max_examples=20, deadline=None)
@given(
    case=convolutions(),
    piece_bytes=st.sampled_from([1, 600, 3000, 10**6]),
    by_patches=st.booleans(),
)
def test_derivatives_equal_xlas(case, piece_bytes, by_patches):
    x, kernel, *options = case

    @jax.jit
    def both(x, kernel):
        expected, vjp_expected = jax.vjp(lambda x, k: xla(x, k, *options), x, kernel)
        y, vjp = jax.vjp(
            lambda x, k: real_convolution._conv_with_custom_gradient(x, k, *options, None),
            x,
            kernel,
        )
        cotangent = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
        return (y, *vjp(cotangent)), (expected, *vjp_expected(cotangent))

    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        kernel_gradient_by(patch, patches=by_patches, piece_bytes=piece_bytes)
        for actual, expected in zip(*both(jnp.asarray(x), jnp.asarray(kernel)), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("padding", "strides"), [(0, (1, 1)), (1, (1, 1)), (0, (2, 1))])
def test_kernel_of_one_position_equals_xlas_convolution(padding, strides, float64):
    rng = np.random.default_rng(2)
    x, kernel = (
        jnp.asarray(rng.normal(size=(2, 5, 4, 6))),
        jnp.asarray(rng.normal(size=(1, 1, 6, 3))),
    )
    options = strides, ((padding, padding), (0, 0)), (1, 1)
    expected_y, vjp_expected = jax.vjp(lambda x, k: xla(x, k, *options), x, kernel)
    y, vjp = jax.vjp(lambda x, k: real_convolution.conv(x, k, *options), x, kernel)
    cotangent = jnp.cos(y)
    for actual, expected in zip(
        (y, *vjp(cotangent)), (expected_y, *vjp_expected(cotangent)), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(
    case=convolutions(),
    name=st.sampled_from(["SAME", "VALID", None]),
    piece_bytes=st.sampled_from([1, 600]),
    by_patches=st.booleans(),
)
def test_transposed_derivatives_equal_xlas(case, name, piece_bytes, by_patches):
    x, kernel, strides, pairs, _ = case
    space = "DHW"[-len(strides) :]
    numbers = f"N{space}C", f"{space}IO", f"N{space}C"
    # Pairs pad the input dilated by the strides; the result needs at least one position.
    padding = name or [(a + n - 1, b) for (a, b), n in zip(pairs, kernel.shape, strict=False)]

    @jax.jit
    def both(x, kernel):
        expected, vjp_expected = jax.vjp(
            lambda x, k: lax.conv_transpose(x, k, strides, padding, dimension_numbers=numbers),
            x,
            kernel,
        )
        y, vjp = jax.vjp(
            lambda x, k: real_convolution.conv_transpose(x, k, strides, padding), x, kernel
        )
        cotangent = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
        return (y, *vjp(cotangent)), (expected, *vjp_expected(cotangent))

    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        kernel_gradient_by(patch, patches=by_patches, piece_bytes=piece_bytes)
        for actual, expected in zip(*both(jnp.asarray(x), jnp.asarray(kernel)), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="XLA's derivative is used on other backends"
)
@pytest.mark.parametrize(
    ("shape", "inputs", "outputs", "kernel_size", "stride", "has_products"),
    [
        ((8, 32, 32), 16, 16, 3, 1, True),
        ((7, 32, 32), 16, 16, 3, 1, False),  # too few products
        ((99, 32, 32), 7, 9, 3, 1, False),  # too few channels
        ((1, 2, 2), 2, 2, 1, 1, True),
        ((4, 64, 64), 64, 64, 1, 2, True),
    ],
)
def test_matrix_products_are_used_where_they_are_faster(
    shape, inputs, outputs, kernel_size, stride, has_products, monkeypatch
):
    monkeypatch.delenv("XLA_FLAGS", raising=False)

    def gradient(x, kernel):
        pairs = ((kernel_size // 2,) * 2,) * 2
        run = lambda k: real_convolution.conv(x, k, (stride,) * 2, pairs, (1, 1)).sum()  # noqa: E731
        return jax.grad(run)(kernel)

    x = jax.ShapeDtypeStruct((*shape, inputs), jnp.float32)
    kernel = jax.ShapeDtypeStruct((kernel_size, kernel_size, inputs, outputs), jnp.float32)
    text = jax.jit(gradient).lower(x, kernel).as_text()
    assert ("dot_general" in text) == has_products


@pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="XLA's derivative is used on other backends"
)
@pytest.mark.parametrize("by_patches", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_loops_contain_only_fast_convolutions(by_patches, transposed, monkeypatch):
    kernel_gradient_by(monkeypatch, patches=by_patches, piece_bytes=2**20)
    channels = 16

    def loss(kernel, x):
        if transposed:
            y = real_convolution.conv_transpose(x, kernel, (2, 2), "SAME")
        else:
            y = real_convolution.conv(x, kernel, (2, 2), ((1, 1), (1, 1)), (1, 1))
        return jnp.sum(jnp.square(y))

    def steps(kernel, examples):
        def step(kernel, x):
            grad_kernel, grad_x = jax.grad(loss, (0, 1))(kernel, x)
            return kernel - grad_kernel, grad_x

        return lax.scan(step, kernel, examples)

    examples = jnp.zeros((3, 16, 32, 32, channels))
    kernel = jnp.zeros((3, 3, channels, channels))
    text = jax.jit(steps).lower(kernel, examples).compile().as_text()
    orders = set(re.findall(r"convolution\(.*dim_labels=(\S+?),? ", text))
    assert orders == {"b01f_01io->b01f"}


def test_bfloat16_sums_in_float32():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 64, 64, 4)), jnp.bfloat16)
    kernel = jnp.zeros((3, 3, 4, 4), jnp.bfloat16)
    options = (1, 1), ((1, 1), (1, 1)), (1, 1)

    def gradient(run, x, kernel):
        return jax.vjp(lambda k: run(x, k), kernel)[1](x)[0]

    actual = gradient(
        lambda x, k: real_convolution._conv_with_custom_gradient(x, k, *options, None), x, kernel
    )
    assert actual.dtype == jnp.bfloat16
    with jax.enable_x64(True):
        exact = gradient(
            lambda x, k: xla(x, k, *options), x.astype(jnp.float64), kernel.astype(jnp.float64)
        )
    # The result is rounded once, to 8 bits.
    np.testing.assert_allclose(np.asarray(actual, np.float64), exact, rtol=2**-8, atol=0.1)


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((2, 1), (0, 3))])
def test_flax_arguments_have_xlas_meaning(padding, float64):
    rng = np.random.default_rng(1)
    x, kernel = (
        jnp.asarray(rng.normal(size=(2, 9, 8, 6))),
        jnp.asarray(rng.normal(size=(3, 2, 6, 4))),
    )
    numbers = ("NHWC", "HWIO", "NHWC")
    for options in ({}, {"rhs_dilation": (2, 1)}):
        actual = conv_general_dilated(
            x, kernel, (2, 1), padding, dimension_numbers=numbers, **options
        )
        expected = lax.conv_general_dilated(
            x, kernel, (2, 1), padding, dimension_numbers=numbers, **options
        )
        np.testing.assert_array_equal(actual, expected)
    groups = {"feature_group_count": 2, "dimension_numbers": numbers}
    np.testing.assert_array_equal(
        conv_general_dilated(x, kernel[:, :, :3], (1, 1), "SAME", **groups),
        lax.conv_general_dilated(x, kernel[:, :, :3], (1, 1), "SAME", **groups),
    )

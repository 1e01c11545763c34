import functools
import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from jax.test_util import check_grads

from serjax import quaternion
from serjax.errors import InputError
from serjax.quaternion import products
from tests.helpers import reference
from tests.helpers.strategies import convolutions, normal
from tests.helpers.type_checks import without_type_checks

FORMS = ("block", "eight", "stacked")

components = st.floats(-100, 100, allow_subnormal=False)


def quaternions(count: int):
    """Generates `count` arrays of three quaternions, float64 `[12]`."""
    return st.tuples(*[st_numpy.arrays(np.float64, 12, elements=components)] * count)


def assert_equal_within(actual, expected, relative=1e-12, scale=None):
    """Compares relative to the largest value, because the terms of a single value may cancel."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    scale = max(np.abs(expected).max(initial=0), 1e-30) if scale is None else scale
    np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * scale)


# --- Algebra -------------------------------------------------------------------------------------


def test_units_multiply_as_in_the_table():
    unit = np.eye(4, dtype=np.float32)
    for a, b in itertools.product(range(4), repeat=2):
        sign, product = reference.UNIT_PRODUCTS[a][b]
        actual = quaternion.hamilton_product(jnp.asarray(unit[a]), jnp.asarray(unit[b]))
        np.testing.assert_array_equal(actual, sign * unit[product])


def test_the_table_of_units_follows_from_hamiltons_equations():
    one, i, j, k = np.eye(4)
    for unit in (i, j, k):
        np.testing.assert_array_equal(reference.hamilton(unit, unit), -one)
    np.testing.assert_array_equal(reference.hamilton(reference.hamilton(i, j), k), -one)


def test_product_does_not_commute():
    i, j = jnp.array([0.0, 1, 0, 0]), jnp.array([0.0, 0, 1, 0])
    forward, backward = quaternion.hamilton_product(i, j), quaternion.hamilton_product(j, i)
    np.testing.assert_array_equal(forward, -backward)
    assert jnp.any(forward != 0)


@given(quaternions(2))
def test_product_equals_that_of_single_quaternions(pair):
    p, q = pair
    expected = reference.to_channels(
        reference.hamilton(reference.to_quaternions(p), reference.to_quaternions(q))
    )
    with jax.enable_x64(True):
        actual = quaternion.hamilton_product(jnp.asarray(p), jnp.asarray(q))
        assert_equal_within(actual, expected, scale=1e4)


@given(quaternions(3))
def test_product_is_associative_and_distributive(triple):
    with jax.enable_x64(True):
        p, q, r = map(jnp.asarray, triple)
        product = quaternion.hamilton_product
        assert_equal_within(product(product(p, q), r), product(p, product(q, r)), scale=1e6)
        assert_equal_within(product(p, q + r), product(p, q) + product(p, r), scale=1e4)
        assert_equal_within(product(p + q, r), product(p, r) + product(q, r), scale=1e4)


@given(quaternions(2))
def test_moduli_multiply_and_conjugates_reverse(pair):
    with jax.enable_x64(True):
        p, q = map(jnp.asarray, pair)
        product, conjugate = quaternion.hamilton_product, quaternion.conjugate
        assert_equal_within(
            quaternion.modulus(product(p, q)),
            quaternion.modulus(p) * quaternion.modulus(q),
            scale=1e4,
        )
        assert_equal_within(
            conjugate(product(p, q)), product(conjugate(q), conjugate(p)), scale=1e4
        )
        # p times its conjugate is real, |p|².
        square = product(p, conjugate(p))
        assert_equal_within(square[:3], jnp.square(quaternion.modulus(p)), scale=1e4)
        assert_equal_within(square[3:], jnp.zeros(9), scale=1e4)


def test_leading_axes_broadcast(float64):
    p, q = normal(0, 5, 1, 8), normal(1, 3, 8)
    actual = quaternion.hamilton_product(jnp.asarray(p), jnp.asarray(q))
    assert actual.shape == (5, 3, 8)
    expected = reference.hamilton(reference.to_quaternions(p), reference.to_quaternions(q))
    assert_equal_within(actual, reference.to_channels(expected))


@given(quaternions(2))
def test_block_matrix_is_the_product(pair):
    with jax.enable_x64(True):
        w, x = map(jnp.asarray, pair)
        # With three inputs and one output, the result is the sum of three products.
        matrix = quaternion.block_matrix(w.reshape(4, 3, 1))
        assert matrix.shape == (12, 4)
        expected = quaternion.hamilton_product(w, x).reshape(4, 3).sum(-1)
        assert_equal_within(x @ matrix, expected, scale=1e5)


# --- Dense layer and convolutions, in all forms -------------------------------------------------


def expected_conv(x, kernel, *, strides, padding, dilation, groups=1):
    space, kernel_size = x.shape[1:-1], kernel.shape[1:-2]
    if isinstance(padding, str):
        same = reference.same_padding(space, kernel_size, strides, dilation)
        padding = same if padding.upper() == "SAME" else [(0, 0)] * len(space)
    elif isinstance(padding, int):
        padding = [(padding, padding)] * len(space)
    return reference.quaternion_conv(x, kernel, strides, list(padding), dilation, groups)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=8)
@given(
    shape=st.lists(st.integers(1, 3), max_size=2),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 2**31),
)
def test_dense_equals_its_definition(form, shape, sizes, seed):
    inputs, outputs = sizes
    x, kernel = normal(seed, *shape, 4 * inputs), normal(seed + 1, 4, inputs, outputs)
    bias = normal(seed + 2, 4 * outputs)
    with jax.enable_x64(True):
        dense = jax.jit(lambda *a: quaternion.dense(*a, form=form))
        actual = dense(*map(jnp.asarray, (x, kernel, bias)))
        assert_equal_within(actual, reference.quaternion_dense(x, kernel) + bias)


@settings(max_examples=10)
@given(convolutions(components=4))
def test_conv_equals_its_definition(case):
    x, kernel, options = case
    expected = expected_conv(x, kernel, **options)
    with jax.enable_x64(True):
        for form in FORMS:
            conv = jax.jit(lambda x, w, form=form: quaternion.conv(x, w, form=form, **options))
            assert_equal_within(conv(jnp.asarray(x), jnp.asarray(kernel)), expected)


@settings(max_examples=10)
@given(convolutions(components=4, transposed=True))
def test_conv_transpose_equals_its_definition(case):
    x, kernel, options = case
    padding = options["padding"]
    if isinstance(padding, int):
        padding = [(padding, padding)] * (x.ndim - 2)
    elif isinstance(padding, str):
        padding = padding.upper()
    expected = reference.quaternion_conv_transpose(x, kernel, options["strides"], padding)
    with jax.enable_x64(True):
        for form in FORMS:
            conv = jax.jit(
                lambda x, w, form=form: quaternion.conv_transpose(x, w, form=form, **options)
            )
            assert_equal_within(conv(jnp.asarray(x), jnp.asarray(kernel)), expected)


@pytest.mark.parametrize("form", FORMS)
def test_conv_in_three_dimensions_with_bias(form, float64):
    x, kernel, bias = normal(0, 1, 3, 4, 3, 8), normal(1, 4, 2, 3, 1, 2, 1), normal(2, 4)
    actual = quaternion.conv(*map(jnp.asarray, (x, kernel, bias)), strides=(1, 2, 1), form=form)
    expected = expected_conv(x, kernel, strides=(1, 2, 1), padding="SAME", dilation=(1, 1, 1))
    assert_equal_within(actual, expected + bias)


def test_transposed_same_multiplies_each_axis_by_its_stride(float64):
    x, kernel = jnp.asarray(normal(0, 1, 5, 4, 4)), jnp.asarray(normal(1, 4, 3, 3, 1, 2))
    assert quaternion.conv_transpose(x, kernel, strides=(3, 2)).shape == (1, 15, 8, 8)


# One case per function for tests of other properties than values: (function, x, kernel).
PRODUCTS = {
    "dense": (quaternion.dense, (3, 8), (4, 2, 3)),
    "conv": (
        lambda *a, **o: quaternion.conv(*a, strides=2, padding=((1, 0), (0, 1)), **o),
        (2, 5, 4, 8),
        (4, 3, 2, 2, 3),
    ),
    "grouped conv": (
        lambda *a, **o: quaternion.conv(*a, groups=2, dilation=2, **o),
        (2, 5, 4, 16),
        (4, 3, 2, 2, 4),
    ),
    "conv_transpose": (
        lambda *a, **o: quaternion.conv_transpose(*a, strides=2, **o),
        (2, 3, 2, 8),
        (4, 3, 2, 2, 3),
    ),
}


@pytest.fixture(params=PRODUCTS)
def product(request):
    function, x_shape, kernel_shape = PRODUCTS[request.param]
    return function, normal(0, *x_shape), normal(1, *kernel_shape)


def test_gradients_equal_those_of_the_block_form_and_finite_differences(product, float64):
    function, *arguments = product
    arguments = [jnp.asarray(a) for a in arguments]
    weights = jnp.asarray(normal(2, *function(*arguments).shape))
    gradients = []
    for form in ("eight", "block"):

        def loss(x, kernel, form=form):
            # A square, so that the gradient depends on the result.
            return jnp.sum(weights * jnp.square(function(x, kernel, form=form)))

        gradients.append(jax.jit(jax.grad(loss, argnums=(0, 1)))(*arguments))
    # Finite differences of the block form compile faster; the eight-product form is compared to it.
    check_grads(jax.jit(loss), arguments, order=1, modes=["rev"], rtol=1e-6, atol=1e-6)
    for eight, block in zip(*gradients, strict=True):
        assert_equal_within(eight, block)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_of_components_are_concatenated_not_padded(form):
    def loss(kernel, x):
        return jnp.sum(jnp.square(quaternion.dense(x, kernel, form=form)))

    text = str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(jnp.ones((4, 3, 2)), jnp.ones((5, 12))))
    assert "concatenate" in text
    assert "pad[" not in text
    assert "scatter" not in text


@pytest.mark.parametrize(
    ("shape", "pieces"),
    [((12, 5, 4), 3), ((13, 5, 4), 1), ((7, 5, 4), 1), ((5, 12, 10), 5), ((11, 7, 4), 11)],
)
def test_products_in_pieces_equal_the_whole_product(shape, pieces, float64, monkeypatch):
    monkeypatch.setattr(products, "_PIECE_BYTES", 1)  # only the kernel's size matters
    x, kernel = jnp.asarray(normal(5, *shape, 4)), jnp.asarray(normal(6, 4, 3, 3, 1, 1))

    def with_gradients(form, x, kernel):
        y, vjp = jax.vjp(functools.partial(quaternion.conv, form=form), x, kernel)
        return y, *vjp(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    program = jax.jit(functools.partial(with_gradients, "eight"))
    lengths = re.findall(r"length=(\d+)", str(program.trace(x, kernel).jaxpr))
    assert lengths == ([str(pieces)] * 2 if pieces > 1 else [])
    for eight, block in zip(program(x, kernel), with_gradients("block", x, kernel), strict=True):
        assert_equal_within(eight, block)


# One directional derivative per case is faster than a finite difference of each entry.
@settings(max_examples=6)
@given(convolutions(components=4))
def test_gradients_of_random_convolutions_equal_the_definitions(case):
    """Compares inner products of the gradients with a random direction.

    A product is linear in each factor, so its derivative along a direction is the product with the
    direction.
    """
    x, kernel, options = case
    directions = [normal(2, *x.shape), normal(3, *kernel.shape)]
    derivatives = [
        expected_conv(directions[0], kernel, **options),
        expected_conv(x, directions[1], **options),
    ]
    weights = normal(4, *derivatives[0].shape)
    with jax.enable_x64(True):
        for form in FORMS:

            def loss(x, kernel, form=form):
                return jnp.sum(
                    jnp.asarray(weights) * quaternion.conv(x, kernel, form=form, **options)
                )

            gradients = jax.jit(jax.grad(loss, (0, 1)))(jnp.asarray(x), jnp.asarray(kernel))
            for gradient, direction, expected in zip(
                gradients, directions, derivatives, strict=True
            ):
                scale = np.sum(np.abs(weights * expected))
                actual = np.sum(np.asarray(gradient) * direction)
                assert_equal_within(actual, np.sum(weights * expected), scale=scale)


@settings(max_examples=6)
@given(convolutions(components=4), st.sampled_from((jnp.float32, jnp.bfloat16)))
def test_random_convolutions_are_accurate_in_low_precision(case, dtype):
    """Bounds errors by a few roundings of the sum of the moduli of all terms."""
    x, kernel, options = case
    x, kernel = (np.asarray(jnp.asarray(a, dtype), np.float64) for a in (x, kernel))
    expected = expected_conv(x, kernel, **options)
    # Moduli are quaternions without imaginary part, so the real part of the product sums them.
    moduli = np.linalg.norm(reference.to_quaternions(x), axis=-1)
    x_moduli = np.concatenate([moduli, np.zeros((*moduli.shape[:-1], 3 * moduli.shape[-1]))], -1)
    kernel_moduli = np.zeros_like(kernel)
    kernel_moduli[0] = np.linalg.norm(kernel, axis=0)
    size = expected_conv(x_moduli, kernel_moduli, **options)
    size = np.tile(size[..., : size.shape[-1] // 4], 4)
    for form in FORMS:
        conv = jax.jit(lambda x, w, form=form: quaternion.conv(x, w, form=form, **options))
        actual = conv(jnp.asarray(x, dtype), jnp.asarray(kernel, dtype))
        assert actual.dtype == dtype
        error = np.abs(np.asarray(actual, np.float64) - expected)
        assert np.all(error <= 4 * float(jnp.finfo(dtype).eps) * size)


@pytest.mark.parametrize("form", [*FORMS, None])
def test_eager_equals_jit(product, form):
    function, *arguments = product
    arguments = [jnp.asarray(a, jnp.float32) for a in arguments]
    eager = function(*arguments, form=form)
    assert eager.dtype == jnp.float32
    compiled = jax.jit(lambda *a: function(*a, form=form))(*arguments)
    assert_equal_within(compiled, eager, 1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_vmap_equals_a_loop(product, form, float64):
    function, x, kernel = product
    xs, kernels = jnp.stack([jnp.asarray(x)] * 2), jnp.asarray(normal(3, 2, *kernel.shape))
    apply = jax.jit(lambda x, w: function(x, w, form=form))
    expected = np.stack([apply(*pair) for pair in zip(xs, kernels, strict=True)])
    assert_equal_within(jax.vmap(apply)(xs, kernels), expected)
    assert_equal_within(jax.vmap(apply, (None, 0))(xs[0], kernels), expected)


@pytest.mark.parametrize(("dtype", "bound"), [(jnp.float32, 1e-6), (jnp.bfloat16, 1e-2)])
def test_low_precision_errors_are_bounded(dtype, bound):
    # The layer is so wide that rounding errors average out. The mean error of eight products, which
    # add and subtract larger sums, is close to that of the block form.
    x, kernel = normal(0, 2, 8, 8, 64), normal(1, 4, 3, 3, 16, 16)
    rounded = [np.asarray(jnp.asarray(a, dtype), np.float64) for a in (x, kernel)]
    with jax.enable_x64(True):
        exact = np.asarray(quaternion.conv(*map(jnp.asarray, rounded), form="block"))
    errors = {}
    for form in FORMS:
        actual = quaternion.conv(jnp.asarray(x, dtype), jnp.asarray(kernel, dtype), form=form)
        assert actual.dtype == dtype
        difference = np.asarray(actual, np.float64) - exact
        errors[form] = np.sqrt(np.mean(difference**2) / np.mean(exact**2))
    assert errors["block"] < bound
    assert errors["eight"] < 4 * errors["block"] + float(jnp.finfo(dtype).eps)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("strides", "padding", "dilation"), [(1, 1, 1), (2, 0, 1), ((1, 2), (2, 1), (2, 1))]
)
def test_conv_equals_pytorch_with_the_block_matrix_as_weight(
    strides, padding, dilation, form, float64
):
    torch = pytest.importorskip("torch")
    x, kernel = normal(0, 2, 7, 6, 12), normal(1, 4, 3, 2, 3, 2)
    weight = np.zeros((8, 12, 3, 2))
    for a, b in itertools.product(range(4), repeat=2):
        sign, unit = reference.UNIT_PRODUCTS[a][b]
        weight[2 * unit : 2 * unit + 2, 3 * b : 3 * b + 3] = sign * kernel[a].transpose(3, 2, 0, 1)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(x).permute(0, 3, 1, 2),
        torch.from_numpy(weight),
        stride=strides,
        padding=padding,
        dilation=dilation,
    ).permute(0, 2, 3, 1)
    actual = quaternion.conv(
        jnp.asarray(x),
        jnp.asarray(kernel),
        strides=strides,
        padding=padding,
        dilation=dilation,
        form=form,
    )
    assert_equal_within(actual, expected.numpy())


# --- Errors --------------------------------------------------------------------------------------


def ones(*shape: int) -> jax.Array:
    return jnp.ones(shape)


ERRORS = {
    "left channels": (
        lambda: quaternion.hamilton_product(ones(6), ones(6)),
        "hamilton_product, left: .*multiple of 4, found 6",
    ),
    "unequal channels": (
        lambda: quaternion.hamilton_product(ones(4), ones(8)),
        "same number of channels, found 4 and 8",
    ),
    "conjugate": (lambda: quaternion.conjugate(ones(2, 5)), "conjugate: .*multiple of 4, found 5"),
    "modulus": (lambda: quaternion.modulus(ones(7)), "modulus: .*multiple of 4, found 7"),
    "dense channels": (
        lambda: quaternion.dense(ones(2, 6), ones(4, 2, 1)),
        "quaternion dense, input: .*multiple of 4, found 6",
    ),
    "dense kernel": (
        lambda: quaternion.dense(ones(2, 8), ones(4, 3, 1)),
        r"input \(2, 8\) has shape \[4, ..., 2, outputs / 4\], found \(4, 3, 1\)",
    ),
    "dense components": (
        lambda: quaternion.dense(ones(2, 8), ones(3, 2, 1)),
        r"found \(3, 2, 1\)",
    ),
    "dense rank": (
        lambda: quaternion.dense(ones(2, 8), ones(4, 5, 2, 1)),
        r"a kernel \[4, inputs / 4, outputs / 4\], found \(2, 8\) and \(4, 5, 2, 1\)",
    ),
    "dense bias": (
        lambda: quaternion.dense(ones(2, 8), ones(4, 2, 1), ones(1)),
        r"expected a bias of shape \(4,\), found \(1,\)",
    ),
    "conv rank": (
        lambda: quaternion.conv(ones(1, 5, 8), ones(4, 3, 3, 2, 1)),
        r"kernel \(4, 3, 3, 2, 1\) takes input of rank 4, found \(1, 5, 8\)",
    ),
    "conv too many axes": (
        lambda: quaternion.conv(ones(1, 2, 2, 2, 2, 4), ones(4, 1, 1, 1, 1, 1, 1)),
        "quaternion conv: a kernel",
    ),
    "conv strides of none": (
        lambda: quaternion.conv(ones(1, 5, 4), ones(4, 3, 1, 2), strides=0),
        r"strides: expected whole numbers from 1 on, found \(0,\)",
    ),
    "conv strides of text": (
        lambda: quaternion.conv(ones(1, 5, 5, 4), ones(4, 3, 3, 1, 2), strides="2"),
        r"strides: expected 2 entries, one per axis, found \('2',\)",
    ),
    "conv dilation of halves": (
        lambda: quaternion.conv(ones(1, 5, 4), ones(4, 3, 1, 2), dilation=1.5),
        r"dilation: expected whole numbers from 1 on, found \(1.5,\)",
    ),
    "conv_transpose strides of none": (
        lambda: quaternion.conv_transpose(ones(1, 5, 5, 4), ones(4, 3, 3, 1, 2), strides=(2, 0)),
        r"strides: expected whole numbers from 1 on, found \(2, 0\)",
    ),
    "conv without space": (
        lambda: quaternion.conv(ones(1, 4), ones(4, 1, 1)),
        "quaternion conv: a kernel",
    ),
    "conv channels": (
        lambda: quaternion.conv(ones(1, 5, 5), ones(4, 3, 1, 1)),
        "quaternion conv, input: .*multiple of 4, found 5",
    ),
    "conv kernel": (
        lambda: quaternion.conv(ones(1, 5, 16), ones(4, 3, 4, 2), groups=2),
        r"has shape \[4, ..., 2, outputs / 4\], found \(4, 3, 4, 2\)",
    ),
    "conv groups of outputs": (
        lambda: quaternion.conv(ones(1, 5, 16), ones(4, 3, 2, 3), groups=2),
        "quaternion conv: 3 outputs / 4 cannot be split into 2 groups",
    ),
    "conv no groups": (
        lambda: quaternion.conv(ones(1, 5, 16), ones(4, 3, 2, 3), groups=0),
        "at least 1 group, found 0",
    ),
    "conv bias": (
        lambda: quaternion.conv(ones(1, 5, 4), ones(4, 3, 1, 2), ones(2)),
        r"expected a bias of shape \(8,\), found \(2,\)",
    ),
    "conv padding entries": (
        lambda: quaternion.conv(ones(1, 5, 5, 4), ones(4, 3, 3, 1, 1), padding=[1]),
        r"padding: expected 2 entries, one per axis, found \(1,\)",
    ),
    "conv padding name": (
        lambda: quaternion.conv(ones(1, 5, 5, 4), ones(4, 3, 3, 1, 1), padding="full"),
        "padding: expected 'SAME', 'VALID' or numbers, found 'full'",
    ),
    "conv strides": (
        lambda: quaternion.conv(ones(1, 5, 5, 4), ones(4, 3, 3, 1, 1), strides=(1, 2, 3)),
        r"strides: expected 2 entries, one per axis, found \(1, 2, 3\)",
    ),
    "conv dilation": (
        lambda: quaternion.conv(ones(1, 5, 5, 4), ones(4, 3, 3, 1, 1), dilation=(2,)),
        r"dilation: expected 2 entries, one per axis, found \(2,\)",
    ),
    "transposed rank": (
        lambda: quaternion.conv_transpose(ones(1, 5, 8), ones(4, 3, 3, 2, 1)),
        "conv_transpose: a kernel .* takes input of rank 4",
    ),
    "transposed kernel": (
        lambda: quaternion.conv_transpose(ones(1, 5, 8), ones(4, 3, 1, 1)),
        r"conv_transpose: a kernel for input \(1, 5, 8\)",
    ),
    "transposed strides": (
        lambda: quaternion.conv_transpose(ones(1, 5, 8), ones(4, 3, 2, 1), strides=(1, 1)),
        r"strides: expected 1 entries, one per axis, found \(1, 1\)",
    ),
    "criterion": (
        lambda: quaternion.polar_initializer("xavier"),
        "criterion: expected 'he' or 'glorot', found 'xavier'",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_what_was_expected_and_found(case):
    function, message = ERRORS[case]
    with without_type_checks(), pytest.raises(InputError, match=message):
        function()


# --- Initial weights -----------------------------------------------------------------------------

# The key is fixed, so the result of a test does not change. A wrong distribution of this number of
# weights has a p-value far below this limit.
P_VALUE = 1e-3


@pytest.fixture(params=["he", "glorot"], scope="module")
def initial(request):
    """Returns the paper's scale, and weights `[4, weights]`."""
    shape = (4, 3, 2, 40, 60)
    fans = 6 * 40 if request.param == "he" else 6 * (40 + 60)
    weights = jax.jit(lambda key: quaternion.polar_initializer(request.param)(key, shape))(
        jax.random.key(0)
    )
    assert weights.shape == shape
    return 1 / math.sqrt(2 * fans), np.asarray(weights, np.float64).reshape(4, -1)


def test_initial_moduli_are_chi_distributed(initial):
    scale, weights = initial
    moduli = np.linalg.norm(weights, axis=0)
    assert scipy.stats.kstest(moduli, scipy.stats.chi(4, scale=scale).cdf).pvalue > P_VALUE


def test_initial_phases_and_axes_are_uniform_and_independent(initial):
    _, weights = initial
    moduli = np.linalg.norm(weights, axis=0)
    # The axis absorbs the sign of sin θ, so θ is folded to [0, π].
    phases = np.arccos(weights[0] / moduli)
    assert scipy.stats.kstest(phases / np.pi, "uniform").pvalue > P_VALUE
    axes = weights[1:] / np.linalg.norm(weights[1:], axis=0)
    for coordinate in axes:  # uniform on [-1, 1] on a sphere (Archimedes)
        assert scipy.stats.kstest((coordinate + 1) / 2, "uniform").pvalue > P_VALUE
    azimuth = np.arctan2(axes[2], axes[1])
    assert scipy.stats.kstest(azimuth / (2 * np.pi) + 0.5, "uniform").pvalue > P_VALUE
    for pair in itertools.combinations((moduli, phases, axes[0], azimuth), 2):
        assert scipy.stats.spearmanr(*pair).pvalue > P_VALUE


def test_he_weights_keep_the_variance_of_rectified_layers(key):
    keys = jax.random.split(key, 5)
    x = jax.random.normal(keys[0], (256, 1024))
    initialize = quaternion.polar_initializer("he")
    for layer_key in keys[1:]:
        y = quaternion.dense(jax.nn.relu(x), initialize(layer_key, (4, 256, 256)))
        np.testing.assert_allclose(jnp.var(y), jnp.var(x), rtol=0.1)
        x = y


def test_glorot_weights_keep_the_variance_of_linear_layers(key):
    x_key, kernel_key = jax.random.split(key)
    x = jax.random.normal(x_key, (256, 1024))
    y = quaternion.dense(x, quaternion.polar_initializer("glorot")(kernel_key, (4, 256, 256)))
    np.testing.assert_allclose(jnp.var(y), 1.0, rtol=0.1)


def test_initial_weights_have_the_requested_dtype(key):
    initialize = quaternion.polar_initializer()
    weights = jax.eval_shape(lambda key: initialize(key, (4, 3, 8, 8), jnp.bfloat16), key)
    assert weights.dtype == jnp.bfloat16

"""Dense layer, convolution and transposed convolution over quaternions, as pure functions."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from serjax.errors import InputError
from serjax.ops.channel_sums import add_bias
from serjax.ops.convolution import (
    Multiply,
    Padding,
    check_rank,
    check_shapes,
    convolution,
    grouped,
    per_axis,
    transposed_convolution,
)
from serjax.ops.cpu import has_threaded_convolutions
from serjax.quaternion.products import block_product, eight_product, stacked_product

Form = Literal["block", "eight", "stacked"]

_PRODUCTS: dict[Form, Callable[[Multiply, jax.Array, jax.Array], jax.Array]] = {
    "block": block_product,
    "eight": eight_product,
    "stacked": stacked_product,
}

# Up to so many examples, making sums of a dense kernel takes longer than multiplying by it twice
# as often. Both grow with the kernel's size alone, so it is one number for all sizes.
_FEW_EXAMPLES = 64


# Real products for each number read or written from which on half of them are worth the sums: by
# forward and backward passes of 58 shapes on two x86 cores, windows of 1 and 9, 64 to 2,048
# channels, 64 to 262,000 positions. Where there are many positions, the sums leave the cache, and
# the limit grows with them.
_WORTH_SUMS = 192
_POSITIONS_IN_CACHE = 18


def _choose_form(x: jax.Array, kernel: jax.Array, spread: float) -> Form:
    """The faster form of a product with many examples, or of a convolution.

    Args:
        x: The input, which says how many positions there are.
        kernel: Of quaternions.
        spread: Positions of the result for each of the input.
    """
    *window, inputs, outputs = kernel.shape[1:]
    if jax.default_backend() != "cpu" or min(inputs, outputs) < 16:
        return "block"
    if math.prod(window) > 1 and not has_threaded_convolutions():
        return "eight"  # YNNPACK's convolutions of many channels gain less than half of Eigen's
    # A window is multiplied at each position of the result, or of the input if those are fewer.
    area = min(1, spread) * math.prod(window)
    products = area * 4 * inputs * outputs / (inputs + spread * outputs)
    positions = max(1, spread) * x.size / x.shape[-1]
    fits = positions <= _POSITIONS_IN_CACHE * products
    return "eight" if products >= _WORTH_SUMS and fits else "block"


def _multiply(
    multiply: Multiply, x: jax.Array, kernel: jax.Array, form: Form | None, spread: float = 1.0
) -> jax.Array:
    return _PRODUCTS[form or _choose_form(x, kernel, spread)](multiply, x, kernel)


def dense(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    precision: Any = None,
    form: Form | None = None,
) -> jax.Array:
    """Quaternion matrix product.

    Args:
        x: `[..., inputs]`.
        kernel: `[4, inputs / 4, outputs / 4]`.
        bias: `[outputs]`, or none.
        precision: of the real products, as in `jax.lax.dot_general`.
        form: "block", "eight" or "stacked", see `quaternion.products`; by default the faster one.

    Returns:
        `[..., outputs]`: output quaternion o is the sum over inputs n of `kernel[n, o] * x[n]`.

    Raises:
        InputError: shapes that do not fit.
    """
    if kernel.ndim != 3 or x.ndim < 1:
        raise InputError(
            "quaternion dense: expected input [..., inputs] and a kernel [4, inputs / 4, "
            f"outputs / 4], found {x.shape} and {kernel.shape}"
        )
    check_shapes(x, kernel, bias, 4, 1, "quaternion dense")

    def multiply(x: jax.Array, matrix: jax.Array) -> jax.Array:
        return jnp.matmul(x, matrix, precision=precision)

    rows = x.reshape(-1, x.shape[-1])
    if form is None and len(rows) <= _FEW_EXAMPLES:
        form = "stacked"
    y = _multiply(multiply, rows, kernel, form).reshape(*x.shape[:-1], -1)
    return add_bias(y, bias)


def conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    precision: Any = None,
    form: Form | None = None,
) -> jax.Array:
    """Quaternion convolution (cross-correlation, as everywhere in deep learning).

    Args:
        x: `[batch, *space, inputs]`, one to three axes of space.
        kernel: `[4, *window, inputs / 4 / groups, outputs / 4]`.
        bias: `[outputs]`, or none.
        strides: one, or one per axis.
        padding: "SAME", "VALID", an integer for both sides, or a pair per axis.
        dilation: of the kernel, one or one per axis.
        groups: quaternion channels are split into so many groups, convolved apart.
        precision: of the real products.
        form: "block", "eight" or "stacked", see `quaternion.products`; by default the faster one.

    Returns:
        `[batch, *space', outputs]`.

    Raises:
        InputError: shapes that do not fit.
    """
    rank = check_rank(x, kernel, "quaternion conv")
    check_shapes(x, kernel, bias, 4, groups, "quaternion conv")

    multiply = convolution(rank, strides, padding, dilation, precision)
    spread = 1 / math.prod(per_axis(strides, rank, "strides"))

    def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return _multiply(multiply, x, kernel, form, spread)

    y = grouped(product, x, kernel, 4, groups)
    return add_bias(y, bias)


def conv_transpose(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    precision: Any = None,
    form: Form | None = None,
) -> jax.Array:
    """Quaternion transposed convolution: the input spread by the stride, then convolved.

    Args:
        x: `[batch, *space, inputs]`.
        kernel: `[4, *window, inputs / 4, outputs / 4]`.
        bias: `[outputs]`, or none.
        strides: one, or one per axis.
        padding: as in `jax.lax.conv_transpose`; "SAME" multiplies each axis by its stride.
        precision: of the real products.
        form: "block", "eight" or "stacked", see `quaternion.products`; by default the faster one.

    Returns:
        `[batch, *space', outputs]`.

    Raises:
        InputError: shapes that do not fit.
    """
    rank = check_rank(x, kernel, "quaternion conv_transpose")
    check_shapes(x, kernel, bias, 4, 1, "quaternion conv_transpose")

    multiply = transposed_convolution(rank, strides, padding, precision)
    spread = math.prod(per_axis(strides, rank, "strides"))
    y = _multiply(multiply, x, kernel, form, spread)
    return add_bias(y, bias)

"""Dense layer, convolution and transposed convolution over quaternions, as pure functions."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from serjax.channel_sums import add_bias
from serjax.convolution import (
    Multiply,
    Padding,
    check_rank,
    check_shapes,
    convolution,
    grouped,
    transposed_convolution,
)
from serjax.errors import InputError
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


def _choose_form(kernel: jax.Array) -> Form:
    """The faster form for a convolution with this kernel, or a product with many examples."""
    small = min(kernel.shape[-2:]) < 16
    return "block" if small or jax.default_backend() != "cpu" else "eight"


def _multiply(multiply: Multiply, x: jax.Array, kernel: jax.Array, form: Form | None) -> jax.Array:
    return _PRODUCTS[form or _choose_form(kernel)](multiply, x, kernel)


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

    def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return _multiply(multiply, x, kernel, form)

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
    y = _multiply(multiply, x, kernel, form)
    return add_bias(y, bias)

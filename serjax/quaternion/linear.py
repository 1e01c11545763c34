"""Dense layer, convolution and transposed convolution over quaternions as pure functions."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jax.lax import PrecisionLike
from jaxtyping import Array, Float

from serjax.errors import InputError
from serjax.kernels import kernel
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

_PRODUCTS: dict[Form, Callable[[Multiply, Array, Array], Array]] = {
    "block": block_product,
    "eight": eight_product,
    "stacked": stacked_product,
}

# Up to this number of examples, summing components of a dense kernel takes longer than twice the
# number of products. Both costs depend only on the kernel's size, so one limit holds for all sizes.
_FEW_EXAMPLES = 64


# Smallest number of real products per value read or written at which halving the products saves
# more than the sums cost. Measured with forward and backward passes of 58 shapes on two x86 cores:
# 1 and 9 kernel positions, 64 to 2,048 channels, 64 to 262,000 positions. With many positions the
# sums do not fit into the cache, and the limit grows with them.
_MIN_PRODUCTS_PER_VALUE = 192
_POSITIONS_IN_CACHE = 18


def _choose_form(
    x: Float[Array, "..."], kernel: Float[Array, "4 ..."], output_ratio: float
) -> Form:
    """Chooses the fastest form of a product with many examples, or of a convolution.

    Args:
        x: Input.
        kernel: Quaternion kernel.
        output_ratio: Number of output positions per input position.
    """
    *kernel_size, inputs, outputs = kernel.shape[1:]
    if jax.default_backend() != "cpu" or min(inputs, outputs) < 16:
        return "block"
    if math.prod(kernel_size) > 1 and not has_threaded_convolutions():
        return "eight"  # YNNPACK's convolutions of many channels gain less than half of Eigen's
    # A kernel is applied at each output position, or at each input position if those are fewer.
    area = min(1, output_ratio) * math.prod(kernel_size)
    products = area * 4 * inputs * outputs / (inputs + output_ratio * outputs)
    positions = max(1, output_ratio) * x.size / x.shape[-1]
    fits = positions <= _POSITIONS_IN_CACHE * products
    return "eight" if products >= _MIN_PRODUCTS_PER_VALUE and fits else "block"


def _multiply(
    multiply: Multiply, x: Array, kernel: Array, form: Form | None, output_ratio: float = 1.0
) -> Array:
    """Multiplies in the given form, or in the fastest one if it is None."""
    return _PRODUCTS[form or _choose_form(x, kernel, output_ratio)](multiply, x, kernel)


@kernel
def dense(
    x: Float[Array, "*batch inputs"],
    kernel: Float[Array, "4 inputs//4 outputs_of_component"],
    bias: Float[Array, " outputs"] | None = None,
    *,
    precision: PrecisionLike = None,
    form: Form | None = None,
) -> Float[Array, "*batch outputs"]:
    """Applies a quaternion matrix product.

    Args:
        x: Input `[..., inputs]`.
        kernel: Kernel `[4, inputs / 4, outputs / 4]`.
        bias: Bias, or None.
        precision: Precision of the real products, as in `jax.lax.dot_general`.
        form: "block", "eight" or "stacked", see `serjax.quaternion.products`; the fastest one if
            None.

    Returns:
        Array `[..., outputs]`: output quaternion o is the sum over inputs n of
        `kernel[n, o] * x[n]`.

    Raises:
        InputError: The shapes do not match.
    """
    if kernel.ndim != 3 or x.ndim < 1:
        raise InputError(
            "quaternion dense: expected input [..., inputs] and a kernel [4, inputs / 4, "
            f"outputs / 4], found {x.shape} and {kernel.shape}"
        )
    check_shapes(x, kernel, bias, 4, 1, "quaternion dense")

    def multiply(x: Array, matrix: Array) -> Array:
        return jnp.matmul(x, matrix, precision=precision)

    rows = x.reshape(-1, x.shape[-1])
    if form is None and len(rows) <= _FEW_EXAMPLES:
        form = "stacked"
    y = _multiply(multiply, rows, kernel, form).reshape(*x.shape[:-1], -1)
    return add_bias(y, bias)


@kernel
def conv(
    x: Float[Array, "batch *space inputs"],
    kernel: Float[Array, "4 *kernel_size inputs_of_group outputs_of_component"],
    bias: Float[Array, " outputs"] | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    precision: PrecisionLike = None,
    form: Form | None = None,
) -> Float[Array, "batch *out_space outputs"]:
    """Applies a quaternion convolution (a cross-correlation, as usual in deep learning).

    Args:
        x: Input with one to three spatial axes.
        kernel: Kernel `[4, *kernel_size, inputs / 4 / groups, outputs / 4]`.
        bias: Bias, or None.
        strides: Strides, one or one per axis.
        padding: Padding: "SAME", "VALID", an integer for both sides, or a pair per axis.
        dilation: Dilation of the kernel, one or one per axis.
        groups: Number of groups of quaternion channels, which are convolved separately.
        precision: Precision of the real products, as in `jax.lax.conv_general_dilated`.
        form: "block", "eight" or "stacked", see `serjax.quaternion.products`; the fastest one if
            None.

    Returns:
        Array `[batch, *out_space, outputs]`.

    Raises:
        InputError: The shapes do not match.
    """
    rank = check_rank(x, kernel, "quaternion conv")
    check_shapes(x, kernel, bias, 4, groups, "quaternion conv")

    multiply = convolution(rank, strides, padding, dilation, precision)
    output_ratio = 1 / math.prod(per_axis(strides, rank, "strides"))

    def product(x: Array, kernel: Array) -> Array:
        return _multiply(multiply, x, kernel, form, output_ratio)

    y = grouped(product, x, kernel, 4, groups)
    return add_bias(y, bias)


@kernel
def conv_transpose(
    x: Float[Array, "batch *space inputs"],
    kernel: Float[Array, "4 *kernel_size inputs_of_group outputs_of_component"],
    bias: Float[Array, " outputs"] | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    precision: PrecisionLike = None,
    form: Form | None = None,
) -> Float[Array, "batch *out_space outputs"]:
    """Applies a quaternion transposed convolution: a convolution of the input dilated by strides.

    Args:
        x: Input with one to three spatial axes.
        kernel: Kernel `[4, *kernel_size, inputs / 4, outputs / 4]`.
        bias: Bias, or None.
        strides: Strides, one or one per axis.
        padding: Padding as in `jax.lax.conv_transpose`; "SAME" multiplies each axis by its stride.
        precision: Precision of the real products, as in `jax.lax.conv_general_dilated`.
        form: "block", "eight" or "stacked", see `serjax.quaternion.products`; the fastest one if
            None.

    Returns:
        Array `[batch, *out_space, outputs]`.

    Raises:
        InputError: The shapes do not match.
    """
    rank = check_rank(x, kernel, "quaternion conv_transpose")
    check_shapes(x, kernel, bias, 4, 1, "quaternion conv_transpose")

    multiply = transposed_convolution(rank, strides, padding, precision)
    output_ratio = float(math.prod(per_axis(strides, rank, "strides")))
    y = _multiply(multiply, x, kernel, form, output_ratio)
    return add_bias(y, bias)

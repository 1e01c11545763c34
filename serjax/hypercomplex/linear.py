"""Dense layer, convolution and transposed convolution over n components as pure functions.

Each function makes the real weight matrix of multiplication tensor and kernel, and multiplies by it
once. The layers need the arithmetic of a real layer of the same width, with an n-th of its weights.
"""

from collections.abc import Sequence

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
    transposed_convolution,
)


def _check_multiplication(
    multiplication: Float[Array, "..."], kernel: Float[Array, "..."], what: str
) -> int:
    """Returns the number of components, or raises InputError if the shapes do not match."""
    n = kernel.shape[0]
    if multiplication.shape != (n, n, n):
        raise InputError(
            f"{what}: expected a multiplication tensor of shape {(n, n, n)} for a kernel "
            f"{kernel.shape}, found {multiplication.shape}"
        )
    return n


@kernel
def block_matrix(
    multiplication: Float[Array, "n n n"],
    kernel: Float[Array, "n *kernel_size inputs_of_component outputs_of_component"],
) -> Float[Array, "*kernel_size n*inputs_of_component n*outputs_of_component"]:
    """Makes the real matrix of a hypercomplex kernel, `Σ_i A_i ⊗ S_i`: `x @ matrix` is the product.

    Args:
        multiplication: Multiplication tensor A.
        kernel: Kernel S, `[n, ..., inputs / n, outputs / n]`.

    Returns:
        Matrix `[..., inputs, outputs]`, n x n blocks.

    Raises:
        InputError: The shapes do not match.
    """
    n = _check_multiplication(multiplication, kernel, "hypercomplex block matrix")
    *kernel_size, inputs, outputs = kernel.shape[1:]
    blocks = jnp.einsum("iab,i...xy->...bxay", multiplication, kernel)
    return blocks.reshape(*kernel_size, n * inputs, n * outputs)


def _product(multiply: Multiply, multiplication: Array) -> Multiply:
    return lambda x, kernel: multiply(x, block_matrix(multiplication, kernel))


@kernel
def dense(
    x: Float[Array, "*batch inputs"],
    multiplication: Float[Array, "n n n"],
    kernel: Float[Array, "n inputs//n outputs_of_component"],
    bias: Float[Array, " outputs"] | None = None,
    *,
    precision: PrecisionLike = None,
) -> Float[Array, "*batch outputs"]:
    """Applies a hypercomplex matrix product.

    Args:
        x: Input `[..., inputs]`, n blocks.
        multiplication: Multiplication tensor A, such as `QUATERNION_MULTIPLICATION`.
        kernel: Kernel `[n, inputs / n, outputs / n]`.
        bias: Bias, or None.
        precision: Precision of the real product, as in `jax.lax.dot_general`.

    Returns:
        Array `[..., outputs]`: component a of output o is the sum of
        `A[i, a, b] kernel[i, c, o] x[b, c]` over i, b and c.

    Raises:
        InputError: The shapes do not match.
    """
    if kernel.ndim != 3 or x.ndim < 1:
        raise InputError(
            "hypercomplex dense: expected input [..., inputs] and a kernel [n, inputs / n, "
            f"outputs / n], found {x.shape} and {kernel.shape}"
        )
    n = _check_multiplication(multiplication, kernel, "hypercomplex dense")
    check_shapes(x, kernel, bias, n, 1, "hypercomplex dense")
    y = jnp.matmul(x, block_matrix(multiplication, kernel), precision=precision)
    return add_bias(y, bias)


@kernel
def conv(
    x: Float[Array, "batch *space inputs"],
    multiplication: Float[Array, "n n n"],
    kernel: Float[Array, "n *kernel_size inputs_of_group outputs_of_component"],
    bias: Float[Array, " outputs"] | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    precision: PrecisionLike = None,
) -> Float[Array, "batch *out_space outputs"]:
    """Applies a hypercomplex convolution (a cross-correlation, as usual in deep learning).

    Args:
        x: Input with one to three spatial axes and n blocks of channels.
        multiplication: Multiplication tensor A, such as `QUATERNION_MULTIPLICATION`.
        kernel: Kernel `[n, *kernel_size, inputs / n / groups, outputs / n]`.
        bias: Bias, or None.
        strides: Strides, one or one per axis.
        padding: Padding: "SAME", "VALID", an integer for both sides, or a pair per axis.
        dilation: Dilation of the kernel, one or one per axis.
        groups: Number of groups of hypercomplex channels, which are convolved separately.
        precision: Precision of the real product, as in `jax.lax.conv_general_dilated`.

    Returns:
        Array `[batch, *out_space, outputs]`.

    Raises:
        InputError: The shapes do not match.
    """
    rank = check_rank(x, kernel, "hypercomplex conv")
    n = _check_multiplication(multiplication, kernel, "hypercomplex conv")
    check_shapes(x, kernel, bias, n, groups, "hypercomplex conv")
    multiply = convolution(rank, strides, padding, dilation, precision)
    y = grouped(_product(multiply, multiplication), x, kernel, n, groups)
    return add_bias(y, bias)


@kernel
def conv_transpose(
    x: Float[Array, "batch *space inputs"],
    multiplication: Float[Array, "n n n"],
    kernel: Float[Array, "n *kernel_size inputs_of_group outputs_of_component"],
    bias: Float[Array, " outputs"] | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    precision: PrecisionLike = None,
) -> Float[Array, "batch *out_space outputs"]:
    """Applies a hypercomplex transposed convolution, to the input dilated by the strides.

    Args:
        x: Input with one to three spatial axes and n blocks of channels.
        multiplication: Multiplication tensor A, such as `QUATERNION_MULTIPLICATION`.
        kernel: Kernel `[n, *kernel_size, inputs / n, outputs / n]`.
        bias: Bias, or None.
        strides: Strides, one or one per axis.
        padding: Padding as in `jax.lax.conv_transpose`; "SAME" multiplies each axis by its stride.
        precision: Precision of the real product, as in `jax.lax.conv_general_dilated`.

    Returns:
        Array `[batch, *out_space, outputs]`.

    Raises:
        InputError: The shapes do not match.
    """
    rank = check_rank(x, kernel, "hypercomplex conv_transpose")
    n = _check_multiplication(multiplication, kernel, "hypercomplex conv_transpose")
    check_shapes(x, kernel, bias, n, 1, "hypercomplex conv_transpose")
    multiply = transposed_convolution(rank, strides, padding, precision)
    y = _product(multiply, multiplication)(x, kernel)
    return add_bias(y, bias)

"""Dense layer, convolution and transposed convolution over n components, as pure functions.

Each makes the real weight matrix out of rule and kernel and takes one real product with it: as
much arithmetic as a real layer of the same width, with an n-th of its weights.
"""

from collections.abc import Sequence
from typing import Any

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
    transposed_convolution,
)


def _check_rule(rule: jax.Array, kernel: jax.Array, what: str) -> int:
    """Components of one number; raises InputError unless rule and kernel agree about them."""
    n = kernel.shape[0]
    if rule.shape != (n, n, n):
        raise InputError(
            f"{what}: expected a rule of shape {(n, n, n)} for a kernel {kernel.shape}, "
            f"found {rule.shape}"
        )
    return n


def block_matrix(rule: jax.Array, kernel: jax.Array) -> jax.Array:
    """Real matrix of a hypercomplex kernel, `Σ_i A_i ⊗ S_i`, so that `x @ matrix` is the product.

    Args:
        rule: `[n, n, n]`.
        kernel: `[n, ..., inputs / n, outputs / n]`.

    Returns:
        `[..., inputs, outputs]`, n x n blocks.

    Raises:
        InputError: a rule that does not fit the kernel.
    """
    n = _check_rule(rule, kernel, "hypercomplex block matrix")
    *window, inputs, outputs = kernel.shape[1:]
    blocks = jnp.einsum("iab,i...xy->...bxay", rule, kernel)
    return blocks.reshape(*window, n * inputs, n * outputs)


def _product(multiply: Multiply, rule: jax.Array) -> Multiply:
    return lambda x, kernel: multiply(x, block_matrix(rule, kernel))


def dense(
    x: jax.Array,
    rule: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    precision: Any = None,
) -> jax.Array:
    """Hypercomplex matrix product.

    Args:
        x: `[..., inputs]`, n blocks.
        rule: `[n, n, n]`, see `hypercomplex.rules`.
        kernel: `[n, inputs / n, outputs / n]`.
        bias: `[outputs]`, or none.
        precision: of the real product, as in `jax.lax.dot_general`.

    Returns:
        `[..., outputs]`: component a of output o sums `rule[i, a, b] kernel[i, c, o] x[b, c]`
        over i, b and c.

    Raises:
        InputError: shapes that do not fit.
    """
    if kernel.ndim != 3 or x.ndim < 1:
        raise InputError(
            "hypercomplex dense: expected input [..., inputs] and a kernel [n, inputs / n, "
            f"outputs / n], found {x.shape} and {kernel.shape}"
        )
    n = _check_rule(rule, kernel, "hypercomplex dense")
    check_shapes(x, kernel, bias, n, 1, "hypercomplex dense")
    y = jnp.matmul(x, block_matrix(rule, kernel), precision=precision)
    return add_bias(y, bias)


def conv(
    x: jax.Array,
    rule: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    precision: Any = None,
) -> jax.Array:
    """Hypercomplex convolution (cross-correlation, as everywhere in deep learning).

    Args:
        x: `[batch, *space, inputs]`, one to three axes of space, n blocks of channels.
        rule: `[n, n, n]`, see `hypercomplex.rules`.
        kernel: `[n, *window, inputs / n / groups, outputs / n]`.
        bias: `[outputs]`, or none.
        strides: one, or one per axis.
        padding: "SAME", "VALID", an integer for both sides, or a pair per axis.
        dilation: of the kernel, one or one per axis.
        groups: hypercomplex channels are split into so many groups, convolved apart.
        precision: of the real product.

    Returns:
        `[batch, *space', outputs]`.

    Raises:
        InputError: shapes that do not fit.
    """
    rank = check_rank(x, kernel, "hypercomplex conv")
    n = _check_rule(rule, kernel, "hypercomplex conv")
    check_shapes(x, kernel, bias, n, groups, "hypercomplex conv")
    multiply = convolution(rank, strides, padding, dilation, precision)
    y = grouped(_product(multiply, rule), x, kernel, n, groups)
    return add_bias(y, bias)


def conv_transpose(
    x: jax.Array,
    rule: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    precision: Any = None,
) -> jax.Array:
    """Hypercomplex transposed convolution: the input spread by the stride, then convolved.

    Args:
        x: `[batch, *space, inputs]`, n blocks of channels.
        rule: `[n, n, n]`, see `hypercomplex.rules`.
        kernel: `[n, *window, inputs / n, outputs / n]`.
        bias: `[outputs]`, or none.
        strides: one, or one per axis.
        padding: as in `jax.lax.conv_transpose`; "SAME" multiplies each axis by its stride.
        precision: of the real product.

    Returns:
        `[batch, *space', outputs]`.

    Raises:
        InputError: shapes that do not fit.
    """
    rank = check_rank(x, kernel, "hypercomplex conv_transpose")
    n = _check_rule(rule, kernel, "hypercomplex conv_transpose")
    check_shapes(x, kernel, bias, n, 1, "hypercomplex conv_transpose")
    multiply = transposed_convolution(rank, strides, padding, precision)
    y = _product(multiply, rule)(x, kernel)
    return add_bias(y, bias)

"""Real convolutions with derivatives that are fast on CPUs.

XLA's CPU backend has a fast convolution for one order of axes, channels last. It transposes arrays
to that order at the start of a program, but not inside loops, where other orders take eight times
as long. Automatic differentiation produces convolutions in other orders. Here, the derivatives are
written in the fast order. Derivatives by the input of a convolution with strides, and transposed
convolutions, do not multiply by the zeros of a dilated input.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.lax import PrecisionLike
from jaxtyping import Array, Float

from serjax.kernels import kernel
from serjax.ops.kernel_gradient import ConvSettings, Steps, convolve, kernel_gradient

Pairs = tuple[tuple[int, int], ...]
"""Padding before and after, one pair per spatial axis."""


@kernel
def conv(
    x: Float[Array, "batch *space inputs"],
    kernel: Float[Array, "*kernel_size inputs outputs"],
    strides: Steps,
    padding: Pairs,
    dilation: Steps,
    precision: PrecisionLike = None,
) -> Float[Array, "batch *out_space outputs"]:
    """Applies a real convolution over one to three spatial axes, channels last.

    On a CPU a kernel of one position is a matrix product, and only reverse-mode derivatives are
    supported.

    Args:
        x: Input.
        kernel: Kernel.
        strides: Strides, one per spatial axis.
        padding: Padding, a pair per spatial axis.
        dilation: Dilation of the kernel, one per spatial axis.
        precision: Precision as in `jax.lax.conv_general_dilated`.

    Returns:
        Result, in the input's dtype.

    >>> x, kernel = jnp.ones((1, 5, 5, 2)), jnp.ones((3, 3, 2, 4))
    >>> conv(x, kernel, (2, 2), ((1, 1), (1, 1)), (1, 1)).shape
    (1, 3, 3, 4)
    """
    options = strides, padding, dilation, precision
    if jax.default_backend() != "cpu":
        return convolve(x, kernel, *options)
    # XLA's convolution takes up to twice as long for such a product, and seven times backward.
    if math.prod(kernel.shape[:-2]) == math.prod(strides) == 1 and not np.any(padding):
        matrix = kernel.reshape(kernel.shape[-2:])
        rows = jnp.matmul(x.reshape(-1, x.shape[-1]), matrix, precision=precision)
        return rows.reshape(*x.shape[:-1], kernel.shape[-1])
    return _conv_with_custom_gradient(x, kernel, *options)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _conv_with_custom_gradient(
    x: Array,
    kernel: Array,
    strides: Steps,
    padding: Pairs,
    dilation: Steps,
    precision: PrecisionLike,
) -> Array:
    return convolve(x, kernel, strides, padding, dilation, precision)


def _forward(x: Array, kernel: Array, *options: Any) -> tuple[Array, tuple[Array, Array]]:
    return convolve(x, kernel, *options), (x, kernel)


def _backward(
    strides: Steps,
    padding: Pairs,
    dilation: Steps,
    precision: PrecisionLike,
    residuals: tuple[Array, Array],
    gradient: Array,
) -> tuple[Array, Array]:
    x, kernel = residuals
    padded = lax.pad(
        x, jnp.zeros((), x.dtype), ((0, 0, 0), *((a, b, 0) for a, b in padding), (0, 0, 0))
    )
    settings = ConvSettings(kernel.shape[:-2], strides, dilation, precision)
    grad_kernel = kernel_gradient(padded, gradient, settings)
    ones = (1,) * len(strides)
    grad_x = _input_gradient(
        gradient, kernel, x.shape[1:-1], strides, padding, ones, dilation, precision
    )
    return grad_x, grad_kernel.astype(kernel.dtype)


_conv_with_custom_gradient.defvjp(_forward, _backward)


@kernel
def conv_transpose(
    x: Float[Array, "batch *space inputs"],
    kernel: Float[Array, "*kernel_size inputs outputs"],
    strides: Steps,
    padding: str | Sequence[tuple[int, int]],
    precision: PrecisionLike = None,
) -> Float[Array, "batch *out_space outputs"]:
    """Applies a real transposed convolution as `jax.lax.conv_transpose`, channels last.

    Its derivative by the kernel is computed like that of `conv`: XLA's CPU backend takes 30 times
    as long for the derivative as for the transposed convolution itself.

    Args:
        x: Input.
        kernel: Kernel.
        strides: Strides, one per spatial axis.
        padding: "SAME", "VALID", or a pair per spatial axis of the input dilated by the strides.
        precision: Precision as in `jax.lax.conv_transpose`.

    Returns:
        Result, in the input's dtype.
    """
    pairs = tuple(
        _transposed_padding(extent, stride, padding)
        if isinstance(padding, str)
        else (padding[axis][0], padding[axis][1])
        for axis, (extent, stride) in enumerate(zip(kernel.shape, strides, strict=False))
    )
    if jax.default_backend() == "cpu":
        return _transposed_with_custom_gradient(x, kernel, strides, pairs, precision)
    ones = (1,) * len(strides)
    return convolve(x, kernel, ones, pairs, ones, precision, strides)


def _transposed_padding(extent: int, stride: int, padding: str) -> tuple[int, int]:
    """Converts "SAME" or "VALID" of `jax.lax.conv_transpose` to a pair, for one axis."""
    total = extent + stride - 2 + (max(extent - stride, 0) if padding == "VALID" else 0)
    is_full_before = padding == "VALID" or stride > extent - 1
    before = extent - 1 if is_full_before else -(-total // 2)
    return before, total - before


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _transposed_with_custom_gradient(
    x: Array, kernel: Array, strides: Steps, padding: Pairs, precision: PrecisionLike
) -> Array:
    ones = (1,) * len(strides)
    return _dilated_input_conv(x, kernel, ones, padding, strides, ones, precision)


def _transposed_forward(
    x: Array, kernel: Array, *options: Any
) -> tuple[Array, tuple[Array, Array]]:
    return _transposed_with_custom_gradient(x, kernel, *options), (x, kernel)


def _transposed_backward(
    strides: Steps,
    padding: Pairs,
    precision: PrecisionLike,
    residuals: tuple[Array, Array],
    gradient: Array,
) -> tuple[Array, Array]:
    x, kernel = residuals
    kernel_size, space = kernel.shape[:-2], gradient.shape[1:-1]
    ones = (1,) * len(kernel_size)
    # With the flipped kernel, an input meets the outputs that a convolution with these strides
    # would read at the input's position.
    pairs = []
    for extent, size, inputs, stride, (before, _) in zip(
        kernel_size, space, x.shape[1:-1], strides, padding, strict=True
    ):
        first = extent - 1 - before
        pairs.append((first, (inputs - 1) * stride + extent - first - size, 0))
    grad_kernel = kernel_gradient(
        lax.pad(gradient, jnp.zeros((), gradient.dtype), ((0, 0, 0), *pairs, (0, 0, 0))),
        x,
        ConvSettings(kernel_size, strides, ones, precision),
    )
    grad_x = _input_gradient(
        gradient, kernel, x.shape[1:-1], ones, padding, strides, ones, precision
    )
    return grad_x, _flip(grad_kernel).astype(kernel.dtype)


_transposed_with_custom_gradient.defvjp(_transposed_forward, _transposed_backward)


def _flip(
    kernel: Float[Array, "*kernel_size inputs outputs"],
) -> Float[Array, "*kernel_size outputs inputs"]:
    """Flips a kernel along its spatial axes and exchanges inputs and outputs."""
    return jnp.flip(kernel, range(kernel.ndim - 2)).swapaxes(-1, -2)


def _input_gradient(
    gradient: Float[Array, "batch *out_space outputs"],
    kernel: Float[Array, "*kernel_size inputs outputs"],
    space: tuple[int, ...],
    strides: Steps,
    padding: Pairs,
    lhs_dilation: Steps,
    dilation: Steps,
    precision: PrecisionLike,
) -> Float[Array, "batch *space inputs"]:
    """Computes the derivative of a convolution by its input.

    Args:
        gradient: Derivative of the loss by the convolution's result.
        kernel: Kernel of the convolution.
        space: Spatial shape of the input.
        strides: Strides of the convolution.
        padding: Padding of the convolution.
        lhs_dilation: Dilation of the input before the convolution.
        dilation: Dilation of the kernel.
        precision: Precision as in `jax.lax.conv_general_dilated`.
    """
    pairs = []
    for axis, (before, _) in enumerate(padding):
        reach = (kernel.shape[axis] - 1) * dilation[axis]
        dilated_output = (gradient.shape[axis + 1] - 1) * strides[axis] + 1
        dilated_input = (space[axis] - 1) * lhs_dilation[axis] + 1
        pairs.append((reach - before, dilated_input + before - dilated_output))
    return _dilated_input_conv(
        gradient, _flip(kernel), lhs_dilation, tuple(pairs), strides, dilation, precision
    )


def _dilated_input_conv(
    x: Float[Array, "batch *space inputs"],
    kernel: Float[Array, "*kernel_size inputs outputs"],
    strides: Steps,
    padding: Pairs,
    lhs_dilation: Steps,
    dilation: Steps,
    precision: PrecisionLike,
) -> Float[Array, "batch *out_space outputs"]:
    """Applies a convolution to a dilated input without multiplying by the zeros between positions.

    An output uses only every `lhs_dilation`-th position of the kernel; the first one depends on the
    output's position modulo `lhs_dilation`. Outputs of each remainder are one convolution.
    """
    ones = (1,) * len(lhs_dilation)
    if lhs_dilation == ones or strides != ones or dilation != ones:
        return convolve(x, kernel, strides, padding, dilation, precision, lhs_dilation)
    kernel_size, space = kernel.shape[:-2], x.shape[1:-1]
    size = [
        (n - 1) * step + 1 + before + after - (extent - 1)
        for n, step, (before, after), extent in zip(
            space, lhs_dilation, padding, kernel_size, strict=True
        )
    ]
    outputs = [-(-n // step) for n, step in zip(size, lhs_dilation, strict=True)]
    results = []
    for remainders in np.ndindex(lhs_dilation):
        sub_kernel, pairs = kernel, []
        for axis, (remainder, step, (before, _)) in enumerate(
            zip(remainders, lhs_dilation, padding, strict=True)
        ):
            first = (before - remainder) % step
            sub_kernel = sub_kernel[(slice(None),) * axis + (slice(first, None, step),)]
            start = (before - remainder - first) // step
            pairs.append((start, outputs[axis] - space[axis] - start + sub_kernel.shape[axis] - 1))
        results.append(
            convolve(x, sub_kernel, ones, tuple(pairs), ones, precision)
            if sub_kernel.size
            else jnp.zeros((len(x), *outputs, kernel.shape[-1]), x.dtype)
        )
    # The axes become [batch, position, remainder, ..., channels] with a pair per spatial axis.
    rank = len(lhs_dilation)
    y = jnp.stack(results).reshape(*lhs_dilation, *results[0].shape)
    order = [rank, *(axis for n in range(rank) for axis in (rank + 1 + n, n)), 2 * rank + 1]
    y = y.transpose(order)
    full_size = (n * step for n, step in zip(outputs, lhs_dilation, strict=True))
    y = y.reshape(len(x), *full_size, y.shape[-1])
    return y[(slice(None), *(slice(n) for n in size))]

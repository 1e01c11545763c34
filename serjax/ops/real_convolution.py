"""Convolutions whose derivatives suit CPUs.

XLA's CPU backend has a fast convolution for one order of axes, channels last, and brings the others
into that order where a program begins, not inside its loops, where they take eight times as long.
Derivatives by automatic differentiation are convolutions in other orders. Here they are written in
the one that is fast, and those by the input of a convolution with strides, and transposed
convolutions, multiply by no zeros.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from serjax.ops.kernel_gradient import Steps, Window, convolve, kernel_gradient

Pairs = tuple[tuple[int, int], ...]


def conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: Steps,
    padding: Pairs,
    dilation: Steps,
    precision: Any = None,
) -> jax.Array:
    """Real convolution, channels last, over one to three axes.

    On a CPU a window of one position is a matrix product, and derivatives are of reverse mode only.

    Args:
        x: `[batch, *space, inputs]`.
        kernel: `[*window, inputs, outputs]`.
        strides: One per axis.
        padding: A pair per axis.
        dilation: Of the kernel, one per axis.
        precision: As in `jax.lax.conv_general_dilated`.

    Returns:
        `[batch, *space', outputs]`.
    """
    options = strides, padding, dilation, precision
    if jax.default_backend() != "cpu":
        return convolve(x, kernel, *options)
    # XLA's convolution takes up to twice as long for such a product, and seven times backward.
    if math.prod(kernel.shape[:-2]) == math.prod(strides) == 1 and not np.any(padding):
        matrix = kernel.reshape(kernel.shape[-2:])
        rows = jnp.matmul(x.reshape(-1, x.shape[-1]), matrix, precision=precision)
        return rows.reshape(*x.shape[:-1], kernel.shape[-1])
    return _with_own_gradient(x, kernel, *options)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _with_own_gradient(
    x: jax.Array, kernel: jax.Array, strides: Steps, padding: Pairs, dilation: Steps, precision: Any
) -> jax.Array:
    return convolve(x, kernel, strides, padding, dilation, precision)


def _forward(x: jax.Array, kernel: jax.Array, *options: Any) -> tuple[jax.Array, Any]:
    return convolve(x, kernel, *options), (x, kernel)


def _backward(
    strides: Steps, padding: Pairs, dilation: Steps, precision: Any, saved: Any, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    padded = lax.pad(
        x, jnp.zeros((), x.dtype), ((0, 0, 0), *((a, b, 0) for a, b in padding), (0, 0, 0))
    )
    window = Window(kernel.shape[:-2], strides, dilation, precision)
    of_kernel = kernel_gradient(padded, gradient, window)
    of_x = _input_gradient(
        gradient, kernel, x.shape[1:-1], strides, padding, (1,) * len(strides), dilation, precision
    )
    return of_x, of_kernel.astype(kernel.dtype)


_with_own_gradient.defvjp(_forward, _backward)


def conv_transpose(
    x: jax.Array,
    kernel: jax.Array,
    strides: Steps,
    padding: str | Sequence[tuple[int, int]],
    precision: Any = None,
) -> jax.Array:
    """Real transposed convolution as `jax.lax.conv_transpose`, channels last.

    Its derivative by the kernel is made as that of `conv`: XLA's CPU backend takes 30 times as
    long for it as for the transposed convolution itself.

    Args:
        x: `[batch, *space, inputs]`.
        kernel: `[*window, inputs, outputs]`.
        strides: One per axis.
        padding: "SAME", "VALID", or a pair per axis of the input spread by the strides.
        precision: As in `jax.lax.conv_transpose`.

    Returns:
        `[batch, *space', outputs]`.
    """
    pairs = tuple(
        _around_spread(extent, stride, padding)
        if isinstance(padding, str)
        else (padding[axis][0], padding[axis][1])
        for axis, (extent, stride) in enumerate(zip(kernel.shape, strides, strict=False))
    )
    if jax.default_backend() == "cpu":
        return _transposed_with_own_gradient(x, kernel, strides, pairs, precision)
    ones = (1,) * len(strides)
    return convolve(x, kernel, ones, pairs, ones, precision, strides)


def _around_spread(extent: int, stride: int, padding: str) -> tuple[int, int]:
    """What `jax.lax.conv_transpose` means by "SAME" and "VALID", for one axis."""
    total = extent + stride - 2 + (max(extent - stride, 0) if padding == "VALID" else 0)
    most_before = padding == "VALID" or stride > extent - 1
    before = extent - 1 if most_before else -(-total // 2)
    return before, total - before


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _transposed_with_own_gradient(
    x: jax.Array, kernel: jax.Array, strides: Steps, padding: Pairs, precision: Any
) -> jax.Array:
    ones = (1,) * len(strides)
    return _spread_conv(x, kernel, ones, padding, strides, ones, precision)


def _transposed_forward(x: jax.Array, kernel: jax.Array, *options: Any) -> tuple[jax.Array, Any]:
    return _transposed_with_own_gradient(x, kernel, *options), (x, kernel)


def _transposed_backward(
    strides: Steps, padding: Pairs, precision: Any, saved: Any, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    window, space = kernel.shape[:-2], gradient.shape[1:-1]
    ones = (1,) * len(window)
    # With the window turned around, an input meets the outputs that a convolution with these
    # strides would see from its place.
    around = []
    for extent, size, inputs, stride, (before, _) in zip(
        window, space, x.shape[1:-1], strides, padding, strict=True
    ):
        first = extent - 1 - before
        around.append((first, (inputs - 1) * stride + extent - first - size, 0))
    of_kernel = kernel_gradient(
        lax.pad(gradient, jnp.zeros((), gradient.dtype), ((0, 0, 0), *around, (0, 0, 0))),
        x,
        Window(window, strides, ones, precision),
    )
    of_x = _input_gradient(gradient, kernel, x.shape[1:-1], ones, padding, strides, ones, precision)
    return of_x, _turned(of_kernel).astype(kernel.dtype)


_transposed_with_own_gradient.defvjp(_transposed_forward, _transposed_backward)


def _turned(kernel: jax.Array) -> jax.Array:
    """The window turned around, inputs and outputs exchanged."""
    return jnp.flip(kernel, range(kernel.ndim - 2)).swapaxes(-1, -2)


def _input_gradient(
    gradient: jax.Array,
    kernel: jax.Array,
    space: tuple[int, ...],
    strides: Steps,
    padding: Pairs,
    spread: Steps,
    dilation: Steps,
    precision: Any,
) -> jax.Array:
    """The derivative by an input of `space`, which was spread by `spread` before the window."""
    pairs = []
    for axis, (before, _) in enumerate(padding):
        reach = (kernel.shape[axis] - 1) * dilation[axis]
        seen = (gradient.shape[axis + 1] - 1) * strides[axis] + 1
        wanted = (space[axis] - 1) * spread[axis] + 1
        pairs.append((reach - before, wanted + before - seen))
    return _spread_conv(
        gradient, _turned(kernel), spread, tuple(pairs), strides, dilation, precision
    )


def _spread_conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: Steps,
    padding: Pairs,
    spread: Steps,
    dilation: Steps,
    precision: Any,
) -> jax.Array:
    """Convolution of x with `spread - 1` zeros between its positions.

    Of the kernel, an output meets only each `spread`-th place; which ones, depends on the output's
    remainder. One convolution for each remainder multiplies by no zeros.
    """
    ones = (1,) * len(spread)
    if spread == ones or strides != ones or dilation != ones:
        return convolve(x, kernel, strides, padding, dilation, precision, spread)
    window, space = kernel.shape[:-2], x.shape[1:-1]
    size = [
        (n - 1) * step + 1 + before + after - (extent - 1)
        for n, step, (before, after), extent in zip(space, spread, padding, window, strict=True)
    ]
    outputs = [-(-n // step) for n, step in zip(size, spread, strict=True)]
    parts = []
    for remainders in np.ndindex(spread):
        part, pairs = kernel, []
        for axis, (remainder, step, (before, _)) in enumerate(
            zip(remainders, spread, padding, strict=True)
        ):
            first = (before - remainder) % step
            part = part[(slice(None),) * axis + (slice(first, None, step),)]
            start = (before - remainder - first) // step
            pairs.append((start, outputs[axis] - space[axis] - start + part.shape[axis] - 1))
        parts.append(
            convolve(x, part, ones, tuple(pairs), ones, precision)
            if part.size
            else jnp.zeros((len(x), *outputs, kernel.shape[-1]), x.dtype)
        )
    # [batch, position, remainder, ..., channels] for each axis of space
    rank = len(spread)
    y = jnp.stack(parts).reshape(*spread, *parts[0].shape)
    order = [rank, *(axis for n in range(rank) for axis in (rank + 1 + n, n)), 2 * rank + 1]
    y = y.transpose(order)
    y = y.reshape(len(x), *(n * step for n, step in zip(outputs, spread, strict=True)), y.shape[-1])
    return y[(slice(None), *(slice(n) for n in size))]

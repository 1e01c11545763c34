"""Convolutions whose derivatives suit CPUs.

XLA's CPU backend has a fast convolution for one order of axes, channels last, and brings the others
into that order where a program begins, not inside its loops, where they take eight times as long.
Derivatives by automatic differentiation are convolutions in other orders. Here they are written in
the one that is fast, and the derivative by the kernel, a convolution with a window as large as the
image, is made of matrix products where that is faster still.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# What is read of one piece, and the copy of it that one place in the window sees, should stay in
# the cache.
_PIECE_BYTES = 2**20
# With fewer products in all, or of one position, there is nothing to gain.
_FEWEST_PRODUCTS = 2**24
_FEWEST_OF_POSITION = 64

Pairs = tuple[tuple[int, int], ...]
Steps = tuple[int, ...]


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
        return _conv(x, kernel, *options)
    # XLA's convolution takes up to twice as long for such a product, and seven times backward.
    if math.prod(kernel.shape[:-2]) == math.prod(strides) == 1 and not np.any(padding):
        matrix = kernel.reshape(kernel.shape[-2:])
        rows = jnp.matmul(x.reshape(-1, x.shape[-1]), matrix, precision=precision)
        return rows.reshape(*x.shape[:-1], kernel.shape[-1])
    return _with_own_gradient(x, kernel, *options)


def _dimension_numbers(rank: int) -> tuple[str, str, str]:
    """Channels last, over so many axes."""
    space = "DHW"[-rank:]
    return f"N{space}C", f"{space}IO", f"N{space}C"


def _conv(
    x: jax.Array, kernel: jax.Array, strides: Steps, padding: Pairs, dilation: Steps, precision: Any
) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=_dimension_numbers(len(strides)),
        precision=precision,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _with_own_gradient(
    x: jax.Array, kernel: jax.Array, strides: Steps, padding: Pairs, dilation: Steps, precision: Any
) -> jax.Array:
    return _conv(x, kernel, strides, padding, dilation, precision)


def _forward(x: jax.Array, kernel: jax.Array, *options: Any) -> tuple[jax.Array, Any]:
    return _conv(x, kernel, *options), (x, kernel)


def _backward(
    strides: Steps, padding: Pairs, dilation: Steps, precision: Any, saved: Any, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    padded = lax.pad(
        x, jnp.zeros((), x.dtype), ((0, 0, 0), *((a, b, 0) for a, b in padding), (0, 0, 0))
    )
    of_kernel = _kernel_gradient(padded, gradient, kernel.shape[:-2], strides, dilation, precision)
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
    own = jax.default_backend() == "cpu"
    return (_transposed_with_own_gradient if own else _transposed)(
        x, kernel, strides, pairs, precision
    )


def _around_spread(extent: int, stride: int, padding: str) -> tuple[int, int]:
    """What `jax.lax.conv_transpose` means by "SAME" and "VALID", for one axis."""
    total = extent + stride - 2 + (max(extent - stride, 0) if padding == "VALID" else 0)
    most_before = padding == "VALID" or stride > extent - 1
    before = extent - 1 if most_before else -(-total // 2)
    return before, total - before


def _transposed(
    x: jax.Array, kernel: jax.Array, strides: Steps, padding: Pairs, precision: Any
) -> jax.Array:
    return lax.conv_transpose(
        x,
        kernel,
        strides,
        padding,
        dimension_numbers=_dimension_numbers(len(strides)),
        precision=precision,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _transposed_with_own_gradient(
    x: jax.Array, kernel: jax.Array, strides: Steps, padding: Pairs, precision: Any
) -> jax.Array:
    return _transposed(x, kernel, strides, padding, precision)


def _transposed_forward(x: jax.Array, kernel: jax.Array, *options: Any) -> tuple[jax.Array, Any]:
    return _transposed(x, kernel, *options), (x, kernel)


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
    of_kernel = _kernel_gradient(
        lax.pad(gradient, jnp.zeros((), gradient.dtype), ((0, 0, 0), *around, (0, 0, 0))),
        x,
        window,
        strides,
        ones,
        precision,
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
    return lax.conv_general_dilated(
        gradient,
        _turned(kernel),
        spread,
        pairs,
        lhs_dilation=strides,
        rhs_dilation=dilation,
        dimension_numbers=_dimension_numbers(len(strides)),
        precision=precision,
    )


def _kernel_gradient(
    x: jax.Array,
    gradient: jax.Array,
    window: tuple[int, ...],
    strides: Steps,
    dilation: Steps,
    precision: Any,
) -> jax.Array:
    """Sum over all positions of what each sees times its gradient, `[*window, inputs, outputs]`.

    `x` is padded already.
    """
    of_position = x.shape[-1] * gradient.shape[-1]
    products = math.prod(gradient.shape[:-1]) * math.prod(window) * of_position
    if of_position < _FEWEST_OF_POSITION or products < _FEWEST_PRODUCTS:
        return _by_convolution(x, gradient, window, strides, dilation, precision)
    return _by_patches(x, gradient, window, strides, dilation, precision, _PIECE_BYTES)


def _by_convolution(
    x: jax.Array,
    gradient: jax.Array,
    window: tuple[int, ...],
    strides: Steps,
    dilation: Steps,
    precision: Any,
) -> jax.Array:
    """As `_kernel_gradient`: inputs are the examples, examples the channels, of a large window."""
    rank = len(window)
    # Inputs that no window reaches would give further places.
    reach = [
        (n - 1) * t + (k - 1) * d + 1
        for n, t, k, d in zip(gradient.shape[1:], strides, window, dilation, strict=False)
    ]
    seen = lax.slice(x, [0] * x.ndim, (x.shape[0], *reach, x.shape[-1]))
    result = lax.conv_general_dilated(
        jnp.swapaxes(seen, 0, -1),
        jnp.moveaxis(gradient, 0, -2),
        dilation,
        "VALID",
        rhs_dilation=strides,
        dimension_numbers=_dimension_numbers(rank),
        precision=precision,
    )
    return jnp.moveaxis(result, 0, -2)


# Compiled apart so that it is traced once for all products of a shape, of which a quaternion layer
# has eight.
@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5, 6))
def _by_patches(
    x: jax.Array,
    gradient: jax.Array,
    window: tuple[int, ...],
    strides: Steps,
    dilation: Steps,
    precision: Any,
    piece_bytes: int,
) -> jax.Array:
    """As `_kernel_gradient`: a matrix product of what each position sees, piece by piece.

    A piece is a number of images, or a number of rows of one image.
    """
    batch, rows, *others = gradient.shape[:-1]
    inputs, outputs = x.shape[-1], gradient.shape[-1]
    row_bytes = math.prod(others) * (inputs * math.prod(window) + outputs) * x.dtype.itemsize
    images, height = _part(batch, piece_bytes // (row_bytes * rows)), rows
    if images == 1:
        height = _part(rows, piece_bytes // row_bytes)
    # A last piece that is not full is filled up with gradients of zero.
    counts = -(-batch // images), -(-rows // height)
    lacking = [images * counts[0] - batch, height * counts[1] - rows]
    gradient = _filled(gradient, lacking)
    reach = (height * counts[1] - 1) * strides[0] + (window[0] - 1) * dilation[0] + 1
    x = _filled(x, [lacking[0], max(reach - x.shape[1], 0)])

    # How far a slice of a piece reaches along each axis.
    spans = [(n - 1) * t + 1 for n, t in zip((height, *others), strides, strict=True)]
    seen_rows = spans[0] + (window[0] - 1) * dilation[0]
    kind = jnp.float32 if x.dtype == jnp.bfloat16 else x.dtype

    def add_piece(index: Any, total: jax.Array) -> jax.Array:
        image, row = index // counts[1] * images, index % counts[1] * height
        seen = lax.dynamic_slice_in_dim(x, image, images, 0)
        seen = lax.dynamic_slice_in_dim(seen, row * strides[0], seen_rows, 1)
        of_piece = lax.dynamic_slice_in_dim(gradient, image, images, 0)
        of_piece = lax.dynamic_slice_in_dim(of_piece, row, height, 1).reshape(-1, outputs)

        patches = []
        for place in np.ndindex(window):
            starts = [0, *(o * d for o, d in zip(place, dilation, strict=True)), 0]
            stops = [n + start for n, start in zip((images, *spans, inputs), starts, strict=True)]
            slice_ = lax.slice(seen, starts, stops, (1, *strides, 1))
            patches.append(slice_.reshape(-1, inputs))
        return total + lax.dot_general(
            jnp.concatenate(patches, axis=-1),
            of_piece,
            (((0,), (0,)), ((), ())),
            precision=precision,
            preferred_element_type=kind,
        )

    total = jnp.zeros((math.prod(window) * inputs, outputs), kind)
    total = lax.fori_loop(0, math.prod(counts), add_piece, total)
    return total.reshape(*window, inputs, outputs)


def _part(count: int, most: int) -> int:
    """Size of parts of which none is larger than `most`, or than 1; equal ones if not too small."""
    most = max(min(most, count), 1)
    equal = (size for size in range(most, most // 2, -1) if count % size == 0)
    return next(equal, -(-count // -(-count // most)))


def _filled(x: jax.Array, lacking: list[int]) -> jax.Array:
    """Zeros added at the end of the first axes."""
    if not any(lacking):
        return x
    return jnp.pad(x, [(0, n) for n in lacking] + [(0, 0)] * (x.ndim - len(lacking)))

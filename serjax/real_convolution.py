"""Convolutions whose derivative by the kernel suits CPUs."""

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
_PIECE_BYTES = 4 * 2**20
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

    XLA's CPU backend makes the derivative by the kernel a convolution with a window as large as
    the image, up to six times as slow as the convolution itself. There this makes it a matrix
    product for each place in the window, of what all positions see there with the gradient, piece
    by piece. A window of one position is a matrix product altogether. As a consequence, its
    derivatives are of reverse mode only.

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
    positions = math.prod(x.shape[:-1]) // math.prod(strides)
    of_position = math.prod(kernel.shape[-2:])
    # XLA's convolution takes up to twice as long for such a product, and seven times backward.
    plain = math.prod(kernel.shape[:-2]) == math.prod(strides) == 1 and not np.any(padding)
    if jax.default_backend() == "cpu" and plain:
        matrix = kernel.reshape(kernel.shape[-2:])
        rows = jnp.matmul(x.reshape(-1, x.shape[-1]), matrix, precision=precision)
        return rows.reshape(*x.shape[:-1], kernel.shape[-1])
    small = (
        of_position < _FEWEST_OF_POSITION or positions * math.prod(kernel.shape) < _FEWEST_PRODUCTS
    )
    own = jax.default_backend() == "cpu" and not small
    return (_with_own_gradient if own else _conv)(x, kernel, *options)


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

    def of_x(x: jax.Array) -> jax.Array:
        return _conv(x, kernel, strides, padding, dilation, precision)

    of_kernel = _kernel_gradient(
        lax.pad(
            x, jnp.zeros((), x.dtype), ((0, 0, 0), *((a, b, 0) for a, b in padding), (0, 0, 0))
        ),
        gradient,
        kernel.shape[:-2],
        strides,
        dilation,
        precision,
        _PIECE_BYTES,
    )
    return jax.vjp(of_x, x)[1](gradient)[0], of_kernel.astype(kernel.dtype)


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
    few = math.prod(x.shape[:-1]) * math.prod(kernel.shape) < _FEWEST_PRODUCTS
    own = jax.default_backend() == "cpu" and not few
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

    def of_x(x: jax.Array) -> jax.Array:
        return _transposed(x, kernel, strides, padding, precision)

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
        (1,) * len(window),
        precision,
        _PIECE_BYTES,
    )
    of_kernel = jnp.flip(of_kernel, range(len(window))).swapaxes(-1, -2)
    return jax.vjp(of_x, x)[1](gradient)[0], of_kernel.astype(kernel.dtype)


_transposed_with_own_gradient.defvjp(_transposed_forward, _transposed_backward)


# Compiled apart so that it is traced once for all products of a shape, of which a quaternion layer
# has eight.
@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5, 6))
def _kernel_gradient(
    x: jax.Array,
    gradient: jax.Array,
    window: tuple[int, ...],
    strides: Steps,
    dilation: Steps,
    precision: Any,
    piece_bytes: int,
) -> jax.Array:
    """Sum over all positions of what each sees times its gradient, `[*window, inputs, outputs]`.

    `x` is padded already. A piece is a number of images, or a number of rows of one image; each
    place in the window sees a slice of it.
    """
    batch, rows, *others = gradient.shape[:-1]
    inputs, outputs = x.shape[-1], gradient.shape[-1]
    row_bytes = math.prod(others) * (2 * inputs * math.prod(strides) + outputs) * x.dtype.itemsize
    images, height = _even(batch, piece_bytes // (row_bytes * rows)), rows
    if images == 1:
        height = _even(rows, piece_bytes // row_bytes)
    # A last piece that is not full is filled up with gradients of zero.
    counts = -(-batch // images), -(-rows // height)
    lacking = [images * counts[0] - batch, height * counts[1] - rows]
    gradient = _filled(gradient, lacking)
    reach = (height * counts[1] - 1) * strides[0] + (window[0] - 1) * dilation[0] + 1
    x = _filled(x, [lacking[0], max(reach - x.shape[1], 0)])

    # How far a slice of a piece reaches along each axis.
    spans = [(n - 1) * t + 1 for n, t in zip((height, *others), strides, strict=True)]
    seen_rows = spans[0] + (window[0] - 1) * dilation[0]
    offsets = jnp.asarray(
        [[o * d for o, d in zip(offset, dilation, strict=True)] for offset in np.ndindex(window)]
    )
    kind = jnp.float32 if x.dtype == jnp.bfloat16 else x.dtype

    def add_piece(index: Any, total: jax.Array) -> jax.Array:
        image, row = index // counts[1] * images, index % counts[1] * height
        seen = lax.dynamic_slice_in_dim(x, image, images, 0)
        seen = lax.dynamic_slice_in_dim(seen, row * strides[0], seen_rows, 1)
        of_piece = lax.dynamic_slice_in_dim(gradient, image, images, 0)
        of_piece = lax.dynamic_slice_in_dim(of_piece, row, height, 1).reshape(-1, outputs)

        def add_place(place: Any, total: jax.Array) -> jax.Array:
            starts: list[Any] = [0, *(offsets[place, axis] for axis in range(len(spans))), 0]
            slice_ = lax.dynamic_slice(seen, starts, (images, *spans, inputs))
            slice_ = lax.slice(slice_, [0] * slice_.ndim, slice_.shape, (1, *strides, 1))
            product = lax.dot_general(
                slice_.reshape(-1, inputs),
                of_piece,
                (((0,), (0,)), ((), ())),
                precision=precision,
                preferred_element_type=kind,
            )
            return total.at[place].add(product)

        return lax.fori_loop(0, math.prod(window), add_place, total)

    total = jnp.zeros((math.prod(window), inputs, outputs), kind)
    total = lax.fori_loop(0, math.prod(counts), add_piece, total)
    return total.reshape(*window, inputs, outputs)


def _even(count: int, most: int) -> int:
    """Size of the fewest equal parts of which none is larger than `most`, or than 1."""
    parts = -(-count // max(min(most, count), 1))
    return -(-count // parts)


def _filled(x: jax.Array, lacking: list[int]) -> jax.Array:
    """Zeros added at the end of the first axes."""
    if not any(lacking):
        return x
    return jnp.pad(x, [(0, n) for n in lacking] + [(0, 0)] * (x.ndim - len(lacking)))

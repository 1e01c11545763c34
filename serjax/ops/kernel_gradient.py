"""The derivative of a convolution by its kernel, in two forms that suit CPUs.

It is itself a convolution, with a window as large as the image. XLA's two convolutions on CPUs
differ most in it (`serjax.ops.cpu`): with YNNPACK's it is made of matrix products instead.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from serjax.ops.cpu import has_threaded_convolutions

# What is read of one piece, and the copy of it that one place in the window sees, should stay in
# the cache.
_PIECE_BYTES = 2**20
# With fewer products in all, or of one position, there is nothing to gain.
_FEWEST_PRODUCTS = 2**24
_FEWEST_OF_POSITION = 64

Steps = tuple[int, ...]


class Window(NamedTuple):
    """What a kernel sees of an image from one place, and how.

    Attributes:
        extents: One per axis, as all that follow.
        strides: From place to place.
        dilation: From entry to entry.
        precision: As in `jax.lax.conv_general_dilated`.
    """

    extents: tuple[int, ...]
    strides: Steps
    dilation: Steps
    precision: Any


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    strides: Steps,
    padding: str | Sequence[tuple[int, int]],
    dilation: Steps,
    precision: Any,
    spread: Steps | None = None,
) -> jax.Array:
    """XLA's convolution, channels last; x has `spread - 1` zeros between its positions."""
    space = "DHW"[-len(strides) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        lhs_dilation=spread,
        rhs_dilation=dilation,
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        precision=precision,
    )


def kernel_gradient(x: jax.Array, gradient: jax.Array, window: Window) -> jax.Array:
    """Sum over all positions of what each sees times its gradient.

    Args:
        x: `[batch, *space, inputs]`, padded.
        gradient: By the convolution's result, `[batch, *space', outputs]`.
        window: Of the kernel.

    Returns:
        `[*extents, inputs, outputs]`.
    """
    # Over one axis, or three, XLA has but one.
    if len(window.extents) == 2 and has_threaded_convolutions():
        return _by_convolution(x, gradient, window)
    of_position = x.shape[-1] * gradient.shape[-1]
    products = math.prod(gradient.shape[:-1]) * math.prod(window.extents) * of_position
    if of_position < _FEWEST_OF_POSITION or products < _FEWEST_PRODUCTS:
        return _by_convolution(x, gradient, window)
    return _by_patches(x, gradient, window, _PIECE_BYTES)


def _by_convolution(x: jax.Array, gradient: jax.Array, window: Window) -> jax.Array:
    """As `kernel_gradient`: inputs are the examples, examples the channels, of a large window."""
    extents, strides, dilation, precision = window
    # Inputs that no window reaches would give further places.
    reach = [
        (n - 1) * t + (k - 1) * d + 1
        for n, t, k, d in zip(gradient.shape[1:], strides, extents, dilation, strict=False)
    ]
    seen = lax.slice(x, [0] * x.ndim, (x.shape[0], *reach, x.shape[-1]))
    examples_last = jnp.swapaxes(seen, 0, -1), jnp.moveaxis(gradient, 0, -2)
    result = convolve(*examples_last, dilation, "VALID", strides, precision)
    return jnp.moveaxis(result, 0, -2)


# Compiled apart so that it is traced once for all products of a shape, of which a quaternion layer
# has eight.
@functools.partial(jax.jit, static_argnums=(2, 3))
def _by_patches(x: jax.Array, gradient: jax.Array, window: Window, piece_bytes: int) -> jax.Array:
    """As `kernel_gradient`: a matrix product of what each position sees, piece by piece.

    A piece is a number of images, or a number of rows of one image.
    """
    extents, strides, dilation, precision = window
    batch, rows, *others = gradient.shape[:-1]
    inputs, outputs = x.shape[-1], gradient.shape[-1]
    row_bytes = math.prod(others) * (inputs * math.prod(extents) + outputs) * x.dtype.itemsize
    images, height = _part(batch, piece_bytes // (row_bytes * rows)), rows
    if images == 1:
        height = _part(rows, piece_bytes // row_bytes)
    # A last piece that is not full is filled up with gradients of zero.
    counts = -(-batch // images), -(-rows // height)
    lacking = [images * counts[0] - batch, height * counts[1] - rows]
    gradient = _filled(gradient, lacking)
    reach = (height * counts[1] - 1) * strides[0] + (extents[0] - 1) * dilation[0] + 1
    x = _filled(x, [lacking[0], max(reach - x.shape[1], 0)])

    # How far a slice of a piece reaches along each axis.
    spans = [(n - 1) * t + 1 for n, t in zip((height, *others), strides, strict=True)]
    seen_rows = spans[0] + (extents[0] - 1) * dilation[0]
    kind = jnp.float32 if x.dtype == jnp.bfloat16 else x.dtype

    def add_piece(index: Any, total: jax.Array) -> jax.Array:
        image, row = index // counts[1] * images, index % counts[1] * height
        seen = lax.dynamic_slice_in_dim(x, image, images, 0)
        seen = lax.dynamic_slice_in_dim(seen, row * strides[0], seen_rows, 1)
        of_piece = lax.dynamic_slice_in_dim(gradient, image, images, 0)
        of_piece = lax.dynamic_slice_in_dim(of_piece, row, height, 1).reshape(-1, outputs)

        patches = []
        for place in np.ndindex(extents):
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

    total = jnp.zeros((math.prod(extents) * inputs, outputs), kind)
    total = lax.fori_loop(0, math.prod(counts), add_piece, total)
    return total.reshape(*extents, inputs, outputs)


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

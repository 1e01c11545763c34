"""Derivative of a convolution by its kernel, in two forms that are fast on CPUs.

The derivative is a convolution with a kernel as large as the image. XLA's two convolution libraries
for CPUs differ most in this case (`serjax.ops.cpu`): with YNNPACK, the derivative is computed by
matrix products instead.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.lax import PrecisionLike
from jaxtyping import Array, Float

from serjax.ops.cpu import has_threaded_convolutions

# The input of one piece, and its copy for one position in the kernel, should stay in the cache.
_PIECE_BYTES = 2**20
# With fewer products in total, or per position, matrix products are not faster.
_MIN_PRODUCTS = 2**24
_MIN_PRODUCTS_PER_POSITION = 64

Steps = tuple[int, ...]
"""Strides or dilation, one per spatial axis."""


class ConvSettings(NamedTuple):
    """Settings of a convolution that its derivative by the kernel depends on.

    Attributes:
        kernel_size: Extent of the kernel, one per spatial axis.
        strides: Strides, one per spatial axis.
        dilation: Dilation of the kernel, one per spatial axis.
        precision: Precision as in `jax.lax.conv_general_dilated`.
    """

    kernel_size: Steps
    strides: Steps
    dilation: Steps
    precision: PrecisionLike


def convolve(
    x: Float[Array, "batch *space inputs"],
    kernel: Float[Array, "*kernel_size inputs outputs"],
    strides: Steps,
    padding: str | Sequence[tuple[int, int]],
    dilation: Steps,
    precision: PrecisionLike,
    lhs_dilation: Steps | None = None,
) -> Float[Array, "batch *out_space outputs"]:
    """Applies XLA's convolution, channels last.

    Args:
        x: Input.
        kernel: Kernel.
        strides: Strides, one per spatial axis.
        padding: "SAME", "VALID", or a pair per spatial axis.
        dilation: Dilation of the kernel, one per spatial axis.
        precision: Precision as in `jax.lax.conv_general_dilated`.
        lhs_dilation: Dilation of x, one per spatial axis: n puts n - 1 zeros between positions.
    """
    space = "DHW"[-len(strides) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=dilation,
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        precision=precision,
    )


def kernel_gradient(
    x: Float[Array, "batch *space inputs"],
    gradient: Float[Array, "batch *out_space outputs"],
    settings: ConvSettings,
) -> Float[Array, "*kernel_size inputs outputs"]:
    """Computes the derivative of a convolution by its kernel.

    Args:
        x: Padded input of the convolution.
        gradient: Derivative of the loss by the convolution's result.
        settings: Settings of the convolution.

    Returns:
        Derivative of the loss by the kernel.
    """
    # For one and three spatial axes XLA has only one implementation.
    if len(settings.kernel_size) == 2 and has_threaded_convolutions():
        return _by_convolution(x, gradient, settings)
    products_per_position = x.shape[-1] * gradient.shape[-1]
    positions = math.prod(gradient.shape[:-1]) * math.prod(settings.kernel_size)
    if (
        products_per_position < _MIN_PRODUCTS_PER_POSITION
        or positions * products_per_position < _MIN_PRODUCTS
    ):
        return _by_convolution(x, gradient, settings)
    return _by_patches(x, gradient, settings, _PIECE_BYTES)


def _by_convolution(
    x: Float[Array, "batch *space inputs"],
    gradient: Float[Array, "batch *out_space outputs"],
    settings: ConvSettings,
) -> Float[Array, "*kernel_size inputs outputs"]:
    """Computes `kernel_gradient` by a convolution with examples and inputs exchanged.

    Its kernel is the gradient, its examples are the channels of x.
    """
    kernel_size, strides, dilation, precision = settings
    # Inputs that the kernel does not reach would give additional positions.
    reach = [
        (n - 1) * stride + (k - 1) * d + 1
        for n, stride, k, d in zip(gradient.shape[1:], strides, kernel_size, dilation, strict=False)
    ]
    x = lax.slice(x, [0] * x.ndim, (x.shape[0], *reach, x.shape[-1]))
    examples_last = jnp.swapaxes(x, 0, -1), jnp.moveaxis(gradient, 0, -2)
    result = convolve(*examples_last, dilation, "VALID", strides, precision)
    return jnp.moveaxis(result, 0, -2)


# Jitted so that it is traced only once for all products of a shape; a quaternion layer has eight.
@functools.partial(jax.jit, static_argnums=(2, 3))
def _by_patches(
    x: Float[Array, "batch *space inputs"],
    gradient: Float[Array, "batch *out_space outputs"],
    settings: ConvSettings,
    piece_bytes: int,
) -> Float[Array, "*kernel_size inputs outputs"]:
    """Computes `kernel_gradient` by matrix products of patches, piece by piece.

    A piece is a number of images, or a number of rows of one image.
    """
    kernel_size, strides, dilation, precision = settings
    batch, rows, *other_space = gradient.shape[:-1]
    inputs, outputs = x.shape[-1], gradient.shape[-1]
    row_bytes = math.prod(other_space) * (inputs * math.prod(kernel_size) + outputs)
    row_bytes *= x.dtype.itemsize
    images, height = _piece_size(batch, piece_bytes // (row_bytes * rows)), rows
    if images == 1:
        height = _piece_size(rows, piece_bytes // row_bytes)
    # The last piece is padded with gradients of zero.
    counts = -(-batch // images), -(-rows // height)
    missing = [images * counts[0] - batch, height * counts[1] - rows]
    gradient = _pad_end(gradient, missing)
    reach = (height * counts[1] - 1) * strides[0] + (kernel_size[0] - 1) * dilation[0] + 1
    x = _pad_end(x, [missing[0], max(reach - x.shape[1], 0)])

    # Extent of a slice of a piece along each axis.
    spans = [
        (n - 1) * stride + 1 for n, stride in zip((height, *other_space), strides, strict=True)
    ]
    piece_rows = spans[0] + (kernel_size[0] - 1) * dilation[0]
    sum_dtype = jnp.float32 if x.dtype == jnp.bfloat16 else x.dtype

    def add_piece(index: Array, total: Array) -> Array:
        image, row = index // counts[1] * images, index % counts[1] * height
        x_piece = lax.dynamic_slice_in_dim(x, image, images, 0)
        x_piece = lax.dynamic_slice_in_dim(x_piece, row * strides[0], piece_rows, 1)
        gradient_piece = lax.dynamic_slice_in_dim(gradient, image, images, 0)
        gradient_piece = lax.dynamic_slice_in_dim(gradient_piece, row, height, 1)
        gradient_piece = gradient_piece.reshape(-1, outputs)

        patches = []
        for position in np.ndindex(kernel_size):
            starts = [0, *(o * d for o, d in zip(position, dilation, strict=True)), 0]
            stops = [n + start for n, start in zip((images, *spans, inputs), starts, strict=True)]
            patch = lax.slice(x_piece, starts, stops, (1, *strides, 1))
            patches.append(patch.reshape(-1, inputs))
        return total + lax.dot_general(
            jnp.concatenate(patches, axis=-1),
            gradient_piece,
            (((0,), (0,)), ((), ())),
            precision=precision,
            preferred_element_type=sum_dtype,
        )

    total = jnp.zeros((math.prod(kernel_size) * inputs, outputs), sum_dtype)
    total = lax.fori_loop(0, math.prod(counts), add_piece, total)
    return total.reshape(*kernel_size, inputs, outputs)


def _piece_size(count: int, limit: int) -> int:
    """Chooses the size of pieces of `count` items, at most `limit` and at least 1.

    The size divides `count` if a size above half the limit does.
    """
    limit = max(min(limit, count), 1)
    divisors = (size for size in range(limit, limit // 2, -1) if count % size == 0)
    return next(divisors, -(-count // -(-count // limit)))


def _pad_end(x: Array, sizes: list[int]) -> Array:
    """Appends zeros to the first axes."""
    if not any(sizes):
        return x
    return jnp.pad(x, [(0, n) for n in sizes] + [(0, 0)] * (x.ndim - len(sizes)))

"""A convolution whose derivative by the kernel suits CPUs."""

import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

# Patches of one piece should stay in a core's share of the cache, and still make large products.
_PIECE_BYTES = 8 * 2**20
# With fewer channels on either side, or fewer positions to sum over, the matrix products are too
# small to gain anything, and only take longer to compile.
_FEWEST_CHANNELS = 64
_FEWEST_POSITIONS = 4096

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
    the image, two to four times as slow as the convolution itself. There, and between enough
    channels, this makes it a matrix product of patches of the input with the gradient, piece by
    piece: for 64 channels on 512 x 128 positions, a quarter of the time forward and backward.
    As a consequence, its derivatives are of reverse mode only.

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
    if jax.default_backend() != "cpu" or math.prod(kernel.shape[:-2]) == 1:
        return _conv(x, kernel, *options)
    positions = math.prod(x.shape[:-1]) // math.prod(strides)
    many = min(kernel.shape[-2:]) >= _FEWEST_CHANNELS and positions >= _FEWEST_POSITIONS
    run = _with_patches if many else _conv
    return run(x, kernel, *options)


def _conv(
    x: jax.Array, kernel: jax.Array, strides: Steps, padding: Pairs, dilation: Steps, precision: Any
) -> jax.Array:
    space = "DHW"[-len(strides) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        precision=precision,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _with_patches(
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
    )
    return jax.vjp(of_x, x)[1](gradient)[0], of_kernel.reshape(kernel.shape).astype(kernel.dtype)


_with_patches.defvjp(_forward, _backward)


def _kernel_gradient(
    x: jax.Array,
    gradient: jax.Array,
    window: tuple[int, ...],
    strides: Steps,
    dilation: Steps,
    precision: Any,
) -> jax.Array:
    """Sum over all positions of patch times gradient, `[window * inputs, outputs]`.

    `x` is padded already. A piece is a number of images, or a number of rows of one image.
    """
    batch, rows, *others = gradient.shape[:-1]
    row_bytes = math.prod(window) * x.shape[-1] * math.prod(others) * x.dtype.itemsize
    images = max(min(_PIECE_BYTES // (row_bytes * rows), batch), 1)
    height = rows if images > 1 else max(min(_PIECE_BYTES // row_bytes, rows), 1)
    # A last piece that is not full is filled up with gradients of zero.
    counts = -(-batch // images), -(-rows // height)
    span = (height - 1) * strides[0] + (window[0] - 1) * dilation[0] + 1
    lacking = [images * counts[0] - batch, height * counts[1] - rows]
    gradient = _filled(gradient, lacking)
    reach = (height * counts[1] - 1) * strides[0] + (window[0] - 1) * dilation[0] + 1
    x = _filled(x, [lacking[0], max(reach - x.shape[1], 0)])

    def piece(image: Any, row: Any) -> jax.Array:
        seen = lax.dynamic_slice_in_dim(x, image * images, images, 0)
        seen = lax.dynamic_slice_in_dim(seen, row * height * strides[0], span, 1)
        piece = lax.dynamic_slice_in_dim(gradient, image * images, images, 0)
        piece = lax.dynamic_slice_in_dim(piece, row * height, height, 1)
        patches = _patches(seen, window, piece.shape[1:-1], strides, dilation)
        return lax.dot_general(
            patches,
            piece.reshape(-1, piece.shape[-1]),
            (((0,), (0,)), ((), ())),
            precision=precision,
            preferred_element_type=jnp.float32 if x.dtype == jnp.bfloat16 else None,
        )

    if counts == (1, 1):
        return piece(0, 0)
    first = jax.eval_shape(piece, 0, 0)
    return lax.fori_loop(
        0,
        math.prod(counts),
        lambda index, total: total + piece(index // counts[1], index % counts[1]),
        jnp.zeros(first.shape, first.dtype),
    )


def _filled(x: jax.Array, lacking: list[int]) -> jax.Array:
    """Zeros added at the end of the first axes."""
    if not any(lacking):
        return x
    return jnp.pad(x, [(0, n) for n in lacking] + [(0, 0)] * (x.ndim - len(lacking)))


def _patches(
    x: jax.Array, window: tuple[int, ...], space: tuple[int, ...], strides: Steps, dilation: Steps
) -> jax.Array:
    """`[positions, window * inputs]`, what each position of `space` sees."""
    seen = []
    for offset in itertools.product(*(range(extent) for extent in window)):
        starts = [o * d for o, d in zip(offset, dilation, strict=True)]
        ends = [s + (n - 1) * t + 1 for s, n, t in zip(starts, space, strides, strict=True)]
        seen.append(
            lax.slice(x, (0, *starts, 0), (x.shape[0], *ends, x.shape[-1]), (1, *strides, 1))
        )
    return jnp.concatenate(seen, axis=-1).reshape(-1, math.prod(window) * x.shape[-1])

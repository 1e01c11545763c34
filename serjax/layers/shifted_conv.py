"""Convolution between few channels."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from serjax.errors import InputError
from serjax.fourier import at_least_float32


def shifted_conv(
    x: jax.Array,
    kernel: jax.Array,
    window_strides: Any,
    padding: Any,
    lhs_dilation: Any = None,
    rhs_dilation: Any = None,
    dimension_numbers: Any = None,
    **options: Any,
) -> jax.Array:
    """Two-dimensional convolution as a sum of shifted, scaled images.

    Convolution routines arrange channels for matrix units, which is wasted on one to four of
    them. Here all products of an output channel are one elementwise loop: for the RH-emo
    encoder's first layer on two CPU cores, 0.4 instead of 8.7 ms per four spectrograms.

    Takes the arguments of `jax.lax.conv_general_dilated`, to be a `flax.linen.Conv`'s field of
    that name; strides and dilations of 1 and no groups are all it does.

    Args:
        x: `[batch, rows, columns, inputs]`.
        kernel: `[*window, inputs, outputs]`.
        window_strides: (1, 1).
        padding: A pair per axis.
        lhs_dilation: (1, 1).
        rhs_dilation: (1, 1).
        dimension_numbers: Of channels-last arrays.
        **options: feature_group_count of 1; precision has no meaning here.

    Returns:
        `[batch, rows', columns', outputs]`; sums are float32 at least.

    Raises:
        InputError: strides, dilations, groups or a named padding.
    """
    steps = {*window_strides, *(lhs_dilation or ()), *(rhs_dilation or ())}
    if steps != {1} or options.get("feature_group_count", 1) != 1 or isinstance(padding, str):
        raise InputError(
            "shifted_conv: expected strides, dilations and groups of 1 and padding in numbers, "
            f"found {window_strides}, {lhs_dilation}, {rhs_dilation}, {padding!r}"
        )
    pairs = tuple((int(before), int(after)) for before, after in padding)
    return _shifted_conv(x, kernel, pairs)


def _sum_of_shifts(x: jax.Array, kernel: jax.Array, padding: Any) -> jax.Array:
    height, width, inputs, outputs = kernel.shape
    # Channels first: then a shifted channel is a plain image, and the sum vectorizes.
    images = jnp.pad(jnp.moveaxis(at_least_float32(x), -1, 1), ((0, 0), (0, 0), *padding))
    weights = at_least_float32(kernel)
    rows, columns = images.shape[2] - height + 1, images.shape[3] - width + 1
    sums = [
        sum(
            images[:, i, a : a + rows, b : b + columns] * weights[a, b, i, o]
            for a in range(height)
            for b in range(width)
            for i in range(inputs)
        )
        for o in range(outputs)
    ]
    return jnp.stack(sums, axis=-1).astype(x.dtype)


def _conv(x: jax.Array, kernel: jax.Array, padding: Any) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _shifted_conv(x: jax.Array, kernel: jax.Array, padding: Any) -> jax.Array:
    return _sum_of_shifts(x, kernel, padding)


def _forward(x: jax.Array, kernel: jax.Array, padding: Any) -> tuple[jax.Array, Any]:
    return _shifted_conv(x, kernel, padding), (x, kernel)


def _backward(padding: Any, saved: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    window = kernel.shape[:2]
    flipped = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    around = tuple(
        (extent - 1 - before, extent - 1 - after)
        for extent, (before, after) in zip(window, padding, strict=True)
    )
    # Differentiating the sum would make a reduction over the whole image of every product; the
    # ordinary convolution's derivative by the kernel does not have its forward pass's trouble.
    of_kernel = jax.vjp(lambda k: _conv(x, k, padding), kernel)[1](gradient)[0]
    return _sum_of_shifts(gradient, flipped, around), of_kernel


_shifted_conv.defvjp(_forward, _backward)

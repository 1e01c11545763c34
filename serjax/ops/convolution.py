"""Convolutions shared by all algebras: channels in blocks, checks of shapes, arguments.

A hypercomplex value has n real components, and a tensor's channels are n equal blocks. A kernel has
the components first, `[components, *kernel_size, inputs / components / groups,
outputs / components]`.
"""

from collections.abc import Callable, Iterable, Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.lax import PrecisionLike
from jaxtyping import Array, Float

from serjax.errors import InputError
from serjax.kernels import kernel
from serjax.ops import real_convolution

Padding = str | int | Sequence[int | tuple[int, int]]
"""A name, "SAME" or "VALID", an integer for all sides, or an integer or a pair per axis."""

Multiply = Callable[[Array, Array], Array]
"""Bilinear product of an input and a real kernel that sums over the input's channels."""


def check_blocks(channels: int, components: int, what: str) -> None:
    """Checks that channels can be split into equal blocks.

    Args:
        channels: Number of channels.
        components: Number of blocks.
        what: Name of the tensor, for the message.

    Raises:
        InputError: `components` is below 1 or does not divide `channels`.
    """
    if components < 1:
        raise InputError(f"{what}: expected at least 1 component, found {components}")
    if channels % components:
        raise InputError(
            f"{what}: channels are {components} equal blocks, expected a multiple of {components}, "
            f"found {channels}"
        )


def check_shapes(
    x: Float[Array, "..."],
    kernel: Float[Array, "..."],
    bias: Float[Array, "..."] | None,
    components: int,
    groups: int,
    what: str,
) -> None:
    """Checks that the shapes of input, kernel and bias match.

    Args:
        x: Input `[..., inputs]`.
        kernel: Kernel `[components, ..., inputs / components / groups, outputs / components]`.
        bias: Bias `[outputs]`, or None.
        components: Number of components of a hypercomplex value.
        groups: Number of groups of channels.
        what: Name of the operation, for the message.

    Raises:
        InputError: The shapes do not match.
    """
    check_blocks(x.shape[-1], components, f"{what}, input")
    if groups < 1:
        raise InputError(f"{what}: expected at least 1 group, found {groups}")
    if kernel.shape[0] != components or components * kernel.shape[-2] * groups != x.shape[-1]:
        raise InputError(
            f"{what}: a kernel for input {x.shape} has shape [{components}, ..., "
            f"{x.shape[-1] // components // groups}, outputs / {components}], found {kernel.shape}"
        )
    if kernel.shape[-1] % groups:
        raise InputError(
            f"{what}: {kernel.shape[-1]} outputs / {components} cannot be split into {groups} "
            "groups"
        )
    # A bias of one value would otherwise be broadcast silently over all channels.
    if bias is not None and bias.shape != (components * kernel.shape[-1],):
        raise InputError(
            f"{what}: expected a bias of shape {(components * kernel.shape[-1],)}, "
            f"found {bias.shape}"
        )


def check_rank(x: Float[Array, "..."], kernel: Float[Array, "..."], what: str) -> int:
    """Checks the ranks of input and kernel.

    Args:
        x: Input `[batch, *space, inputs]`.
        kernel: Kernel `[components, *kernel_size, inputs, outputs]`.
        what: Name of the operation, for the message.

    Returns:
        Number of spatial axes, one to three.

    Raises:
        InputError: The ranks do not match, or there are no or more than three spatial axes.
    """
    rank = kernel.ndim - 3
    if x.ndim != rank + 2 or not 1 <= rank <= 3:
        raise InputError(
            f"{what}: a kernel {kernel.shape} takes input of rank {rank + 2}, found {x.shape}"
        )
    return rank


def _padding_pairs(padding: Padding, rank: int) -> str | list[tuple[int, int]]:
    """Converts padding to XLA's form: a name, or one (before, after) pair per spatial axis."""
    if isinstance(padding, str):
        if padding.upper() not in ("SAME", "VALID"):
            raise InputError(f"padding: expected 'SAME', 'VALID' or numbers, found {padding!r}")
        return padding.upper()
    if isinstance(padding, int):
        padding = (padding,) * rank
    if len(padding) != rank:
        raise InputError(f"padding: expected {rank} entries, one per axis, found {padding}")
    return [(p, p) if isinstance(p, int) else (p[0], p[1]) for p in padding]


def per_axis(value: int | Sequence[int], rank: int, what: str) -> tuple[int, ...]:
    """Expands strides or dilation to one value per spatial axis.

    Args:
        value: One integer for all axes, or one per axis.
        rank: Number of spatial axes.
        what: Name of the argument, for the message.

    Raises:
        InputError: The number of values differs from `rank`, or a value is below 1.
    """
    values = tuple(value) if isinstance(value, Iterable) else (value,) * rank
    if len(values) != rank:
        raise InputError(f"{what}: expected {rank} entries, one per axis, found {values}")
    if not all(isinstance(n, int | np.integer) and n >= 1 for n in values):
        raise InputError(f"{what}: expected whole numbers from 1 on, found {values}")
    return values


def convolution(
    rank: int,
    strides: int | Sequence[int],
    padding: Padding,
    dilation: int | Sequence[int],
    precision: PrecisionLike,
) -> Multiply:
    """Makes a real convolution `(x, kernel) -> y`, channels last.

    Args:
        rank: Number of spatial axes.
        strides: Strides, one or one per axis.
        padding: "SAME", "VALID", an integer for both sides, or a pair per axis.
        dilation: Dilation of the kernel, one or one per axis.
        precision: Precision as in `jax.lax.conv_general_dilated`.
    """

    def multiply(x: Array, kernel: Array) -> Array:
        steps = per_axis(strides, rank, "strides")
        rhs_dilation = per_axis(dilation, rank, "dilation")
        pairs = _padding_pairs(padding, rank)
        if isinstance(pairs, str):
            extents = [(n - 1) * d + 1 for n, d in zip(kernel.shape, rhs_dilation, strict=False)]
            pairs = lax.padtype_to_pads(x.shape[1:-1], extents, steps, pairs)
        return real_convolution.conv(x, kernel, steps, tuple(pairs), rhs_dilation, precision)

    return multiply


@kernel
def conv_general_dilated(
    x: Float[Array, "batch *space inputs"],
    kernel: Float[Array, "*kernel_size inputs_of_group outputs"],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: lax.ConvGeneralDilatedDimensionNumbers = None,
    feature_group_count: int = 1,
    precision: PrecisionLike = None,
) -> Float[Array, "batch *out_space outputs"]:
    """Convolves with the arguments of `jax.lax.conv_general_dilated`, channels last.

    Fits the field of this name of `flax.linen.Conv`. Calls `real_convolution.conv`, or XLA for
    groups and dilated input, which that function does not support.
    """
    if feature_group_count != 1 or set(lhs_dilation or (1,)) != {1}:
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides,
            padding,
            lhs_dilation,
            rhs_dilation,
            dimension_numbers,
            feature_group_count,
            precision=precision,
        )
    rank = x.ndim - 2
    return convolution(rank, window_strides, padding, rhs_dilation or 1, precision)(x, kernel)


def transposed_convolution(
    rank: int, strides: int | Sequence[int], padding: Padding, precision: PrecisionLike
) -> Multiply:
    """Makes a real transposed convolution `(x, kernel) -> y` as `jax.lax.conv_transpose`.

    Args:
        rank: Number of spatial axes.
        strides: Strides, one or one per axis.
        padding: "SAME", "VALID", an integer for both sides, or a pair per axis.
        precision: Precision as in `jax.lax.conv_transpose`.
    """

    def multiply(x: Array, kernel: Array) -> Array:
        steps = per_axis(strides, rank, "strides")
        pairs = _padding_pairs(padding, rank)
        return real_convolution.conv_transpose(x, kernel, steps, pairs, precision)

    return multiply


def grouped(
    product: Multiply,
    x: Float[Array, "batch *space inputs"],
    kernel: Float[Array, "components *kernel_size inputs_of_group outputs_of_component"],
    components: int,
    groups: int,
) -> Float[Array, "batch *out_space outputs"]:
    """Applies a product separately to groups of channels, taken from every component block.

    XLA's own groups would split the channels across component blocks, and are slow on CPUs.

    Args:
        product: Hypercomplex product of an input and a kernel.
        x: Input with `components` blocks of channels.
        kernel: Kernel whose last axis is split into groups.
        components: Number of components of a hypercomplex value.
        groups: Number of groups.
    """
    if groups == 1:
        return product(x, kernel)
    inputs = jnp.split(x.reshape(*x.shape[:-1], components, -1), groups, axis=-1)
    results = [
        product(group.reshape(*x.shape[:-1], -1), group_kernel)
        for group, group_kernel in zip(inputs, jnp.split(kernel, groups, axis=-1), strict=True)
    ]
    blocks = [result.reshape(*result.shape[:-1], components, -1) for result in results]
    return jnp.concatenate(blocks, axis=-1).reshape(*results[0].shape[:-1], -1)

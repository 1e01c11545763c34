"""What products over any algebra share: channels in blocks, checked shapes, arguments of windows.

An algebra's numbers have so many real components; a tensor's channels are as many equal blocks.
A kernel has the components first, `[components, *window, inputs / components / groups,
outputs / components]`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from serjax.errors import InputError
from serjax.ops import real_convolution

Padding = str | int | Sequence[int | tuple[int, int]]
Multiply = Callable[[jax.Array, jax.Array], jax.Array]


def check_blocks(channels: int, components: int, what: str) -> None:
    """Raises InputError unless `channels` can be split into so many equal blocks."""
    if components < 1:
        raise InputError(f"{what}: expected at least 1 component, found {components}")
    if channels % components:
        raise InputError(
            f"{what}: channels are {components} equal blocks, expected a multiple of {components}, "
            f"found {channels}"
        )


def check_shapes(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    components: int,
    groups: int,
    what: str,
) -> None:
    """Raises InputError unless input, kernel and bias fit each other."""
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
    # A bias of one value would otherwise be broadcast over all channels without a word.
    if bias is not None and bias.shape != (components * kernel.shape[-1],):
        raise InputError(
            f"{what}: expected a bias of shape {(components * kernel.shape[-1],)}, "
            f"found {bias.shape}"
        )


def check_rank(x: jax.Array, kernel: jax.Array, what: str) -> int:
    """Number of spatial axes, one to three; raises InputError unless input and kernel agree."""
    rank = kernel.ndim - 3
    if x.ndim != rank + 2 or not 1 <= rank <= 3:
        raise InputError(
            f"{what}: a kernel {kernel.shape} takes input of rank {rank + 2}, found {x.shape}"
        )
    return rank


def _pairs(padding: Padding, rank: int) -> str | list[tuple[int, int]]:
    """Padding as XLA takes it: a name, or one (before, after) pair per spatial axis."""
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
    """Strides, or dilation, of each of so many axes; InputError unless they are from 1 on."""
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
    precision: Any,
) -> Multiply:
    """Real convolution `(x, matrix) -> y` over so many spatial axes, channels last."""

    def multiply(x: jax.Array, matrix: jax.Array) -> jax.Array:
        steps = per_axis(strides, rank, "strides")
        spread = per_axis(dilation, rank, "dilation")
        pairs = _pairs(padding, rank)
        if isinstance(pairs, str):
            window = [(n - 1) * d + 1 for n, d in zip(matrix.shape, spread, strict=False)]
            pairs = lax.padtype_to_pads(x.shape[1:-1], window, steps, pairs)
        return real_convolution.conv(x, matrix, steps, tuple(pairs), spread, precision)

    return multiply


def conv_general_dilated(
    x: jax.Array,
    kernel: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    precision: Any = None,
) -> jax.Array:
    """`real_convolution.conv` with the arguments of `jax.lax.conv_general_dilated`.

    To be the field of that name of `flax.linen.Conv`, whose arrays have the channels last. What
    `real_convolution.conv` does not do, groups and dilated input, stays with XLA.
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
    rank: int, strides: int | Sequence[int], padding: Padding, precision: Any
) -> Multiply:
    """Real transposed convolution `(x, matrix) -> y`, as `jax.lax.conv_transpose`."""

    def multiply(x: jax.Array, matrix: jax.Array) -> jax.Array:
        steps = per_axis(strides, rank, "strides")
        return real_convolution.conv_transpose(x, matrix, steps, _pairs(padding, rank), precision)

    return multiply


def grouped(
    product: Multiply, x: jax.Array, kernel: jax.Array, components: int, groups: int
) -> jax.Array:
    """Product in groups of numbers: each takes its share of every component block.

    XLA's own groups would split the channels straight through, and are slow on CPUs besides.
    """
    if groups == 1:
        return product(x, kernel)
    shares = jnp.split(x.reshape(*x.shape[:-1], components, -1), groups, axis=-1)
    parts = [
        product(share.reshape(*x.shape[:-1], -1), part)
        for share, part in zip(shares, jnp.split(kernel, groups, axis=-1), strict=True)
    ]
    blocks = [part.reshape(*part.shape[:-1], components, -1) for part in parts]
    return jnp.concatenate(blocks, axis=-1).reshape(*parts[0].shape[:-1], -1)

"""Dense layer, convolution and transposed convolution over quaternions, as pure functions."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

from serjax.errors import InputError
from serjax.quaternion.algebra import check_channels
from serjax.quaternion.products import Multiply, block_product, eight_product, stacked_product

Padding = str | int | Sequence[int | tuple[int, int]]
Form = Literal["block", "eight", "stacked"]

_PRODUCTS: dict[Form, Callable[[Multiply, jax.Array, jax.Array], jax.Array]] = {
    "block": block_product,
    "eight": eight_product,
    "stacked": stacked_product,
}

# Up to so many examples, making sums of a dense kernel takes longer than multiplying by it twice
# as often. Both grow with the kernel's size alone, so it is one number for all sizes.
_FEW_EXAMPLES = 64


def _choose_form(kernel: jax.Array) -> Form:
    """The faster form for a convolution with this kernel, or a product with many examples."""
    small = min(kernel.shape[-2:]) < 16
    return "block" if small or jax.default_backend() != "cpu" else "eight"


def _multiply(multiply: Multiply, x: jax.Array, kernel: jax.Array, form: Form | None) -> jax.Array:
    return _PRODUCTS[form or _choose_form(kernel)](multiply, x, kernel)


def _check_shapes(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None, groups: int, what: str
) -> None:
    check_channels(x.shape[-1], f"{what}, input")
    if groups < 1:
        raise InputError(f"{what}: expected at least 1 group, found {groups}")
    if kernel.shape[0] != 4 or 4 * kernel.shape[-2] * groups != x.shape[-1]:
        raise InputError(
            f"{what}: a kernel for input {x.shape} has shape [4, ..., {x.shape[-1] // 4 // groups}"
            f", outputs / 4], found {kernel.shape}"
        )
    # A bias of one value would otherwise be broadcast over all channels without a word.
    if bias is not None and bias.shape != (4 * kernel.shape[-1],):
        raise InputError(
            f"{what}: expected a bias of shape {(4 * kernel.shape[-1],)}, found {bias.shape}"
        )


def dense(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    precision: Any = None,
    form: Form | None = None,
) -> jax.Array:
    """Quaternion matrix product.

    Args:
        x: `[..., inputs]`.
        kernel: `[4, inputs / 4, outputs / 4]`.
        bias: `[outputs]`, or none.
        precision: of the real products, as in `jax.lax.dot_general`.
        form: "block", "eight" or "stacked", see `quaternion.products`; by default the faster one.

    Returns:
        `[..., outputs]`: output quaternion o is the sum over inputs n of `kernel[n, o] * x[n]`.

    Raises:
        InputError: shapes that do not fit.
    """
    if kernel.ndim != 3 or x.ndim < 1:
        raise InputError(
            "quaternion dense: expected input [..., inputs] and a kernel [4, inputs / 4, "
            f"outputs / 4], found {x.shape} and {kernel.shape}"
        )
    _check_shapes(x, kernel, bias, 1, "quaternion dense")

    def multiply(x: jax.Array, matrix: jax.Array) -> jax.Array:
        return jnp.matmul(x, matrix, precision=precision)

    rows = x.reshape(-1, x.shape[-1])
    if form is None and len(rows) <= _FEW_EXAMPLES:
        form = "stacked"
    y = _multiply(multiply, rows, kernel, form).reshape(*x.shape[:-1], -1)
    return y if bias is None else y + bias


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


def _tuple(value: int | Sequence[int], rank: int, what: str) -> tuple[int, ...]:
    values = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(values) != rank:
        raise InputError(f"{what}: expected {rank} entries, one per axis, found {values}")
    return values


def _dimension_numbers(rank: int) -> tuple[str, str, str]:
    space = "DHW"[3 - rank :]
    return f"N{space}C", f"{space}IO", f"N{space}C"


def conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    precision: Any = None,
    form: Form | None = None,
) -> jax.Array:
    """Quaternion convolution (cross-correlation, as everywhere in deep learning).

    Args:
        x: `[batch, *space, inputs]`, one to three axes of space.
        kernel: `[4, *window, inputs / 4 / groups, outputs / 4]`.
        bias: `[outputs]`, or none.
        strides: one, or one per axis.
        padding: "SAME", "VALID", an integer for both sides, or a pair per axis.
        dilation: of the kernel, one or one per axis.
        groups: quaternion channels are split into so many groups, convolved apart.
        precision: of the real products.
        form: "block", "eight" or "stacked", see `quaternion.products`; by default the faster one.

    Returns:
        `[batch, *space', outputs]`.

    Raises:
        InputError: shapes that do not fit.
    """
    rank = kernel.ndim - 3
    if x.ndim != rank + 2 or not 1 <= rank <= 3:
        raise InputError(
            f"quaternion conv: a kernel {kernel.shape} takes input of rank {rank + 2}, "
            f"found {x.shape}"
        )
    _check_shapes(x, kernel, bias, groups, "quaternion conv")
    if kernel.shape[-1] % groups:
        raise InputError(
            f"quaternion conv: {kernel.shape[-1]} output quaternions cannot be split into "
            f"{groups} groups"
        )

    def multiply(x: jax.Array, matrix: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(
            x,
            matrix,
            window_strides=_tuple(strides, rank, "strides"),
            padding=_pairs(padding, rank),
            rhs_dilation=_tuple(dilation, rank, "dilation"),
            dimension_numbers=_dimension_numbers(rank),
            precision=precision,
        )

    if groups == 1:
        y = _multiply(multiply, x, kernel, form)
    else:
        # A group holds quaternions, so it takes its share of each component block; XLA's own
        # groups would split the channels straight through and are slow on CPUs besides.
        shares = jnp.split(x.reshape(*x.shape[:-1], 4, -1), groups, axis=-1)
        parts = [
            _multiply(multiply, share.reshape(*x.shape[:-1], -1), part, form)
            for share, part in zip(shares, jnp.split(kernel, groups, axis=-1), strict=True)
        ]
        blocks = [part.reshape(*part.shape[:-1], 4, -1) for part in parts]
        y = jnp.concatenate(blocks, axis=-1).reshape(*parts[0].shape[:-1], -1)
    return y if bias is None else y + bias


def conv_transpose(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    precision: Any = None,
    form: Form | None = None,
) -> jax.Array:
    """Quaternion transposed convolution: the input spread by the stride, then convolved.

    Args:
        x: `[batch, *space, inputs]`.
        kernel: `[4, *window, inputs / 4, outputs / 4]`.
        bias: `[outputs]`, or none.
        strides: one, or one per axis.
        padding: as in `jax.lax.conv_transpose`; "SAME" multiplies each axis by its stride.
        precision: of the real products.
        form: "block", "eight" or "stacked", see `quaternion.products`; by default the faster one.

    Returns:
        `[batch, *space', outputs]`.

    Raises:
        InputError: shapes that do not fit.
    """
    rank = kernel.ndim - 3
    if x.ndim != rank + 2 or not 1 <= rank <= 3:
        raise InputError(
            f"quaternion conv_transpose: a kernel {kernel.shape} takes input of rank {rank + 2}, "
            f"found {x.shape}"
        )
    _check_shapes(x, kernel, bias, 1, "quaternion conv_transpose")

    def multiply(x: jax.Array, matrix: jax.Array) -> jax.Array:
        return lax.conv_transpose(
            x,
            matrix,
            strides=_tuple(strides, rank, "strides"),
            padding=_pairs(padding, rank),
            dimension_numbers=_dimension_numbers(rank),
            precision=precision,
        )

    y = _multiply(multiply, x, kernel, form)
    return y if bias is None else y + bias

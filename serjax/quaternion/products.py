"""Three forms of a product of quaternion arrays, made of products of real arrays.

A product is any bilinear `multiply(x, kernel)` that sums over the channels of x: a matrix product,
a convolution or a transposed convolution.

- Block form: the kernel's components, with signs, form a real matrix of 4 x 4 blocks, and one real
  product replaces 16. Every public quaternion library does this.
- Eight-product form: 8 real products of a quarter of the channels, on sums of components. 8 is
  the minimum (Howell & Lafon, 1975). This form needs half the arithmetic of the block form, and
  additions for the sums.
- Stacked form: the components of the input are stacked as further examples and multiplied by each
  component of the kernel. This form needs 16 products, but makes no array of the kernel's size,
  which takes most of the time where a large kernel is applied to few examples.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PyTree

from serjax.kernels import kernel
from serjax.ops.convolution import Multiply
from serjax.quaternion.algebra import COMPONENT, SIGN

# Row m: weights of the kernel's components, and of the input's, in the factors of product m. The
# kernel's last four sums are halved, because the kernel is the smallest array.
_KERNEL_SUMS = (
    (1, 1, 0, 0),
    (0, 0, -1, 1),
    (1, -1, 0, 0),
    (0, 0, 1, 1),
    (0, 0.5, 0, 0.5),
    (0, 0.5, 0, -0.5),
    (0.5, 0, 0.5, 0),
    (0.5, 0, -0.5, 0),
)
_INPUT_SUMS = (
    (1, 1, 0, 0),
    (0, 0, 1, -1),
    (0, 0, 1, 1),
    (1, -1, 0, 0),
    (0, 1, 1, 0),
    (0, 1, -1, 0),
    (1, 0, 0, -1),
    (1, 0, 0, 1),
)
# Row: weights of the eight products in a component of the result.
_RESULT_SUMS = (
    (0, 1, 0, 0, -1, -1, 1, 1),
    (1, 0, 0, 0, -1, -1, -1, -1),
    (0, 0, 1, 0, 1, -1, 1, -1),
    (0, 0, 0, 1, 1, -1, -1, 1),
)
# Size of a piece of the input in the eight-product form.
_PIECE_BYTES = 2**21

Weights = tuple[tuple[int | float, ...], ...]
"""Matrix of weights: one row per sum, one column per summand."""


def _weighted_sum(summands: Sequence[Array], weights: Sequence[int | float]) -> Array:
    """Sums arrays with weights, without multiplying by 0 or 1."""
    terms = [
        summand if abs(weight) == 1 else summand * jnp.asarray(abs(weight), summand.dtype)
        for summand, weight in zip(summands, weights, strict=True)
        if weight
    ]
    is_positive = [weight > 0 for weight in weights if weight]
    total = terms[0] if is_positive[0] else -terms[0]
    for term, add in zip(terms[1:], is_positive[1:], strict=True):
        total = total + term if add else total - term
    return total


def _weighted_sums(summands: Sequence[Array] | Array, weights: Weights) -> list[Array]:
    """Sums arrays, or the entries of an array, with each row of weights."""
    return [_weighted_sum(tuple(summands), row) for row in weights]


def _components(kernel: Float[Array, "4 ..."]) -> list[Array]:
    """Splits a kernel into its components.

    Gradients of the components are concatenated. Those of `kernel[0]`, ... would be padded with
    zeros to the size of the whole kernel and added.
    """
    return [component.squeeze(0) for component in jnp.split(kernel, len(kernel))]


@kernel
def block_matrix(
    kernel: Float[Array, "4 *kernel_size inputs_of_component outputs_of_component"],
) -> Float[Array, "*kernel_size 4*inputs_of_component 4*outputs_of_component"]:
    """Makes the real matrix of a quaternion kernel: `x @ matrix` is `w * x`, summed over inputs.

    Args:
        kernel: Kernel `[4, ..., inputs / 4, outputs / 4]`, components r, i, j, k first.

    Returns:
        Matrix `[..., inputs, outputs]`.
    """
    parts = _components(kernel)
    columns = [
        jnp.concatenate(
            [
                parts[component] if sign > 0 else -parts[component]
                for component, sign in zip(components, signs, strict=True)
            ],
            axis=-2,
        )
        for components, signs in zip(COMPONENT, SIGN, strict=True)
    ]
    return jnp.concatenate(columns, axis=-1)


def block_product(
    multiply: Multiply, x: Float[Array, "*batch inputs"], kernel: Float[Array, "4 ..."]
) -> Float[Array, "*out_batch outputs"]:
    """Multiplies in block form.

    Args:
        multiply: Bilinear product of real arrays that sums over the channels of x.
        x: Input `[..., inputs]`.
        kernel: Kernel `[4, ..., inputs / 4, outputs / 4]`.

    Returns:
        Array `[..., outputs]`.
    """
    return multiply(x, block_matrix(kernel))


def stacked_product(
    multiply: Multiply, x: Float[Array, "batch *space inputs"], kernel: Float[Array, "4 ..."]
) -> Float[Array, "batch *out_space outputs"]:
    """Multiplies in stacked form.

    Args:
        multiply: Bilinear product of real arrays that sums over the channels of x.
        x: Input `[batch, ..., inputs]`.
        kernel: Kernel `[4, ..., inputs / 4, outputs / 4]`.

    Returns:
        Array `[batch, ..., outputs]`.
    """
    stacked = jnp.concatenate(jnp.split(x, 4, axis=-1), axis=0)
    products = [
        jnp.split(multiply(stacked, component), 4, axis=0) for component in _components(kernel)
    ]
    results = [
        _weighted_sum([products[w][x] for x, w in enumerate(components)], signs)
        for components, signs in zip(COMPONENT, SIGN, strict=True)
    ]
    return jnp.concatenate(results, axis=-1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def eight_product(
    multiply: Multiply, x: Float[Array, "batch *space inputs"], kernel: Float[Array, "4 ..."]
) -> Float[Array, "batch *out_space outputs"]:
    """Multiplies in eight-product form.

    Args:
        multiply: Bilinear product of real arrays that sums over the channels of x.
        x: Input `[batch, ..., inputs]`.
        kernel: Kernel `[4, ..., inputs / 4, outputs / 4]`.

    Returns:
        Array `[batch, ..., outputs]`.
    """
    kernel_sums = _weighted_sums(kernel, _KERNEL_SUMS)

    def multiply_piece(x: Array) -> Array:
        input_sums = _weighted_sums(jnp.split(x, 4, axis=-1), _INPUT_SUMS)
        products = [multiply(*pair) for pair in zip(input_sums, kernel_sums, strict=True)]
        return jnp.concatenate(_weighted_sums(products, _RESULT_SUMS), axis=-1)

    pieces = _count_pieces(x, kernel)
    if pieces == 1:
        return multiply_piece(x)
    return _join(lax.map(multiply_piece, _split(x, pieces)))


# The sums of x are twice as large as x, and the products are twice as large as the result. Those of
# a few examples at a time stay in the cache and take little memory. Where the kernel is large,
# products take most of the time, and larger products are faster.


def _count_pieces(x: Float[Array, "batch ..."], kernel: Float[Array, "4 ..."]) -> int:
    """Chooses the number of equal pieces that the examples are split into."""
    target = x.nbytes // max(_PIECE_BYTES, 8 * kernel.nbytes)
    counts = range(max(min(target, len(x)), 1), min(4 * target, len(x)) + 1)
    return next((count for count in counts if len(x) % count == 0), 1)


def _split(x: Float[Array, "batch ..."], pieces: int) -> Float[Array, "{pieces} piece ..."]:
    return x.reshape(pieces, -1, *x.shape[1:])


def _join(pieces: Float[Array, "pieces piece ..."]) -> Float[Array, "batch ..."]:
    return pieces.reshape(-1, *pieces.shape[2:])


# Automatic differentiation would store the eight sums of x for the backward pass, twice the size of
# x. The derivative below computes the sums again.


def _forward(multiply: Multiply, x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return eight_product(multiply, x, kernel), (x, kernel)


def _backward(
    multiply: Multiply, residuals: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    x, kernel = residuals
    kernel_sums = _weighted_sums(kernel, _KERNEL_SUMS)

    def differentiate_piece(x: Array, gradient: Array) -> tuple[Array, Sequence[Array]]:
        input_sums = _weighted_sums(jnp.split(x, 4, axis=-1), _INPUT_SUMS)
        grad_products = _weighted_sums(jnp.split(gradient, 4, axis=-1), _transpose(_RESULT_SUMS))
        gradients = [
            jax.vjp(multiply, *pair)[1](grad_product)
            for *pair, grad_product in zip(input_sums, kernel_sums, grad_products, strict=True)
        ]
        grad_input_sums, grad_kernel_sums = zip(*gradients, strict=True)
        grad_x = _weighted_sums(grad_input_sums, _transpose(_INPUT_SUMS))
        return jnp.concatenate(grad_x, axis=-1), grad_kernel_sums

    def add_piece(total: PyTree, piece: tuple[Array, Array]) -> tuple[PyTree, Array]:
        grad_x, grad_kernel_sums = differentiate_piece(*piece)
        return jax.tree.map(lambda a, b: a + b.astype(a.dtype), total, grad_kernel_sums), grad_x

    pieces = _count_pieces(x, kernel)
    if pieces == 1:
        grad_x, grad_kernel_sums = differentiate_piece(x, gradient)
    else:
        # Sums of many bfloat16 terms are accumulated in float32.
        sum_dtype = jnp.float32 if kernel.dtype == jnp.bfloat16 else kernel.dtype
        zeros = tuple(jnp.zeros(kernel_sum.shape, sum_dtype) for kernel_sum in kernel_sums)
        split = _split(x, pieces), _split(gradient, pieces)
        grad_kernel_sums, grad_x = lax.scan(add_piece, zeros, split)
        grad_x = _join(grad_x)
    grad_kernel = jnp.stack(_weighted_sums(grad_kernel_sums, _transpose(_KERNEL_SUMS)))
    return grad_x, grad_kernel.astype(kernel.dtype)


def _transpose(weights: Weights) -> Weights:
    return tuple(zip(*weights, strict=True))


eight_product.defvjp(_forward, _backward)

"""Three ways to make a product of quaternion arrays out of products of real arrays.

A product here is any bilinear `multiply(x, kernel)` that sums over the channels of x: a matrix
product, a convolution, a transposed convolution.

- Block form: the kernel's components, with signs, fill a real matrix of 4 x 4 blocks, and one
  real product does the work of 16. Every public quaternion library does this.
- Eight-product form: 8 real products of a quarter of the channels, on sums of components. 8 is
  the least possible (Howell & Lafon, The Complexity of the Quaternion Product, Cornell TR 75-245,
  1975), half the arithmetic of the block form, at the cost of adding the sums.
- Stacked form: the components of the input are stacked as further examples, and meet each
  component of the kernel as it is. 16 products again, but nothing of the kernel's size is made,
  which is what takes the time where a large kernel meets few examples.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from serjax.ops.convolution import Multiply
from serjax.quaternion.algebra import COMPONENT, SIGN

# Row m: the sum of components of the kernel, and of the input, whose product is the m-th. The
# kernel's last four are halved here, where arrays are smallest, rather than in the result.
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
# Row: a component of the result as a sum of the eight products.
_RESULT_SUMS = (
    (0, 1, 0, 0, -1, -1, 1, 1),
    (1, 0, 0, 0, -1, -1, -1, -1),
    (0, 0, 1, 0, 1, -1, 1, -1),
    (0, 0, 0, 1, 1, -1, -1, 1),
)
# Of the input, in the eight-product form.
_PIECE_BYTES = 2**21

Weights = tuple[tuple[float, ...], ...]


def _sum(parts: Sequence[jax.Array], weights: Sequence[float]) -> jax.Array:
    """Weighted sum over the parts whose weight is not zero, without multiplying by 1."""
    terms = [
        part if abs(weight) == 1 else part * jnp.asarray(abs(weight), part.dtype)
        for part, weight in zip(parts, weights, strict=True)
        if weight
    ]
    signs = [weight > 0 for weight in weights if weight]
    total = terms[0] if signs[0] else -terms[0]
    for term, positive in zip(terms[1:], signs[1:], strict=True):
        total = total + term if positive else total - term
    return total


def _sums(parts: Sequence[jax.Array] | jax.Array, weights: Weights) -> list[jax.Array]:
    """A weighted sum over the parts for each row."""
    return [_sum(tuple(parts), row) for row in weights]


def _components(kernel: jax.Array) -> list[jax.Array]:
    """The entries of the first axis.

    Their gradients are joined, where those of `kernel[0]`, ... would be filled up with zeros to the
    size of the whole kernel, and added.
    """
    return [part.squeeze(0) for part in jnp.split(kernel, len(kernel))]


def block_matrix(kernel: jax.Array) -> jax.Array:
    """Real matrix of a quaternion kernel, so that `x @ matrix` is `w * x` summed over inputs.

    Args:
        kernel: `[4, ..., inputs / 4, outputs / 4]`, components r, i, j, k first.

    Returns:
        `[..., inputs, outputs]`.
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


def block_product(multiply: Multiply, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Product in block form: `x` `[..., inputs]`, `kernel` `[4, ..., inputs / 4, outputs / 4]`."""
    return multiply(x, block_matrix(kernel))


def stacked_product(multiply: Multiply, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Product in stacked form; arguments as in `block_product`, x with an axis of examples."""
    stacked = jnp.concatenate(jnp.split(x, 4, axis=-1), axis=0)
    products = [
        jnp.split(multiply(stacked, component), 4, axis=0) for component in _components(kernel)
    ]
    results = [
        _sum([products[of_kernel][of_x] for of_x, of_kernel in enumerate(components)], signs)
        for components, signs in zip(COMPONENT, SIGN, strict=True)
    ]
    return jnp.concatenate(results, axis=-1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def eight_product(multiply: Multiply, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Product in eight-product form; arguments as in `stacked_product`."""
    factors = _sums(kernel, _KERNEL_SUMS)

    def of_piece(x: jax.Array) -> jax.Array:
        sums = _sums(jnp.split(x, 4, axis=-1), _INPUT_SUMS)
        products = [multiply(*pair) for pair in zip(sums, factors, strict=True)]
        return jnp.concatenate(_sums(products, _RESULT_SUMS), axis=-1)

    pieces = _pieces(x, kernel)
    if pieces == 1:
        return of_piece(x)
    return _joined(lax.map(of_piece, _parted(x, pieces)))


# The sums of x, and the products, are each twice as large as x, or the result. Those of a few
# examples at a time stay in the cache and take little memory. Where the kernel is not small,
# multiplying takes the time, and larger products are the faster ones.


def _pieces(x: jax.Array, kernel: jax.Array) -> int:
    """How many equal pieces the examples are taken in."""
    wanted = x.nbytes // max(_PIECE_BYTES, 8 * kernel.nbytes)
    numbers = range(max(min(wanted, len(x)), 1), min(4 * wanted, len(x)) + 1)
    return next((number for number in numbers if len(x) % number == 0), 1)


def _parted(x: jax.Array, pieces: int) -> jax.Array:
    return x.reshape(pieces, -1, *x.shape[1:])


def _joined(parts: jax.Array) -> jax.Array:
    return parts.reshape(-1, *parts.shape[2:])


# Left to itself, differentiation keeps the eight sums of x for the backward pass, twice the size
# of x. The derivative below adds the sums up again.


def _forward(
    multiply: Multiply, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return eight_product(multiply, x, kernel), (x, kernel)


def _backward(
    multiply: Multiply, saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    factors = _sums(kernel, _KERNEL_SUMS)

    def of_piece(x: jax.Array, gradient: jax.Array) -> tuple[jax.Array, Sequence[jax.Array]]:
        sums = _sums(jnp.split(x, 4, axis=-1), _INPUT_SUMS)
        of_products = _sums(jnp.split(gradient, 4, axis=-1), _transposed(_RESULT_SUMS))
        gradients = [
            jax.vjp(multiply, *pair)[1](of_product)
            for *pair, of_product in zip(sums, factors, of_products, strict=True)
        ]
        of_sums, of_factors = zip(*gradients, strict=True)
        return jnp.concatenate(_sums(of_sums, _transposed(_INPUT_SUMS)), axis=-1), of_factors

    def add_piece(total: Any, piece: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        of_x, of_factors = of_piece(*piece)
        return jax.tree.map(lambda a, b: a + b.astype(a.dtype), total, of_factors), of_x

    pieces = _pieces(x, kernel)
    if pieces == 1:
        of_x, of_factors = of_piece(x, gradient)
    else:
        # Many bfloat16 terms are added in float32.
        kind = jnp.float32 if kernel.dtype == jnp.bfloat16 else kernel.dtype
        nothing = tuple(jnp.zeros(factor.shape, kind) for factor in factors)
        parts = _parted(x, pieces), _parted(gradient, pieces)
        of_factors, of_x = lax.scan(add_piece, nothing, parts)
        of_x = _joined(of_x)
    of_kernel = jnp.stack(_sums(of_factors, _transposed(_KERNEL_SUMS)))
    return of_x, of_kernel.astype(kernel.dtype)


def _transposed(weights: Weights) -> Weights:
    return tuple(zip(*weights, strict=True))


eight_product.defvjp(_forward, _backward)

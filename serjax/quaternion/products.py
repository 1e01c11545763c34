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

import jax
import jax.numpy as jnp

from serjax.convolution import Multiply
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


def block_matrix(kernel: jax.Array) -> jax.Array:
    """Real matrix of a quaternion kernel, so that `x @ matrix` is `w * x` summed over inputs.

    Args:
        kernel: `[4, ..., inputs / 4, outputs / 4]`, components r, i, j, k first.

    Returns:
        `[..., inputs, outputs]`.
    """
    columns = [
        jnp.concatenate(
            [
                kernel[component] if sign > 0 else -kernel[component]
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
    products = [jnp.split(multiply(stacked, component), 4, axis=0) for component in kernel]
    results = [
        _sum([products[of_kernel][of_x] for of_x, of_kernel in enumerate(components)], signs)
        for components, signs in zip(COMPONENT, SIGN, strict=True)
    ]
    return jnp.concatenate(results, axis=-1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def eight_product(multiply: Multiply, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Product in eight-product form; arguments as in `block_product`."""
    products = [multiply(*factors) for factors in _factors(x, kernel)]
    return jnp.concatenate([_sum(products, weights) for weights in _RESULT_SUMS], axis=-1)


def _factors(x: jax.Array, kernel: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
    """The eight pairs of sums to multiply."""
    parts = jnp.split(x, 4, axis=-1)
    return [
        (_sum(parts, of_input), _sum(tuple(kernel), of_kernel))
        for of_input, of_kernel in zip(_INPUT_SUMS, _KERNEL_SUMS, strict=True)
    ]


# Left to itself, differentiation keeps the eight sums of x for the backward pass, twice the size
# of x, and undoes the split of x by adding four padded arrays of its full size. The derivative
# below adds the sums up again, and joins the parts of the gradient instead.


def _forward(
    multiply: Multiply, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return eight_product(multiply, x, kernel), (x, kernel)


def _backward(
    multiply: Multiply, saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    parts = jnp.split(gradient, 4, axis=-1)
    of_products = [_sum(parts, column) for column in zip(*_RESULT_SUMS, strict=True)]
    gradients = [
        jax.vjp(multiply, *factors)[1](of_product)
        for factors, of_product in zip(_factors(*saved), of_products, strict=True)
    ]
    of_inputs, of_kernels = zip(*gradients, strict=True)
    of_x = [_sum(of_inputs, column) for column in zip(*_INPUT_SUMS, strict=True)]
    of_kernel = [_sum(of_kernels, column) for column in zip(*_KERNEL_SUMS, strict=True)]
    return jnp.concatenate(of_x, axis=-1), jnp.stack(of_kernel)


eight_product.defvjp(_forward, _backward)

"""Two ways to make a product of quaternion arrays out of products of real arrays.

A product here is any bilinear `multiply(x, kernel)` that sums over the channels of x: a matrix
product, a convolution, a transposed convolution.

- Block form: the kernel's components, with signs, fill a real matrix of 4 x 4 blocks, and one
  real product does the work of 16. Every public quaternion library does this.
- Eight-product form: 8 real products of a quarter of the channels, on sums of components. 8 is
  the least possible (Howell & Lafon, The Complexity of the Quaternion Product, Cornell TR 75-245,
  1975), half the arithmetic of the block form, at the cost of adding the sums.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from serjax.quaternion.algebra import COMPONENT, SIGN

Multiply = Callable[[jax.Array, jax.Array], jax.Array]

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
    total: jax.Array | None = None
    scale = max(abs(w) for w in weights)
    for part, weight in zip(parts, weights, strict=True):
        if weight:
            signed = part if weight > 0 else -part
            total = signed if total is None else total + signed
    assert total is not None
    return total if scale == 1 else total * jnp.asarray(scale, total.dtype)


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


def eight_product(multiply: Multiply, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Product in eight-product form; arguments as in `block_product`."""

    # Differentiated as it stands, this would keep eight sums of x for the backward pass, twice
    # the size of x itself. They are cheap to add up again, and the real products of the forward
    # pass, which nothing in the backward pass needs, are not repeated.
    @jax.checkpoint
    def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
        parts = jnp.split(x, 4, axis=-1)
        products = [
            multiply(_sum(parts, of_input), _sum(tuple(kernel), of_kernel))
            for of_input, of_kernel in zip(_INPUT_SUMS, _KERNEL_SUMS, strict=True)
        ]
        return jnp.concatenate([_sum(products, weights) for weights in _RESULT_SUMS], axis=-1)

    return product(x, kernel)

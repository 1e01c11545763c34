"""Initial weights of hypercomplex layers."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from serjax.quaternion import Initializer


def kernel_initializer() -> Initializer:
    """Makes He's normal initializer for kernels `[n, *kernel_size, inputs / n, outputs / n]`.

    The variance is 2 / fan_in with the fan of the real layer, kernel size x inputs (He et al.,
    2015). With a multiplication tensor of `multiplication_initializer`, every entry of the real
    weight matrix has this variance too, so layers with ReLU keep the variance of their input.
    """
    return nn.initializers.he_normal(in_axis=(0, -2), out_axis=-1)


def multiplication_initializer() -> Initializer:
    """Makes an initializer of multiplication tensors `[n, n, n]` that preserve norms.

    For each component a of the product, the matrix `A[:, a, :]` is a uniformly random orthogonal
    matrix. Those of the real, complex and quaternion algebras are orthogonal too. The variance of
    a layer's output then does not depend on A, nor on correlations between the input's components.
    The papers sample the entries independently (Glorot), which makes the variance random, because
    n is small.
    """

    def initialize(
        key: PRNGKeyArray, shape: Sequence[int], dtype: DTypeLike = jnp.float32
    ) -> Float[Array, "n n n"]:
        n = shape[0]
        orthogonal = nn.initializers.orthogonal()
        matrices = jax.vmap(lambda key: orthogonal(key, (n, n)))(jax.random.split(key, n))
        return jnp.swapaxes(matrices, 0, 1).astype(dtype)

    return initialize

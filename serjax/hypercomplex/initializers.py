"""Initial weights of hypercomplex layers."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.quaternion import Initializer


def kernel_initializer() -> Initializer:
    """He's normal weights for kernels `[n, *window, inputs / n, outputs / n]`.

    Variance 2 / fan_in, the fan being that of the real layer, window x inputs (He et al., Delving
    Deep into Rectifiers, ICCV 2015). With a rule as `rule_initializer` draws it, every entry of
    the real weight matrix has this variance too, so rectified layers keep that of their input.
    """
    return nn.initializers.he_normal(in_axis=(0, -2), out_axis=-1)


def rule_initializer() -> Initializer:
    """Random rules `[n, n, n]` that keep lengths, as those of the known algebras do.

    For each component a of the product, the matrix `rule[:, a, :]` is orthogonal, uniformly
    random. This holds for the real, complex and quaternion rules, whose rows hold each unit once,
    and makes the variance of a layer's output independent of the rule and of correlations between
    the input's components. The papers draw the entries independently (Glorot), which leaves the
    variance to chance: n is small.
    """

    def initialize(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        n = shape[0]
        draw = nn.initializers.orthogonal()
        matrices = jax.vmap(lambda key: draw(key, (n, n)))(jax.random.split(key, n))
        return jnp.swapaxes(matrices, 0, 1).astype(dtype)

    return initialize

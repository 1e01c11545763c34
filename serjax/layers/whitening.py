"""Batch normalization of hypercomplex values by the covariance of their components."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from serjax.features.arrays import at_least_float32
from serjax.layers.batch_norm import batch_mean, center, update_running
from serjax.ops.channel_sums import add_bias, over_batch
from serjax.ops.convolution import check_blocks


def _whitening_matrix(
    covariance: Float[Array, "n n values"], epsilon: float
) -> Float[Array, "n n values"]:
    """Computes the inverse Cholesky factors of covariances."""
    n = covariance.shape[0]
    identity = jnp.eye(n, dtype=covariance.dtype)
    matrices = jnp.moveaxis(covariance, -1, 0)
    # Linearly dependent components have a singular covariance. Its rounding errors grow with its
    # trace and must not make a pivot negative.
    rounding = 16 * jnp.finfo(covariance.dtype).eps
    ridge = epsilon + rounding * jnp.trace(matrices, axis1=-2, axis2=-1)
    factors = jax.lax.linalg.cholesky(
        matrices + ridge[:, None, None] * identity[None], symmetrize_input=False
    )
    inverse = jax.lax.linalg.triangular_solve(
        factors, jnp.broadcast_to(identity, factors.shape), left_side=True, lower=True
    )
    return jnp.moveaxis(inverse, 0, -1)


class WhiteningBatchNorm(nn.Module):
    """Batch normalization over n components by their n x n covariance.

    `y = G W (x - E[x]) + bias`, where `W^T W = (V + epsilon I)^-1` and V is the covariance of a
    value's components. The components become uncorrelated with equal variances, which one variance
    per value (`HypercomplexBatchNorm`) does not achieve. W is the inverse of V's Cholesky factor,
    lower triangular; G is symmetric and learned. G starts as the identity over sqrt(n), so that
    E|y|² is 1. Trabelsi et al. (2018, section 3.5) define it for complex values, Gaudet & Maida
    (2018) for quaternions. The public code of the latter starts G in the same way, but multiplies
    by the Cholesky factor of V where the paper has the factor of its inverse.

    Parameters: `scale` `[n (n + 1) / 2, channels / n]`, the lower triangle of G row by row, `bias`
    `[channels]`. Running statistics, collection `batch_stats`: `mean` `[channels]`, `cov`
    `[n, n, channels / n]`.

    Attributes:
        use_running_average: True to normalize by the running statistics; None if the call
            decides.
        momentum: Weight of the old running statistics in an update (Flax's convention).
        epsilon: Constant added to the variances of the components.
        dtype: Dtype of the result; the input's if None. Statistics are float32 at least.
        param_dtype: Dtype of the stored parameters.
        components: Number n of components.
        axis_name: Name of a device axis, as in `jax.shard_map`, over which statistics are averaged.
    """

    use_running_average: bool | None = None
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    components: int = 4
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "*batch channels"],
        use_running_average: bool | None = None,
        *,
        mask: Bool[Array, "*#batch 1"] | None = None,
    ) -> Float[Array, "*batch channels"]:
        """Normalizes `[..., channels]`.

        Args:
            x: Input `[..., channels]`, channels a multiple of n.
            use_running_average: Replacement for a field that is None.
            mask: Valid positions, broadcast against x, with a last axis of 1. Only valid positions
                count in the statistics.

        Returns:
            Normalized array of the same shape.

        Raises:
            InputError: The number of channels is not a multiple of n.
        """
        channels, n = x.shape[-1], self.components
        check_blocks(channels, n, f"{type(self).__name__}, input")
        running = nn.merge_param(
            "use_running_average", self.use_running_average, use_running_average
        )
        values = channels // n
        rows, columns = np.tril_indices(n)

        def identity_over_root(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
            diagonal = jnp.asarray(rows == columns, dtype) / jnp.asarray(np.sqrt(n), dtype)
            return jnp.broadcast_to(diagonal[:, None], shape)

        def identity_over_n() -> Array:
            # With this start, and the scale's, an untrained layer in evaluation is the identity.
            return jnp.broadcast_to((jnp.eye(n, dtype=jnp.float32) / n)[..., None], (n, n, values))

        mean_state = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        cov_state = self.variable("batch_stats", "cov", identity_over_n)
        scale = self.param("scale", identity_over_root, (len(rows), values), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,), self.param_dtype)

        y = at_least_float32(x)
        if running:
            mean, cov = mean_state.value.astype(y.dtype), cov_state.value.astype(y.dtype)
            centered = (y - over_batch(mean, y.shape)).reshape(*x.shape[:-1], n, values)
        else:
            centered, mean = center(y, mask, self.axis_name)
            centered = centered.reshape(*x.shape[:-1], n, values)
            products = centered[..., :, None, :] * centered[..., None, :, :]
            product_mask = None if mask is None else mask[..., None, None]
            cov = batch_mean(products, x.ndim - 1, product_mask, self.axis_name)
            if not self.is_initializing():
                update_running(mean_state, mean, self.momentum)
                update_running(cov_state, cov, self.momentum)
        triangle = jnp.zeros((n, n, values), y.dtype).at[rows, columns].set(scale.astype(y.dtype))
        diagonal = triangle * jnp.eye(n, dtype=y.dtype)[..., None]
        symmetric = triangle + jnp.swapaxes(triangle, 0, 1) - diagonal
        factor = jnp.sum(symmetric[:, :, None] * _whitening_matrix(cov, self.epsilon)[None], axis=1)
        # Summed term by term, because products of one matrix per value would be transposed.
        factor = jnp.expand_dims(factor, range(x.ndim - 1))
        y = jnp.sum(factor * centered[..., None, :, :], axis=-2).reshape(x.shape)
        return add_bias(y, bias.astype(y.dtype)).astype(self.dtype or x.dtype)

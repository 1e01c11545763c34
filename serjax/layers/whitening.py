"""Batch normalization of numbers of several components, by their covariance."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from serjax.features.arrays import at_least_float32
from serjax.layers.batch_norm import batch_mean, centre, update
from serjax.ops.channel_sums import add_bias, over_batch
from serjax.ops.convolution import check_blocks


def _whitener(covariance: jax.Array, epsilon: float) -> jax.Array:
    """Inverse Cholesky factors `[n, n, numbers]` of covariances `[n, n, numbers]`."""
    n = covariance.shape[0]
    identity = jnp.eye(n, dtype=covariance.dtype)
    matrices = jnp.moveaxis(covariance, -1, 0)
    # Components that are functions of each other leave a singular matrix, whose rounding errors,
    # which grow with its size, must not make a pivot negative.
    rounding = 16 * jnp.finfo(covariance.dtype).eps
    ridge = epsilon + rounding * jnp.trace(matrices, axis1=-2, axis2=-1)
    factors = jax.lax.linalg.cholesky(
        matrices + ridge[:, None, None] * identity, symmetrize_input=False
    )
    inverse = jax.lax.linalg.triangular_solve(
        factors, jnp.broadcast_to(identity, factors.shape), left_side=True, lower=True
    )
    return jnp.moveaxis(inverse, 0, -1)


class WhiteningBatchNorm(nn.Module):
    """Batch normalization over n components by their n x n covariance.

    `y = G W (x - E[x]) + bias`, where `W^T W = (V + epsilon I)^-1`, V the covariance of a number's
    components: these are decorrelated and given equal variances, which one variance per number
    (`HypercomplexBatchNorm`) leaves as they are. W is the inverse of V's Cholesky factor, lower
    triangular; G is symmetric and learnt. G starts as the identity over sqrt(n), so that E|y|² is
    1. Trabelsi et al., Deep Complex Networks, ICLR 2018, section 3.5 for complex numbers; Gaudet
    & Maida, Deep Quaternion Networks, IJCNN 2018, for quaternions, whose public code
    starts G so too, but multiplies by the factor of V where the paper has that of its inverse.

    Parameters: `scale` `[n (n + 1) / 2, channels / n]`, the lower triangle of G row by row, `bias`
    `[channels]`. Running statistics, collection `batch_stats`: `mean` `[channels]`, `cov`
    `[n, n, channels / n]`.

    Attributes:
        use_running_average: Whether the stored statistics normalize; may be given at the call.
        momentum: Of the running statistics, Flax's convention: the share that is kept.
        epsilon: Added to the variances of the components.
        dtype: Of the result; statistics are float32 at least.
        param_dtype: Of the stored parameters.
        components: n, of one number; by default those of a quaternion.
        axis_name: Of devices, as in `jax.shard_map`, whose batches share their statistics.
    """

    use_running_average: bool | None = None
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: Any | None = None
    param_dtype: Any = jnp.float32
    components: int = 4
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        use_running_average: bool | None = None,
        *,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """Normalizes `[..., channels]`.

        Args:
            x: `[..., channels]`, a multiple of n.
            use_running_average: Overrides the field.
            mask: Boolean, broadcast against x with a last axis of 1; positions that are False
                take no part in the statistics.

        Returns:
            `[..., channels]`.
        """
        channels, n = x.shape[-1], self.components
        check_blocks(channels, n, f"{type(self).__name__}, input")
        running = nn.merge_param(
            "use_running_average", self.use_running_average, use_running_average
        )
        numbers = channels // n
        rows, columns = np.tril_indices(n)

        def identity_over_root(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
            diagonal = jnp.asarray(rows == columns, dtype) / jnp.asarray(np.sqrt(n), dtype)
            return jnp.broadcast_to(diagonal[:, None], shape)

        def identity_over_n() -> jax.Array:
            # With it, and the scale's start, evaluation before any training changes nothing.
            return jnp.broadcast_to((jnp.eye(n, dtype=jnp.float32) / n)[..., None], (n, n, numbers))

        mean_state = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        cov_state = self.variable("batch_stats", "cov", identity_over_n)
        scale = self.param("scale", identity_over_root, (len(rows), numbers), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,), self.param_dtype)

        y = at_least_float32(x)
        if running:
            mean, cov = mean_state.value.astype(y.dtype), cov_state.value.astype(y.dtype)
            centred = (y - over_batch(mean, y.shape)).reshape(*x.shape[:-1], n, numbers)
        else:
            centred, mean = centre(y, mask, self.axis_name)
            centred = centred.reshape(*x.shape[:-1], n, numbers)
            products = centred[..., :, None, :] * centred[..., None, :, :]
            where = None if mask is None else mask[..., None, None]
            cov = batch_mean(products, x.ndim - 1, where, self.axis_name)
            if not self.is_initializing():
                update(mean_state, mean, self.momentum)
                update(cov_state, cov, self.momentum)
        triangle = jnp.zeros((n, n, numbers), y.dtype).at[rows, columns].set(scale.astype(y.dtype))
        diagonal = triangle * jnp.eye(n, dtype=y.dtype)[..., None]
        symmetric = triangle + jnp.swapaxes(triangle, 0, 1) - diagonal
        factor = jnp.sum(symmetric[:, :, None] * _whitener(cov, self.epsilon)[None], axis=1)
        # Summed term by term: as a product of matrices, one per number, it would be transposed.
        y = jnp.sum(factor * centred[..., None, :, :], axis=-2).reshape(x.shape)
        return add_bias(y, bias.astype(y.dtype)).astype(self.dtype or x.dtype)

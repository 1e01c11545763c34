"""Batch normalization of quaternions."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax import quaternion
from serjax.fourier import at_least_float32


class QuaternionBatchNorm(nn.Module):
    """Batch normalization of quaternions: a mean per component, one variance per quaternion.

    `y = scale (x - E[x]) / sqrt(E|x - E[x]|² + epsilon) + bias`. A quaternion is divided by one
    real number, so its direction is kept; the variance is that of the quaternion, the sum of its
    components' variances, so a component comes out with a variance around 1/4 (Grassucci et al.,
    A Quaternion-Valued Variational Autoencoder, ICASSP 2021; the form of RH-emo).

    Parameters: `scale` `[channels / 4]`, `bias` `[channels]`. Running statistics, collection
    `batch_stats`: `mean` `[channels]`, `var` `[channels / 4]`.

    Attributes:
        use_running_average: Whether the stored statistics normalize; may be given at the call.
        momentum: Of the running statistics, Flax's convention: the share that is kept. PyTorch's
            momentum is the complement.
        epsilon: Added to the variance.
        dtype: Of the result; statistics are float32 at least.
        param_dtype: Of the stored parameters.
    """

    use_running_average: bool | None = None
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: Any | None = None
    param_dtype: Any = jnp.float32

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
            x: `[..., channels]`, a multiple of 4.
            use_running_average: Overrides the field.
            mask: Boolean, broadcast against x with a last axis of 1; positions that are False
                take no part in the statistics.

        Returns:
            `[..., channels]`.
        """
        channels = x.shape[-1]
        quaternion.check_channels(channels, f"{type(self).__name__}, input")
        running = nn.merge_param(
            "use_running_average", self.use_running_average, use_running_average
        )
        n = channels // 4
        mean_state = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        var_state = self.variable("batch_stats", "var", jnp.ones, (n,), jnp.float32)
        scale = self.param("scale", nn.initializers.ones, (n,), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,), self.param_dtype)

        y = at_least_float32(x)
        if running:
            mean, var = mean_state.value.astype(y.dtype), var_state.value.astype(y.dtype)
            centred = y - mean
        else:
            axes = tuple(range(x.ndim - 1))
            mean = jnp.mean(y, axes, where=mask)
            # In two passes: E[x²] - E[x]² loses all digits where the mean is large.
            centred = y - mean
            squares = jnp.square(centred).reshape(*x.shape[:-1], 4, n).sum(-2)
            var = jnp.mean(squares, axes, where=mask)
            if not self.is_initializing():
                keep = self.momentum
                mean_state.value = keep * mean_state.value + (1 - keep) * mean.astype(jnp.float32)
                var_state.value = keep * var_state.value + (1 - keep) * var.astype(jnp.float32)
        factor = scale.astype(y.dtype) * jax.lax.rsqrt(var + self.epsilon)
        y = centred * jnp.tile(factor, 4) + bias.astype(y.dtype)
        return y.astype(self.dtype or x.dtype)

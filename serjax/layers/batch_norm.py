"""Batch normalization of numbers of several components, by one variance per number."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.features.arrays import at_least_float32
from serjax.ops.channel_sums import add_bias, channel_sum, over_batch
from serjax.ops.convolution import check_blocks


def batch_mean(x: jax.Array, axes: int, mask: jax.Array | None, axis_name: str | None) -> jax.Array:
    """Means over the first axes, so many of them, where `mask` is True.

    Args:
        x: `[..., n]`.
        axes: How many of its axes are averaged over.
        mask: Boolean, broadcast against x; None: everywhere.
        axis_name: Of devices whose values count too, each as much as another; None: none.
    """
    count = jnp.asarray(math.prod(x.shape[:axes]), x.dtype)
    values = x
    if mask is not None:
        mask = mask.reshape((1,) * (x.ndim - mask.ndim) + mask.shape)
        # The positions that each of its entries stands for.
        repeated = math.prod(x.shape[:axes]) // math.prod(mask.shape[:axes])
        count = jnp.sum(mask, dtype=x.dtype) * repeated
        values = jnp.where(mask, x, 0)
    total = channel_sum(values.reshape(*x.shape[:axes], -1)).reshape(x.shape[axes:])
    if axis_name is not None:
        total, count = jax.lax.psum((total, count), axis_name)
    return total / count


def centre(
    x: jax.Array, mask: jax.Array | None, axis_name: str | None
) -> tuple[jax.Array, jax.Array]:
    """Takes the means over all axes but the last from x; the rest, and the means `[channels]`."""
    mean = batch_mean(x, x.ndim - 1, mask, axis_name)
    return x - over_batch(mean, x.shape), mean


def update(state: nn.Variable, value: jax.Array, momentum: float) -> None:
    """Moves a running statistic, which stays float32, towards the batch's."""
    state.value = momentum * state.value + (1 - momentum) * value.astype(jnp.float32)


class HypercomplexBatchNorm(nn.Module):
    """Batch normalization over n components: a mean per component, one variance per number.

    `y = scale (x - E[x]) / sqrt(E|x - E[x]|² + epsilon) + bias`. A number is divided by one
    real number, so its direction is kept; the variance is that of the number, the sum of its
    components' variances, so a component comes out with a variance around 1/n. For n = 1 this is
    the batch norm of real numbers.

    Parameters: `scale` `[channels / n]`, `bias` `[channels]`. Running statistics, collection
    `batch_stats`: `mean` `[channels]`, `var` `[channels / n]`.

    Attributes:
        use_running_average: Whether the stored statistics normalize; may be given at the call.
        momentum: Of the running statistics, Flax's convention: the share that is kept. PyTorch's
            momentum is the complement.
        epsilon: Added to the variance.
        dtype: Of the result; statistics are float32 at least.
        param_dtype: Of the stored parameters.
        components: n, of one number.
        axis_name: Of devices, as in `jax.shard_map`, whose batches share their statistics.
    """

    use_running_average: bool | None = None
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: Any | None = None
    param_dtype: Any = jnp.float32
    components: int = 1
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
        mean_state = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        var_state = self.variable("batch_stats", "var", jnp.ones, (numbers,), jnp.float32)
        scale = self.param("scale", nn.initializers.ones, (numbers,), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,), self.param_dtype)

        y = at_least_float32(x)
        if running:
            mean, var = mean_state.value.astype(y.dtype), var_state.value.astype(y.dtype)
            centred = y - over_batch(mean, y.shape)
        else:
            # In two passes: E[x²] - E[x]² loses all digits where the mean is large.
            centred, mean = centre(y, mask, self.axis_name)
            squares = jnp.square(centred).reshape(*x.shape[:-1], n, numbers).sum(-2)
            var = batch_mean(squares, x.ndim - 1, mask, self.axis_name)
            if not self.is_initializing():
                update(mean_state, mean, self.momentum)
                update(var_state, var, self.momentum)
        factor = scale.astype(y.dtype) * jax.lax.rsqrt(var + self.epsilon)
        y = add_bias(centred * over_batch(jnp.tile(factor, n), y.shape), bias.astype(y.dtype))
        return y.astype(self.dtype or x.dtype)


class QuaternionBatchNorm(HypercomplexBatchNorm):
    """Batch normalization of quaternions: a mean per component, one variance per quaternion.

    `HypercomplexBatchNorm` over four components (Grassucci et al., A Quaternion-Valued Variational
    Autoencoder, ICASSP 2021; the form of RH-emo). `WhiteningBatchNorm` divides by the
    covariance of the components instead.
    """

    components: int = 4

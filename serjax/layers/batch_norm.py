"""Batch normalization of hypercomplex values by one variance per value."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from serjax.features.arrays import at_least_float32
from serjax.ops.channel_sums import add_bias, channel_sum, over_batch
from serjax.ops.convolution import check_blocks


def batch_mean(
    x: Float[Array, "..."],
    batch_axes: int,
    mask: Bool[Array, "..."] | None,
    axis_name: str | None,
) -> Float[Array, "..."]:
    """Averages valid positions over the first axes.

    Args:
        x: Array with at least one axis more than `batch_axes`.
        batch_axes: Number of axes to average over.
        mask: Valid positions, broadcast against x; None if all are valid.
        axis_name: Name of a device axis to average over, where each position has the same weight;
            None for one device.

    Returns:
        Means, of the shape of the remaining axes.
    """
    count = jnp.asarray(math.prod(x.shape[:batch_axes]), x.dtype)
    valid_x = x
    if mask is not None:
        mask = mask.reshape((1,) * (x.ndim - mask.ndim) + mask.shape)
        # Number of positions that an entry of the mask is broadcast to.
        repeats = math.prod(x.shape[:batch_axes]) // math.prod(mask.shape[:batch_axes])
        count = jnp.sum(mask, dtype=x.dtype) * repeats
        valid_x = jnp.where(mask, x, 0)
    total = channel_sum(valid_x.reshape(*x.shape[:batch_axes], -1)).reshape(x.shape[batch_axes:])
    if axis_name is not None:
        total, count = jax.lax.psum((total, count), axis_name)
    return total / count


def center(
    x: Float[Array, "*batch channels"], mask: Bool[Array, "..."] | None, axis_name: str | None
) -> tuple[Float[Array, "*batch channels"], Float[Array, " channels"]]:
    """Subtracts the means over all axes but the last.

    Args:
        x: Array `[..., channels]`.
        mask: Valid positions, broadcast against x; None if all are valid.
        axis_name: Name of a device axis to average over; None for one device.

    Returns:
        Centered array and means.
    """
    mean = batch_mean(x, x.ndim - 1, mask, axis_name)
    return x - over_batch(mean, x.shape), mean


def update_running(state: nn.Variable, value: Float[Array, "..."], momentum: float) -> None:
    """Updates a running statistic, which stays float32, with a batch's."""
    state.value = momentum * state.value + (1 - momentum) * value.astype(jnp.float32)


class HypercomplexBatchNorm(nn.Module):
    """Batch normalization over n components: a mean per component, one variance per value.

    `y = scale (x - E[x]) / sqrt(E|x - E[x]|² + epsilon) + bias`. A value is divided by one real
    number, so its direction does not change. The variance of a value is the sum of its components'
    variances, so a normalized component has a variance of about 1/n. For n = 1 this is the batch
    norm of real networks.

    Parameters: `scale` `[channels / n]`, `bias` `[channels]`. Running statistics, collection
    `batch_stats`: `mean` `[channels]`, `var` `[channels / n]`.

    Attributes:
        use_running_average: True to normalize by the running statistics; None if the call
            decides.
        momentum: Weight of the old running statistics in an update (Flax's convention); PyTorch's
            momentum is the complement.
        epsilon: Constant added to the variance.
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
    components: int = 1
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
        mean_state = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        var_state = self.variable("batch_stats", "var", jnp.ones, (values,), jnp.float32)
        scale = self.param("scale", nn.initializers.ones, (values,), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,), self.param_dtype)

        y = at_least_float32(x)
        if running:
            mean, var = mean_state.value.astype(y.dtype), var_state.value.astype(y.dtype)
            centered = y - over_batch(mean, y.shape)
        else:
            # Two passes, because E[x²] - E[x]² loses all digits where the mean is large.
            centered, mean = center(y, mask, self.axis_name)
            squares = jnp.square(centered).reshape(*x.shape[:-1], n, values).sum(-2)
            var = batch_mean(squares, x.ndim - 1, mask, self.axis_name)
            if not self.is_initializing():
                update_running(mean_state, mean, self.momentum)
                update_running(var_state, var, self.momentum)
        factor = scale.astype(y.dtype) * jax.lax.rsqrt(var + self.epsilon)
        y = add_bias(centered * over_batch(jnp.tile(factor, n), y.shape), bias.astype(y.dtype))
        return y.astype(self.dtype or x.dtype)


class QuaternionBatchNorm(HypercomplexBatchNorm):
    """Batch normalization of quaternions: a mean per component, one variance per quaternion.

    `HypercomplexBatchNorm` over four components (Grassucci et al., 2021), as in RH-emo (Guizzo et
    al., 2022). `WhiteningBatchNorm` normalizes by the covariance of the components instead.
    """

    components: int = 4

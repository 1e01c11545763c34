"""Flax layers of each algebra behind one interface, and statistics pooling.

`REAL` and `QUATERNION` hold the same four kinds of layer, so that an architecture is written once
and receives its algebra as a field.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange

from serjax import quaternion
from serjax.fourier import at_least_float32

# Logits start near zero, so a network starts from even odds instead of from confident mistakes.
HEAD_INIT = nn.initializers.normal(0.01)

Dtype = Any


def _cast(dtype: Dtype | None, *arrays: jax.Array | None) -> list[Any]:
    """Casts arrays to the arithmetic's type: `dtype`, or what the arrays promote to."""
    return list(nn.dtypes.promote_dtype(*arrays, dtype=dtype, inexact=True))


class QuaternionDense(nn.Module):
    """Dense layer over quaternions, `[..., inputs] -> [..., features]`.

    Parameters: `kernel` `[4, inputs / 4, features / 4]`, `bias` `[features]`: a quarter of a real
    layer's weights.

    Attributes:
        features: Output channels, a multiple of 4.
        use_bias: Whether a bias is added.
        dtype: Of the arithmetic; by default what input and parameters promote to.
        param_dtype: Of the stored parameters.
        kernel_init: For shapes with the components first, see `quaternion.polar_initializer`.
        precision: Of the real products.

    >>> layer = QuaternionDense(8)
    >>> jax.tree.map(jnp.shape, layer.init(jax.random.key(0), jnp.ones([1, 4])))["params"]
    {'bias': (8,), 'kernel': (4, 1, 2)}
    """

    features: int
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    kernel_init: quaternion.Initializer = quaternion.polar_initializer("he")
    precision: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the layer to `[..., inputs]`, inputs a multiple of 4."""
        quaternion.check_channels(x.shape[-1], f"{type(self).__name__}, input")
        quaternion.check_channels(self.features, f"{type(self).__name__}, features")
        shape = (4, x.shape[-1] // 4, self.features // 4)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), self.param_dtype)
        x, kernel, bias = _cast(self.dtype, x, kernel, bias)
        return quaternion.dense(x, kernel, bias, precision=self.precision)


class QuaternionConv(nn.Module):
    """Convolution over quaternions, `[batch, *space, inputs] -> [batch, *space', features]`.

    Parameters: `kernel` `[4, *kernel_size, inputs / 4 / groups, features / 4]`, `bias`
    `[features]`. Fields are named as in `flax.linen.Conv`.

    Attributes:
        features: Output channels, a multiple of 4.
        kernel_size: One entry per axis of space, or one integer for two equal ones.
        strides: One, or one per axis.
        padding: "SAME", "VALID", an integer, or a pair per axis.
        kernel_dilation: One, or one per axis.
        feature_group_count: Groups of quaternion channels convolved apart.
        use_bias: Whether a bias is added.
        dtype: Of the arithmetic; by default what input and parameters promote to.
        param_dtype: Of the stored parameters.
        kernel_init: For shapes with the components first, see `quaternion.polar_initializer`.
        precision: Of the real products.
    """

    features: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: quaternion.Padding = "SAME"
    kernel_dilation: int | Sequence[int] = 1
    feature_group_count: int = 1
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    kernel_init: quaternion.Initializer = quaternion.polar_initializer("he")
    precision: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the layer to `[batch, *space, inputs]`, inputs a multiple of 4."""
        name = type(self).__name__
        groups = self.feature_group_count
        window = _window(self.kernel_size)
        quaternion.check_channels(x.shape[-1], f"{name}, input")
        quaternion.check_channels(self.features, f"{name}, features")
        shape = (4, *window, x.shape[-1] // 4 // groups, self.features // 4)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), self.param_dtype)
        x, kernel, bias = _cast(self.dtype, x, kernel, bias)
        return quaternion.conv(
            x,
            kernel,
            bias,
            strides=self.strides,
            padding=self.padding,
            dilation=self.kernel_dilation,
            groups=groups,
            precision=self.precision,
        )


class QuaternionConvTranspose(nn.Module):
    """Transposed convolution over quaternions; "SAME" multiplies each axis by its stride.

    Parameters: `kernel` `[4, *kernel_size, inputs / 4, features / 4]`, `bias` `[features]`.

    Attributes:
        features: Output channels, a multiple of 4.
        kernel_size: One entry per axis of space, or one integer for two equal ones.
        strides: One, or one per axis.
        padding: As in `jax.lax.conv_transpose`.
        use_bias: Whether a bias is added.
        dtype: Of the arithmetic; by default what input and parameters promote to.
        param_dtype: Of the stored parameters.
        kernel_init: For shapes with the components first, see `quaternion.polar_initializer`.
        precision: Of the real products.
    """

    features: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: quaternion.Padding = "SAME"
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    kernel_init: quaternion.Initializer = quaternion.polar_initializer("he")
    precision: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the layer to `[batch, *space, inputs]`, inputs a multiple of 4."""
        quaternion.check_channels(x.shape[-1], f"{type(self).__name__}, input")
        quaternion.check_channels(self.features, f"{type(self).__name__}, features")
        shape = (4, *_window(self.kernel_size), x.shape[-1] // 4, self.features // 4)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), self.param_dtype)
        x, kernel, bias = _cast(self.dtype, x, kernel, bias)
        return quaternion.conv_transpose(
            x, kernel, bias, strides=self.strides, padding=self.padding, precision=self.precision
        )


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
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32

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


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over time, `[batch, frames, features] -> [batch, 2 features]`.

    Snyder et al., X-vectors, ICASSP 2018; section 3.3 of Padi et al. 2021.

    Attributes:
        components: Blocks of the features: 1 for real, 4 for quaternion features. Block by block
            the result holds the means, then the deviations, so it has the same blocks.
        epsilon: Added to the variance; the root's gradient is finite where nothing varies.
    """

    components: int = 1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Pools the frames where `mask` `[batch, frames]` is True, or all; float32."""
        y = at_least_float32(x)
        where = None if mask is None else mask[..., None]
        count = y.shape[-2] if mask is None else jnp.maximum(mask.sum(-1, keepdims=True), 1)
        count = jnp.asarray(count, y.dtype)
        mean = jnp.sum(y, axis=-2, where=where) / count
        square = jnp.sum(jnp.square(y - mean[..., None, :]), axis=-2, where=where) / count
        deviation = jnp.sqrt(square + self.epsilon)
        blocks = [rearrange(s, "b (c f) -> b c f", c=self.components) for s in (mean, deviation)]
        return rearrange(jnp.concatenate(blocks, -1), "b c f -> b (c f)")


@dataclasses.dataclass(frozen=True)
class Algebra:
    """The layers of one number system, all called alike.

    Attributes:
        name: As shown in tables.
        components: Real numbers in one number; channels are so many equal blocks.
        dense: `dense(features, **options)`, a module.
        conv: `conv(features, kernel_size, strides=, padding=, **options)`.
        conv_transpose: The same, transposed.
        batch_norm: `batch_norm(use_running_average=, **options)`, called with `mask=`.
    """

    name: str
    components: int
    dense: Callable[..., nn.Module]
    conv: Callable[..., nn.Module]
    conv_transpose: Callable[..., nn.Module]
    batch_norm: Callable[..., nn.Module]

    def flatten(self, x: jax.Array) -> jax.Array:
        """`[batch, rows, columns, channels]` to a vector that keeps the component blocks."""
        return rearrange(x, "b h w (q c) -> b (q h w c)", q=self.components)


def _real_dense(features: int, **options: Any) -> nn.Module:
    return nn.Dense(features, **{"kernel_init": nn.initializers.he_normal(), **options})


def _real_conv(features: int, kernel_size: int | Sequence[int], **options: Any) -> nn.Module:
    options = {"kernel_init": nn.initializers.he_normal(), **options}
    return nn.Conv(features, _window(kernel_size), **options)


def _real_conv_transpose(
    features: int, kernel_size: int | Sequence[int], **options: Any
) -> nn.Module:
    options = {"kernel_init": nn.initializers.he_normal(), **options}
    return nn.ConvTranspose(features, _window(kernel_size), **options)


def _real_batch_norm(**options: Any) -> nn.Module:
    # PyTorch's momentum of 0.1, which the papers train with, is 0.9 in Flax's convention.
    return nn.BatchNorm(**{"momentum": 0.9, **options})


def _window(kernel_size: int | Sequence[int]) -> tuple[int, ...]:
    return (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)


REAL = Algebra("real", 1, _real_dense, _real_conv, _real_conv_transpose, _real_batch_norm)
QUATERNION = Algebra(
    "quaternion",
    4,
    QuaternionDense,
    QuaternionConv,
    QuaternionConvTranspose,
    QuaternionBatchNorm,
)

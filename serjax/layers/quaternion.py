"""Quaternion layers: dense, convolution, transposed convolution."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax import quaternion

Dtype = Any


def _cast(dtype: Dtype | None, *arrays: jax.Array | None) -> list[Any]:
    """Casts arrays to the arithmetic's type: `dtype`, or what the arrays promote to."""
    return list(nn.dtypes.promote_dtype(*arrays, dtype=dtype, inexact=True))


def window(kernel_size: int | Sequence[int]) -> tuple[int, ...]:
    """One entry per axis; an integer means two equal ones."""
    return (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)


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
        quaternion.check_channels(x.shape[-1], f"{name}, input")
        quaternion.check_channels(self.features, f"{name}, features")
        shape = (4, *window(self.kernel_size), x.shape[-1] // 4 // groups, self.features // 4)
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
        shape = (4, *window(self.kernel_size), x.shape[-1] // 4, self.features // 4)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), self.param_dtype)
        x, kernel, bias = _cast(self.dtype, x, kernel, bias)
        return quaternion.conv_transpose(
            x, kernel, bias, strides=self.strides, padding=self.padding, precision=self.precision
        )

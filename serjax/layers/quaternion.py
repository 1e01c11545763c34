"""Quaternion layers: dense, convolution and transposed convolution."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from serjax import quaternion


def _cast(
    dtype: DTypeLike | None, x: Array, kernel: Array, bias: Array | None
) -> tuple[Array, Array, Array | None]:
    """Casts arrays to the dtype of the arithmetic: `dtype`, or their promoted dtype if None."""
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=dtype, inexact=True)
    return x, kernel, bias


def as_kernel_size(kernel_size: int | Sequence[int]) -> tuple[int, ...]:
    """Expands a kernel size to one integer per axis; one integer means two equal axes."""
    return (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)


class QuaternionDense(nn.Module):
    """Dense layer over quaternions, `[..., inputs] -> [..., features]`.

    Parameters: `kernel` `[4, inputs / 4, features / 4]`, `bias` `[features]`: a quarter of a real
    layer's weights.

    Attributes:
        features: Number of output channels, a multiple of 4.
        use_bias: True to add a bias.
        dtype: Dtype of the arithmetic; the promoted dtype of input and parameters if None.
        param_dtype: Dtype of the stored parameters.
        kernel_init: Initializer of kernels, components first, such as
            `quaternion.polar_initializer()`.
        precision: Precision of the real products.

    >>> import jax
    >>> layer = QuaternionDense(8)
    >>> jax.tree.map(jnp.shape, layer.init(jax.random.key(0), jnp.ones([1, 4])))["params"]
    {'bias': (8,), 'kernel': (4, 1, 2)}
    """

    features: int
    use_bias: bool = True
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: quaternion.Initializer = quaternion.polar_initializer("he")
    precision: PrecisionLike = None

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch features"]:
        """Applies the layer to `[..., inputs]`, inputs a multiple of 4.

        Raises:
            InputError: `inputs` or `features` is not a multiple of 4.
        """
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
    """Convolution over quaternions, `[batch, *space, inputs] -> [batch, *out_space, features]`.

    Parameters: `kernel` `[4, *kernel_size, inputs / 4 / groups, features / 4]`, `bias`
    `[features]`. Fields are named as in `flax.linen.Conv`.

    Attributes:
        features: Number of output channels, a multiple of 4.
        kernel_size: Kernel size, one integer per spatial axis, or one for two equal axes.
        strides: Strides, one or one per axis.
        padding: Padding: "SAME", "VALID", an integer, or a pair per axis.
        kernel_dilation: Dilation of the kernel, one or one per axis.
        feature_group_count: Number of groups of quaternion channels, convolved separately.
        use_bias: True to add a bias.
        dtype: Dtype of the arithmetic; the promoted dtype of input and parameters if None.
        param_dtype: Dtype of the stored parameters.
        kernel_init: Initializer of kernels, components first, such as
            `quaternion.polar_initializer()`.
        precision: Precision of the real products.
    """

    features: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: quaternion.Padding = "SAME"
    kernel_dilation: int | Sequence[int] = 1
    feature_group_count: int = 1
    use_bias: bool = True
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: quaternion.Initializer = quaternion.polar_initializer("he")
    precision: PrecisionLike = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *space inputs"]
    ) -> Float[Array, "batch *out_space features"]:
        """Applies the layer to `[batch, *space, inputs]`, inputs a multiple of 4.

        Raises:
            InputError: `inputs` or `features` is not a multiple of 4.
        """
        name = type(self).__name__
        groups = self.feature_group_count
        quaternion.check_channels(x.shape[-1], f"{name}, input")
        quaternion.check_channels(self.features, f"{name}, features")
        shape = (
            4,
            *as_kernel_size(self.kernel_size),
            x.shape[-1] // 4 // groups,
            self.features // 4,
        )
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
        features: Number of output channels, a multiple of 4.
        kernel_size: Kernel size, one integer per spatial axis, or one for two equal axes.
        strides: Strides, one or one per axis.
        padding: Padding as in `jax.lax.conv_transpose`.
        use_bias: True to add a bias.
        dtype: Dtype of the arithmetic; the promoted dtype of input and parameters if None.
        param_dtype: Dtype of the stored parameters.
        kernel_init: Initializer of kernels, components first, such as
            `quaternion.polar_initializer()`.
        precision: Precision of the real products.
    """

    features: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: quaternion.Padding = "SAME"
    use_bias: bool = True
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: quaternion.Initializer = quaternion.polar_initializer("he")
    precision: PrecisionLike = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *space inputs"]
    ) -> Float[Array, "batch *out_space features"]:
        """Applies the layer to `[batch, *space, inputs]`, inputs a multiple of 4.

        Raises:
            InputError: `inputs` or `features` is not a multiple of 4.
        """
        quaternion.check_channels(x.shape[-1], f"{type(self).__name__}, input")
        quaternion.check_channels(self.features, f"{type(self).__name__}, features")
        shape = (4, *as_kernel_size(self.kernel_size), x.shape[-1] // 4, self.features // 4)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), self.param_dtype)
        x, kernel, bias = _cast(self.dtype, x, kernel, bias)
        return quaternion.conv_transpose(
            x, kernel, bias, strides=self.strides, padding=self.padding, precision=self.precision
        )

"""Layers of parameterized hypercomplex multiplication (PHM)."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from serjax import hypercomplex
from serjax.layers.quaternion import as_kernel_size
from serjax.ops.convolution import Padding, check_blocks
from serjax.quaternion import Initializer


def _parameters(
    layer: "PHMDense | PHMConv | PHMConvTranspose",
    x: Float[Array, "..."],
    kernel_size: tuple[int, ...] = (),
    groups: int = 1,
) -> tuple[Array, Array, Array, Array | None]:
    """Returns input, multiplication tensor, kernel and bias in the dtype of the arithmetic."""
    name, n = type(layer).__name__, layer.components
    check_blocks(x.shape[-1], n, f"{name}, input")
    check_blocks(layer.features, n, f"{name}, features")
    shape = (n, *kernel_size, x.shape[-1] // n // groups, layer.features // n)
    # The multiplication tensor is stored as "rule", the name that checkpoints have.
    multiplication = layer.param("rule", layer.multiplication_init, (n, n, n), layer.param_dtype)
    kernel = layer.param("kernel", layer.kernel_init, shape, layer.param_dtype)
    bias = None
    if layer.use_bias:
        bias = layer.param("bias", nn.initializers.zeros, (layer.features,), layer.param_dtype)
    arrays = nn.dtypes.promote_dtype(
        x, multiplication, kernel, bias, dtype=layer.dtype, inexact=True
    )
    x, multiplication, kernel, bias = arrays
    return x, multiplication, kernel, bias


class PHMDense(nn.Module):
    """Dense layer over values with n components, `[..., inputs] -> [..., features]`.

    Parameters: `rule` `[n, n, n]`, `kernel` `[n, inputs / n, features / n]`, `bias` `[features]`.
    The kernel has an n-th of a real layer's weights. The rule is the multiplication tensor, learned
    together with the kernel (Zhang et al., 2021).

    Attributes:
        features: Number of output channels, a multiple of `components`.
        components: Number n of components.
        use_bias: True to add a bias.
        dtype: Dtype of the arithmetic; the promoted dtype of input and parameters if None.
        param_dtype: Dtype of the stored parameters.
        multiplication_init: Initializer of multiplication tensors `[n, n, n]`.
        kernel_init: Initializer of kernels, components first.
        precision: Precision of the real product.

    >>> import jax
    >>> layer = PHMDense(6, components=3)
    >>> jax.tree.map(jnp.shape, layer.init(jax.random.key(0), jnp.ones([1, 3])))["params"]
    {'bias': (6,), 'kernel': (3, 1, 2), 'rule': (3, 3, 3)}
    """

    features: int
    components: int
    use_bias: bool = True
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    multiplication_init: Initializer = hypercomplex.multiplication_initializer()
    kernel_init: Initializer = hypercomplex.kernel_initializer()
    precision: PrecisionLike = None

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch features"]:
        """Applies the layer to `[..., inputs]`, inputs a multiple of `components`.

        Raises:
            InputError: `inputs` or `features` is not a multiple of `components`.
        """
        return hypercomplex.dense(*_parameters(self, x), precision=self.precision)


class PHMConv(nn.Module):
    """Convolution over values with n components, `[batch, *space, inputs] -> [..., features]`.

    Parameters: `rule` `[n, n, n]`, `kernel` `[n, *kernel_size, inputs / n / groups, features / n]`,
    `bias` `[features]` (Grassucci et al., 2022). Fields are named as in `flax.linen.Conv`.

    Attributes:
        features: Number of output channels, a multiple of `components`.
        kernel_size: Kernel size, one integer per spatial axis, or one for two equal axes.
        components: Number n of components.
        strides: Strides, one or one per axis.
        padding: Padding: "SAME", "VALID", an integer, or a pair per axis.
        kernel_dilation: Dilation of the kernel, one or one per axis.
        feature_group_count: Number of groups of hypercomplex channels, convolved separately.
        use_bias: True to add a bias.
        dtype: Dtype of the arithmetic; the promoted dtype of input and parameters if None.
        param_dtype: Dtype of the stored parameters.
        multiplication_init: Initializer of multiplication tensors `[n, n, n]`.
        kernel_init: Initializer of kernels, components first.
        precision: Precision of the real product.
    """

    features: int
    kernel_size: int | Sequence[int]
    components: int
    strides: int | Sequence[int] = 1
    padding: Padding = "SAME"
    kernel_dilation: int | Sequence[int] = 1
    feature_group_count: int = 1
    use_bias: bool = True
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    multiplication_init: Initializer = hypercomplex.multiplication_initializer()
    kernel_init: Initializer = hypercomplex.kernel_initializer()
    precision: PrecisionLike = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *space inputs"]
    ) -> Float[Array, "batch *out_space features"]:
        """Applies the layer to `[batch, *space, inputs]`, inputs a multiple of `components`.

        Raises:
            InputError: `inputs` or `features` is not a multiple of `components`.
        """
        return hypercomplex.conv(
            *_parameters(self, x, as_kernel_size(self.kernel_size), self.feature_group_count),
            strides=self.strides,
            padding=self.padding,
            dilation=self.kernel_dilation,
            groups=self.feature_group_count,
            precision=self.precision,
        )


class PHMConvTranspose(nn.Module):
    """Transposed convolution over n components; "SAME" multiplies each axis by its stride.

    Parameters: `rule` `[n, n, n]`, `kernel` `[n, *kernel_size, inputs / n, features / n]`, `bias`
    `[features]`.

    Attributes:
        features: Number of output channels, a multiple of `components`.
        kernel_size: Kernel size, one integer per spatial axis, or one for two equal axes.
        components: Number n of components.
        strides: Strides, one or one per axis.
        padding: Padding as in `jax.lax.conv_transpose`.
        use_bias: True to add a bias.
        dtype: Dtype of the arithmetic; the promoted dtype of input and parameters if None.
        param_dtype: Dtype of the stored parameters.
        multiplication_init: Initializer of multiplication tensors `[n, n, n]`.
        kernel_init: Initializer of kernels, components first.
        precision: Precision of the real product.
    """

    features: int
    kernel_size: int | Sequence[int]
    components: int
    strides: int | Sequence[int] = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    multiplication_init: Initializer = hypercomplex.multiplication_initializer()
    kernel_init: Initializer = hypercomplex.kernel_initializer()
    precision: PrecisionLike = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *space inputs"]
    ) -> Float[Array, "batch *out_space features"]:
        """Applies the layer to `[batch, *space, inputs]`, inputs a multiple of `components`.

        Raises:
            InputError: `inputs` or `features` is not a multiple of `components`.
        """
        return hypercomplex.conv_transpose(
            *_parameters(self, x, as_kernel_size(self.kernel_size)),
            strides=self.strides,
            padding=self.padding,
            precision=self.precision,
        )

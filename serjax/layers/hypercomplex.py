"""Layers of parameterized hypercomplex multiplication: dense, convolution, transposed."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax import hypercomplex
from serjax.layers.quaternion import Dtype, window
from serjax.ops.convolution import Padding, check_blocks
from serjax.quaternion import Initializer


def _parameters(
    layer: "PHMDense | PHMConv | PHMConvTranspose",
    x: jax.Array,
    window: tuple[int, ...] = (),
    groups: int = 1,
) -> list[Any]:
    """Input, rule, kernel and bias (or none) of a layer, in the arithmetic's type."""
    name, n = type(layer).__name__, layer.components
    check_blocks(x.shape[-1], n, f"{name}, input")
    check_blocks(layer.features, n, f"{name}, features")
    shape = (n, *window, x.shape[-1] // n // groups, layer.features // n)
    rule = layer.param("rule", layer.rule_init, (n, n, n), layer.param_dtype)
    kernel = layer.param("kernel", layer.kernel_init, shape, layer.param_dtype)
    bias = None
    if layer.use_bias:
        bias = layer.param("bias", nn.initializers.zeros, (layer.features,), layer.param_dtype)
    return list(nn.dtypes.promote_dtype(x, rule, kernel, bias, dtype=layer.dtype, inexact=True))


class PHMDense(nn.Module):
    """Dense layer over numbers of n components, `[..., inputs] -> [..., features]`.

    Parameters: `rule` `[n, n, n]`, `kernel` `[n, inputs / n, features / n]`, `bias` `[features]`:
    an n-th of a real layer's weights, and the rule by which components multiply, which is learnt
    with them (Zhang et al. 2021).

    Attributes:
        features: Output channels, a multiple of `components`.
        components: n, of one number.
        use_bias: Whether a bias is added.
        dtype: Of the arithmetic; by default what input and parameters promote to.
        param_dtype: Of the stored parameters.
        rule_init: For the shape `[n, n, n]`.
        kernel_init: For shapes with the components first.
        precision: Of the real product.

    >>> layer = PHMDense(6, components=3)
    >>> jax.tree.map(jnp.shape, layer.init(jax.random.key(0), jnp.ones([1, 3])))["params"]
    {'bias': (6,), 'kernel': (3, 1, 2), 'rule': (3, 3, 3)}
    """

    features: int
    components: int
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    rule_init: Initializer = hypercomplex.multiplication_initializer()
    kernel_init: Initializer = hypercomplex.kernel_initializer()
    precision: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the layer to `[..., inputs]`, inputs a multiple of `components`."""
        return hypercomplex.dense(*_parameters(self, x), precision=self.precision)


class PHMConv(nn.Module):
    """Convolution over numbers of n components, `[batch, *space, inputs] -> [..., features]`.

    Parameters: `rule` `[n, n, n]`, `kernel` `[n, *kernel_size, inputs / n / groups, features / n]`,
    `bias` `[features]` (Grassucci et al. 2022). Fields are named as in
    `flax.linen.Conv`.

    Attributes:
        features: Output channels, a multiple of `components`.
        kernel_size: One entry per axis of space, or one integer for two equal ones.
        components: n, of one number.
        strides: One, or one per axis.
        padding: "SAME", "VALID", an integer, or a pair per axis.
        kernel_dilation: One, or one per axis.
        feature_group_count: Groups of hypercomplex channels convolved apart.
        use_bias: Whether a bias is added.
        dtype: Of the arithmetic; by default what input and parameters promote to.
        param_dtype: Of the stored parameters.
        rule_init: For the shape `[n, n, n]`.
        kernel_init: For shapes with the components first.
        precision: Of the real product.
    """

    features: int
    kernel_size: int | Sequence[int]
    components: int
    strides: int | Sequence[int] = 1
    padding: Padding = "SAME"
    kernel_dilation: int | Sequence[int] = 1
    feature_group_count: int = 1
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    rule_init: Initializer = hypercomplex.multiplication_initializer()
    kernel_init: Initializer = hypercomplex.kernel_initializer()
    precision: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the layer to `[batch, *space, inputs]`, inputs a multiple of `components`."""
        return hypercomplex.conv(
            *_parameters(self, x, window(self.kernel_size), self.feature_group_count),
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
        features: Output channels, a multiple of `components`.
        kernel_size: One entry per axis of space, or one integer for two equal ones.
        components: n, of one number.
        strides: One, or one per axis.
        padding: As in `jax.lax.conv_transpose`.
        use_bias: Whether a bias is added.
        dtype: Of the arithmetic; by default what input and parameters promote to.
        param_dtype: Of the stored parameters.
        rule_init: For the shape `[n, n, n]`.
        kernel_init: For shapes with the components first.
        precision: Of the real product.
    """

    features: int
    kernel_size: int | Sequence[int]
    components: int
    strides: int | Sequence[int] = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    rule_init: Initializer = hypercomplex.multiplication_initializer()
    kernel_init: Initializer = hypercomplex.kernel_initializer()
    precision: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the layer to `[batch, *space, inputs]`, inputs a multiple of `components`."""
        return hypercomplex.conv_transpose(
            *_parameters(self, x, window(self.kernel_size)),
            strides=self.strides,
            padding=self.padding,
            precision=self.precision,
        )

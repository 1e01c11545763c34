"""Layers of each algebra behind one interface."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from serjax.errors import InputError
from serjax.layers.batch_norm import HypercomplexBatchNorm, QuaternionBatchNorm
from serjax.layers.hypercomplex import PHMConv, PHMConvTranspose, PHMDense
from serjax.layers.quaternion import (
    QuaternionConv,
    QuaternionConvTranspose,
    QuaternionDense,
    as_kernel_size,
)
from serjax.layers.shifted_conv import shifted_conv
from serjax.ops.convolution import conv_general_dilated

# Logits start near zero, so an untrained network predicts all classes with equal probability.
HEAD_INIT = nn.initializers.normal(0.01)

# Up to this number of channels, a sum of shifted images is faster than a convolution.
_FEW_CHANNELS = 4


@dataclasses.dataclass(frozen=True)
class Algebra:
    """Constructors of the layers of one algebra, with the same arguments for all algebras.

    Attributes:
        name: Name in tables.
        components: Number of real components of a value, and of equal blocks of channels.
        dense: Constructor `dense(features, **options)` of a dense layer.
        conv: Constructor `conv(features, kernel_size, strides=, padding=, **options)`.
        conv_transpose: Constructor of a transposed convolution, with the arguments of `conv`.
        batch_norm: Constructor `batch_norm(use_running_average=, **options)` of a layer that is
            called with `mask=`.

    >>> import jax
    >>> layer = QUATERNION.conv(8, 3, strides=2)
    >>> variables = layer.init(jax.random.key(0), jnp.ones((1, 10, 10, 4)))
    >>> layer.apply(variables, jnp.ones((1, 10, 10, 4))).shape
    (1, 5, 5, 8)
    """

    name: str
    components: int
    dense: Callable[..., nn.Module]
    conv: Callable[..., nn.Module]
    conv_transpose: Callable[..., nn.Module]
    batch_norm: Callable[..., nn.Module]

    def flatten(
        self, x: Float[Array, "batch rows columns channels"]
    ) -> Float[Array, "batch rows*columns*channels"]:
        """Flattens an image to a vector with the same component blocks."""
        return rearrange(x, "b h w (q c) -> b (q h w c)", q=self.components)

    def concatenate(
        self, xs: Sequence[Float[Array, "*batch _"]]
    ) -> Float[Array, "*batch channels"]:
        """Concatenates channels block by block: the first component of all arrays, and so on."""
        q = self.components
        blocks = [rearrange(x, "... (q c) -> ... q c", q=q) for x in xs]
        return rearrange(jnp.concatenate(blocks, -1), "... q c -> ... (q c)")


def _real_dense(features: int, **options: Any) -> nn.Module:
    return nn.Dense(features, **{"kernel_init": nn.initializers.he_normal(), **options})


def _convolve(
    x: Float[Array, "batch *space inputs"],
    kernel: Float[Array, "*kernel_size inputs_of_group outputs"],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    **options: Any,
) -> Float[Array, "batch *out_space outputs"]:
    """Applies the fastest convolution, with the arguments of `jax.lax.conv_general_dilated`."""
    steps = {*window_strides, *(lhs_dilation or ()), *(rhs_dilation or ())}
    is_narrow = x.shape[-1] == kernel.shape[-2] and max(kernel.shape[-2:]) <= _FEW_CHANNELS
    if is_narrow and kernel.ndim == 4 and steps == {1} and not isinstance(padding, str):
        return shifted_conv(x, kernel, padding)
    return conv_general_dilated(
        x, kernel, window_strides, padding, lhs_dilation, rhs_dilation, **options
    )


def _real_conv(features: int, kernel_size: int | Sequence[int], **options: Any) -> nn.Module:
    defaults = {"kernel_init": nn.initializers.he_normal(), "conv_general_dilated": _convolve}
    options = {**defaults, **options}
    return nn.Conv(features, as_kernel_size(kernel_size), **options)


def _real_conv_transpose(
    features: int, kernel_size: int | Sequence[int], **options: Any
) -> nn.Module:
    options = {"kernel_init": nn.initializers.he_normal(), **options}
    return nn.ConvTranspose(features, as_kernel_size(kernel_size), **options)


def _real_batch_norm(**options: Any) -> nn.Module:
    # The papers train with PyTorch's momentum of 0.1, which is 0.9 in Flax's convention.
    return HypercomplexBatchNorm(**{"momentum": 0.9, "components": 1, **options})


REAL = Algebra("real", 1, _real_dense, _real_conv, _real_conv_transpose, _real_batch_norm)
QUATERNION = Algebra(
    "quaternion",
    4,
    QuaternionDense,
    QuaternionConv,
    QuaternionConvTranspose,
    QuaternionBatchNorm,
)


@functools.cache
def phm(components: int) -> Algebra:
    """Returns the algebra of values with n components, whose multiplication each layer learns.

    Parameterized hypercomplex multiplication (Zhang et al., 2021; Grassucci et al., 2022), see
    `serjax.hypercomplex`. Equal arguments give the same object.

    Args:
        components: Number of components, at least 1. All channel counts are multiples of it.

    Raises:
        InputError: There is less than 1 component.
    """
    if components < 1:
        raise InputError(f"phm, components: expected at least 1, found {components}")
    layers = (PHMDense, PHMConv, PHMConvTranspose, HypercomplexBatchNorm)
    return Algebra(
        f"phm{components}",
        components,
        *(functools.partial(layer, components=components) for layer in layers),
    )

"""The layers of each algebra behind one interface."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange

from serjax.errors import InputError
from serjax.layers.batch_norm import HypercomplexBatchNorm, QuaternionBatchNorm
from serjax.layers.hypercomplex import PHMConv, PHMConvTranspose, PHMDense
from serjax.layers.quaternion import (
    QuaternionConv,
    QuaternionConvTranspose,
    QuaternionDense,
    window,
)
from serjax.layers.shifted_conv import shifted_conv
from serjax.ops.convolution import conv_general_dilated

# Logits start near zero, so a network starts from even odds instead of from confident mistakes.
HEAD_INIT = nn.initializers.normal(0.01)

# Up to so many channels on both sides a sum of shifted images is faster than a convolution.
_FEW_CHANNELS = 4


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

    def concatenate(self, xs: Sequence[jax.Array]) -> jax.Array:
        """Joins `[..., channels]`, block by block: each component of all, then the next one."""
        q = self.components
        blocks = [rearrange(x, "... (q c) -> ... q c", q=q) for x in xs]
        return rearrange(jnp.concatenate(blocks, -1), "... q c -> ... (q c)")


def _real_dense(features: int, **options: Any) -> nn.Module:
    return nn.Dense(features, **{"kernel_init": nn.initializers.he_normal(), **options})


def _convolve(
    x: jax.Array,
    kernel: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    **options: Any,
) -> jax.Array:
    """The faster convolution for these shapes, called as `jax.lax.conv_general_dilated`."""
    steps = {*window_strides, *(lhs_dilation or ()), *(rhs_dilation or ())}
    few = x.shape[-1] == kernel.shape[-2] and max(kernel.shape[-2:]) <= _FEW_CHANNELS
    if few and kernel.ndim == 4 and steps == {1} and not isinstance(padding, str):
        return shifted_conv(x, kernel, padding)
    return conv_general_dilated(
        x, kernel, window_strides, padding, lhs_dilation, rhs_dilation, **options
    )


def _real_conv(features: int, kernel_size: int | Sequence[int], **options: Any) -> nn.Module:
    own = {"kernel_init": nn.initializers.he_normal(), "conv_general_dilated": _convolve}
    options = {**own, **options}
    return nn.Conv(features, window(kernel_size), **options)


def _real_conv_transpose(
    features: int, kernel_size: int | Sequence[int], **options: Any
) -> nn.Module:
    options = {"kernel_init": nn.initializers.he_normal(), **options}
    return nn.ConvTranspose(features, window(kernel_size), **options)


def _real_batch_norm(**options: Any) -> nn.Module:
    # PyTorch's momentum of 0.1, which the papers train with, is 0.9 in Flax's convention.
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
    """Algebra of numbers of so many components, whose multiplication each layer learns.

    Parameterized hypercomplex multiplication (Zhang et al. 2021, Grassucci et al. 2022), see
    `serjax.hypercomplex`. Equal arguments give the same object.

    Args:
        components: n, at least 1; all channel counts are multiples of it.

    Raises:
        InputError: fewer than 1 component.
    """
    if components < 1:
        raise InputError(f"phm, components: expected at least 1, found {components}")
    layers = (PHMDense, PHMConv, PHMConvTranspose, HypercomplexBatchNorm)
    return Algebra(
        f"phm{components}",
        components,
        *(functools.partial(layer, components=components) for layer in layers),
    )

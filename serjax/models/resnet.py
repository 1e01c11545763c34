"""Residual networks of He et al. (2016) over any algebra: blocks, trunk, and ResNet."""

import functools
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from serjax.layers import HEAD_INIT, REAL, Algebra, max_pool
from serjax.models.common import check_input, global_pool

Block = Callable[..., nn.Module]


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, with a projection if the shape changes.

    Attributes:
        channels: Channels of both convolutions.
        stride: Stride of the first convolution and of the projection.
        conv: Constructor of a convolution without bias.
        norm: Constructor of a batch norm, which is called with `mask=`.
        activation: Constructor of an activation.
    """

    channels: int
    stride: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    activation: Callable[..., Callable[[jax.Array], jax.Array]]

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array | None
    ) -> tuple[jax.Array, jax.Array | None, list[jax.Array]]:
        """Returns the output, its mask, and the outputs of both convolutions.

        Args:
            x: Activations `[batch, frames, bins, channels]`.
            mask: Mask of valid frames `[batch, frames]`, or None.
        """
        output_mask = downsample_mask(mask, self.stride)
        y = self.conv(self.channels, 3, strides=self.stride, padding=1, name="conv1")(x)
        y = self.activation(name="act1")(
            self.norm(name="norm1")(y, mask=broadcast_mask(output_mask))
        )
        y = hidden = zero_padding(y, output_mask)
        y = self.conv(self.channels, 3, padding=1, name="conv2")(y)
        y = self.norm(name="norm2")(y, mask=broadcast_mask(output_mask))
        x = _shortcut(x, y, self.stride, self.conv, self.norm, output_mask)
        y = zero_padding(self.activation(name="act2")(x + y), output_mask)
        return y, output_mask, [hidden, y]


class Bottleneck(nn.Module):
    """Convolutions of 1 x 1, 3 x 3 and 1 x 1 and a shortcut, with a projection if needed.

    The 3 x 3 convolution has the stride, as in torchvision ("ResNet v1.5"). In He et al. the first
    1 x 1 convolution has it, and then ignores three quarters of its input.

    Attributes:
        channels: Channels of the stage; the output of the block has four times this number.
        stride: Stride of the 3 x 3 convolution and of the projection.
        conv: Constructor of a convolution without bias.
        norm: Constructor of a batch norm, which is called with `mask=`.
        activation: Constructor of an activation.
        width: Channels of the first two convolutions, in multiples of `channels`.
    """

    channels: int
    stride: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    activation: Callable[..., Callable[[jax.Array], jax.Array]]
    width: int = 1

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array | None
    ) -> tuple[jax.Array, jax.Array | None, list[jax.Array]]:
        """Returns the output, its mask, and the outputs of the three convolutions.

        Args:
            x: Activations `[batch, frames, bins, channels]`.
            mask: Mask of valid frames `[batch, frames]`, or None.
        """
        output_mask = downsample_mask(mask, self.stride)
        inner = self.channels * self.width
        y = self.conv(inner, 1, padding=0, name="conv1")(x)
        y = self.activation(name="act1")(self.norm(name="norm1")(y, mask=broadcast_mask(mask)))
        y = first = zero_padding(y, mask)
        y = self.conv(inner, 3, strides=self.stride, padding=1, name="conv2")(y)
        y = self.activation(name="act2")(
            self.norm(name="norm2")(y, mask=broadcast_mask(output_mask))
        )
        y = second = zero_padding(y, output_mask)
        y = self.conv(4 * self.channels, 1, padding=0, name="conv3")(y)
        y = self.norm(name="norm3")(y, mask=broadcast_mask(output_mask))
        x = _shortcut(x, y, self.stride, self.conv, self.norm, output_mask)
        y = zero_padding(self.activation(name="act3")(x + y), output_mask)
        return y, output_mask, [first, second, y]


def _shortcut(
    x: jax.Array,
    y: jax.Array,
    stride: int,
    conv: Callable[..., nn.Module],
    norm: Callable[..., nn.Module],
    mask: jax.Array | None,
) -> jax.Array:
    """Returns the shortcut that is added to `y`: the block's input, projected if shapes differ."""
    if x.shape == y.shape:
        return x
    x = conv(y.shape[-1], 1, strides=stride, padding=0, name="projection")(x)
    return norm(name="norm_projection")(x, mask=broadcast_mask(mask))


def broadcast_mask(mask: jax.Array | None) -> jax.Array | None:
    """Expands a mask `[batch, frames]` to `[batch, frames, 1, 1]`."""
    return None if mask is None else mask[:, :, None, None]


def zero_padding(x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Sets padded frames to zero, which equals the padding of the next convolution."""
    return x if mask is None else jnp.where(mask[:, :, None, None], x, jnp.zeros_like(x))


def downsample_mask(mask: jax.Array | None, stride: int) -> jax.Array | None:
    """Returns the mask after a layer with a stride, odd kernel size and symmetric padding.

    Output frame t is centred on input frame t * stride, and is valid if that frame is.
    """
    return None if mask is None else mask[:, ::stride]


def trunk(
    x: jax.Array,
    mask: jax.Array | None,
    *,
    block: Block,
    blocks: Sequence[int],
    channels: int,
    conv: Callable[..., nn.Module],
    norm: Callable[..., nn.Module],
    activation: Callable[..., Callable[[jax.Array], jax.Array]],
) -> tuple[jax.Array, jax.Array | None, dict[str, jax.Array]]:
    """Applies the layers before the pooling: the stem of He et al., then stages of blocks.

    The stem is a 7 x 7 convolution and a 3 x 3 max pooling, both of stride 2. Each stage except
    the first halves the resolution. Call it in a compact method of a module; the layers become
    submodules of that module. Every layer sets padded frames to zero and paddings are symmetric,
    so an utterance has the same output in every batch.

    Args:
        x: Input `[batch, frames, bins, channels]`.
        mask: Mask of valid frames `[batch, frames]`, or None.
        block: Constructor of a block, from `channels, stride, conv, norm, activation, name=`.
        blocks: Number of blocks in each stage.
        channels: Channels of the first stage, doubled in each further stage.
        conv: Constructor of a convolution without bias.
        norm: Constructor of a batch norm, which is called with `mask=`.
        activation: Constructor of an activation.

    Returns:
        Output `[batch, frames / 32, bins / 32, channels']` for four stages, its mask, and the
        outputs of the convolutions in stem and blocks, `conv1` and so on. As in the names of the
        networks, projections of shortcuts are not counted.

    Raises:
        InputError: The input has another rank.
    """
    check_input("residual network", x, 1)
    y = conv(channels, 7, strides=2, padding=3, name="stem_conv")(zero_padding(x, mask))
    mask = downsample_mask(mask, 2)
    y = activation(name="stem_act")(norm(name="stem_norm")(y, mask=broadcast_mask(mask)))
    y = zero_padding(y, mask)
    features = {"conv1": y}
    # A padded frame must lose against every valid value of a maximum, as XLA's own padding does.
    if mask is not None:
        y = jnp.where(mask[:, :, None, None], y, jnp.finfo(y.dtype).min)
    y = max_pool(y, (3, 3), (2, 2), padding=1)
    mask = downsample_mask(mask, 2)
    y = zero_padding(y, mask)
    for stage, count in enumerate(blocks):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            name = f"stage{stage + 1}_block{index + 1}"
            layer = block(channels * 2**stage, stride, conv, norm, activation, name=name)
            y, mask, outputs = layer(y, mask)
            for output in outputs:
                features[f"conv{len(features) + 1}"] = output
    return y, mask, features


class ResNet(nn.Module):
    """ResNet of torchvision, with ReLU and global average pooling.

    With `channels=64`, 1000 classes and three channels these are torchvision's `resnet18`
    (`blocks` (2, 2, 2, 2)), `resnet34` ((3, 4, 6, 3)), `resnet50` ((3, 4, 6, 3), `bottleneck` 1)
    and `wide_resnet50_2` (`bottleneck` 2; Zagoruyko & Komodakis (2016)), to the parameter.
    The input has any size and length; padded frames do not change the logits. The last layer is
    real in every algebra. He's initialization uses the number of inputs, where torchvision's
    convolutions use the number of outputs.

    Its features are `conv1`, `conv2` and so on, each after its activation; the last one of a block
    is the output of the block. Projections of shortcuts are not counted.

    Attributes:
        num_classes: Number of classes.
        algebra: Algebra of all layers except the last.
        blocks: Number of blocks in each stage.
        channels: Channels of the first stage, doubled in each further stage.
        bottleneck: Width of bottleneck blocks, in multiples of the inner channels of He et al.
            (2016); None for basic blocks.
        pooling: Pooling over positions at the end, "mean" or "max".
        hidden: Width of a dense layer with ReLU before the last; None for no hidden layer.
        dtype: Type of the arithmetic; logits are float32.
        param_dtype: Type of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    blocks: Sequence[int] = (2, 2, 2, 2)
    channels: int = 64
    bottleneck: int | None = None
    pooling: str = "mean"
    hidden: int | None = None
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Computes logits and activations.

        Args:
            x: Input `[batch, frames, bins, channels]`; values at padded frames are ignored.
            train: Whether batch statistics normalize.
            mask: Mask of valid frames `[batch, frames]`; None if all are valid.

        Returns:
            Logits `[batch, classes]` float32, and features by name.

        Raises:
            InputError: The input has another rank, or the pooling is unknown.
        """
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        block: Block = BasicBlock
        if self.bottleneck is not None:
            block = functools.partial(Bottleneck, width=self.bottleneck)
        y, mask, features = trunk(
            x,
            mask,
            block=block,
            blocks=self.blocks,
            channels=self.channels,
            conv=functools.partial(self.algebra.conv, use_bias=False, **types),
            norm=functools.partial(self.algebra.batch_norm, use_running_average=not train, **types),
            activation=lambda name: nn.relu,
        )
        head = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)
        x = global_pool(y, mask, self.pooling)
        if self.hidden is not None:
            x = nn.relu(self.algebra.dense(self.hidden, name="dense1", **types)(x))
        return head(x).astype(jnp.float32), features

"""Residual networks (He et al., CVPR 2016) over any algebra: blocks, trunk, and ResNet."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.layers import HEAD_INIT, REAL, Algebra, max_pool
from serjax.models.heads import global_pool
from serjax.models.input_size import check_input

Block = Callable[..., nn.Module]


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, which is projected where the shape changes.

    Attributes:
        channels: Of both convolutions.
        stride: Of the first convolution, and of the projection.
        conv: Convolution without bias.
        norm: Normalization, called with `mask=`.
        activation: Makes an activation.
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
        """`[batch, frames, bins, channels]` -> (output, its mask, outputs of both convolutions)."""
        after = downsample(mask, self.stride)
        y = self.conv(self.channels, 3, strides=self.stride, padding=1, name="conv1")(x)
        y = self.activation(name="act1")(self.norm(name="norm1")(y, mask=spread(after)))
        y = hidden = cover(y, after)
        y = self.conv(self.channels, 3, padding=1, name="conv2")(y)
        y = self.norm(name="norm2")(y, mask=spread(after))
        x = _shortcut(x, y, self.stride, self.conv, self.norm, after)
        y = cover(self.activation(name="act2")(x + y), after)
        return y, after, [hidden, y]


class Bottleneck(nn.Module):
    """Convolutions of 1 x 1, 3 x 3 and 1 x 1 and a shortcut, projected where the shape changes.

    The stride is that of the 3 x 3 convolution, as in torchvision ("ResNet v1.5"); He et al. have
    it in the first 1 x 1 convolution, which then never sees three quarters of its input.

    Attributes:
        channels: Of the stage; the block has four times as many at its end.
        stride: Of the 3 x 3 convolution, and of the projection.
        conv: Convolution without bias.
        norm: Normalization, called with `mask=`.
        activation: Makes an activation.
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
        """`[batch, frames, bins, channels]` -> (output, its mask, the convolutions' outputs)."""
        after = downsample(mask, self.stride)
        inner = self.channels * self.width
        y = self.conv(inner, 1, padding=0, name="conv1")(x)
        y = self.activation(name="act1")(self.norm(name="norm1")(y, mask=spread(mask)))
        y = first = cover(y, mask)
        y = self.conv(inner, 3, strides=self.stride, padding=1, name="conv2")(y)
        y = self.activation(name="act2")(self.norm(name="norm2")(y, mask=spread(after)))
        y = second = cover(y, after)
        y = self.conv(4 * self.channels, 1, padding=0, name="conv3")(y)
        y = self.norm(name="norm3")(y, mask=spread(after))
        x = _shortcut(x, y, self.stride, self.conv, self.norm, after)
        y = cover(self.activation(name="act3")(x + y), after)
        return y, after, [first, second, y]


def _shortcut(
    x: jax.Array,
    y: jax.Array,
    stride: int,
    conv: Callable[..., nn.Module],
    norm: Callable[..., nn.Module],
    mask: jax.Array | None,
) -> jax.Array:
    """A block's input as it is added to `y`: unchanged, or projected where the shapes differ."""
    if x.shape == y.shape:
        return x
    x = conv(y.shape[-1], 1, strides=stride, padding=0, name="projection")(x)
    return norm(name="norm_projection")(x, mask=spread(mask))


def spread(mask: jax.Array | None) -> jax.Array | None:
    """Mask `[batch, frames]` as it broadcasts against `[batch, frames, bins, channels]`."""
    return None if mask is None else mask[:, :, None, None]


def cover(x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Zeroes frames past the end, so that the next convolution sees the zeros of its padding."""
    return x if mask is None else jnp.where(mask[:, :, None, None], x, jnp.zeros_like(x))


def downsample(mask: jax.Array | None, stride: int) -> jax.Array | None:
    """Mask after a layer with this stride, odd window and symmetric padding.

    Output frame t is centred on input frame t * stride, so it is real where that one is.
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
    """All that comes before the pooling: the stem of He et al., then stages of blocks.

    The stem is a 7 x 7 convolution and a 3 x 3 max pooling, both of stride 2; each stage but the
    first halves the resolution. To be called in a module's compact method, whose submodules the
    layers become. Every layer zeroes what lies past an utterance's end and paddings are
    symmetric, so an utterance comes out the same in any batch.

    Args:
        x: `[batch, frames, bins, channels]`.
        mask: `[batch, frames]`, or None.
        block: Makes a block from `channels, stride, conv, norm, activation, name=`.
        blocks: Their number in each stage.
        channels: Of the first stage; doubled in each further one.
        conv: Convolution without bias.
        norm: Normalization, called with `mask=`.
        activation: Makes an activation.

    Returns:
        `[batch, frames / 32, bins / 32, channels']` for four stages, its mask, and the outputs of
        the stem's convolution and of those in the blocks, `conv1` and so on. As in the networks'
        names, projections of shortcuts are not counted.
    """
    check_input("residual network", x, 1)
    y = conv(channels, 7, strides=2, padding=3, name="stem_conv")(cover(x, mask))
    mask = downsample(mask, 2)
    y = activation(name="stem_act")(norm(name="stem_norm")(y, mask=spread(mask)))
    y = cover(y, mask)
    features = {"conv1": y}
    # Past the end a maximum must lose against every real value, as XLA's own padding does.
    if mask is not None:
        y = jnp.where(mask[:, :, None, None], y, jnp.finfo(y.dtype).min)
    y = max_pool(y, (3, 3), (2, 2), padding=1)
    mask = downsample(mask, 2)
    y = cover(y, mask)
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
    """ResNet with ReLU and global average pooling, as torchvision has it.

    With `channels` 64 and 1000 classes on three channels these are torchvision's `resnet18`
    (`blocks` (2, 2, 2, 2)), `resnet34` ((3, 4, 6, 3)), `resnet50` ((3, 4, 6, 3), `bottleneck` 1)
    and `wide_resnet50_2` (`bottleneck` 2; Zagoruyko & Komodakis, BMVC 2016), to the parameter.
    Input has any size and length; frames past an utterance's end change nothing. The last layer
    is real in every algebra. Weights start by He's rule over inputs, where torchvision's
    convolutions start by the same rule over outputs.

    `features` of the result: `conv1` and so on, each after its activation; the last of a block
    after the block's sum. Projections of shortcuts are not counted.

    Attributes:
        num_classes: Classes.
        algebra: Of all layers but the last.
        blocks: Number of blocks in each stage.
        channels: Of the first stage; doubled in each further one.
        bottleneck: None for basic blocks; else bottlenecks, with so many times the inner channels
            that He et al. give them.
        pooling: Over positions at the end, "mean" or "max".
        hidden: Units of a dense layer with ReLU before the last; None: there is none.
        dtype: Of the arithmetic; logits are float32.
        param_dtype: Of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    blocks: Sequence[int] = (2, 2, 2, 2)
    channels: int = 64
    bottleneck: int | None = None
    pooling: str = "mean"
    hidden: int | None = None
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classifies `[batch, frames, bins, channels]` -> (logits `[batch, classes]`, features).

        Args:
            x: Input; what lies past an utterance's end is ignored.
            train: Whether batch statistics normalize.
            mask: `[batch, frames]`, True at real frames; by default all are.

        Raises:
            InputError: another pooling than mean and max.
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

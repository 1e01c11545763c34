"""Residual networks (He et al., 2016): ResNet34 with statistics pooling, of Padi et al. 2021."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange

from serjax.layers import HEAD_INIT, REAL, Algebra, StatisticsPooling, max_pool


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, which is projected where the shape changes.

    Attributes:
        channels: Of both convolutions.
        stride: Of the first convolution, and of the projection.
        conv: Convolution without bias.
        norm: Normalization, called with `mask=`.
        activation: Makes an activation module.
    """

    channels: int
    stride: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    activation: Callable[..., nn.Module]

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
        if x.shape != y.shape:
            x = self.conv(self.channels, 1, strides=self.stride, padding=0, name="projection")(x)
            x = self.norm(name="norm_projection")(x, mask=spread(after))
        y = cover(self.activation(name="act2")(x + y), after)
        return y, after, [hidden, y]


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


class ResNetStatistics(nn.Module):
    """ResNet whose frames are pooled to mean and deviation, for input of any length.

    Sections 3.3 and 4.2 of Padi et al.: ResNet34, 32 channels in the first stage, batch norm,
    PReLU, statistics pooling over time of all (bin, channel) features, fully connected layers.
    Their number and width are not given: here one hidden layer of 256 with batch norm and PReLU,
    then the classes. The stem is that of He et al.: 7 x 7 with stride 2, 3 x 3 max pooling with
    stride 2. Every layer zeroes what lies past an utterance's end and paddings are symmetric, so
    an utterance has the same logits in any batch.

    `features` of the result: `conv1` and so on, each after its activation.

    Attributes:
        num_classes: Classes.
        algebra: Of all layers but the last.
        blocks: Number of blocks in each stage; (3, 4, 6, 3) is ResNet34.
        channels: Of the first stage; doubled in each further one.
        hidden: Width of the hidden dense layer.
        dtype: Of the arithmetic; pooled statistics and logits are float32.
        param_dtype: Of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    blocks: Sequence[int] = (3, 4, 6, 3)
    channels: int = 32
    hidden: int = 256
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
        """
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}

        def conv(*args: Any, **options: Any) -> nn.Module:
            return self.algebra.conv(*args, use_bias=False, **types, **options)

        def norm(**options: Any) -> nn.Module:
            return self.algebra.batch_norm(use_running_average=not train, **types, **options)

        def activation(**options: Any) -> nn.Module:
            return nn.PReLU(negative_slope_init=0.25, param_dtype=self.param_dtype, **options)

        y = conv(self.channels, 7, strides=2, padding=3, name="stem_conv")(cover(x, mask))
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
        for stage, count in enumerate(self.blocks):
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                block = BasicBlock(
                    self.channels * 2**stage,
                    stride,
                    conv,
                    norm,
                    activation,
                    name=f"stage{stage + 1}_block{index + 1}",
                )
                y, mask, outputs = block(y, mask)
                for output in outputs:
                    features[f"conv{len(features) + 1}"] = output
        q = self.algebra.components
        y = rearrange(y, "b t f (q c) -> b t (q f c)", q=q)
        y = StatisticsPooling(components=q)(y, mask)
        y = self.algebra.dense(self.hidden, name="dense1", **types)(y)
        filled = None if mask is None else mask.any(-1)[:, None]
        y = activation(name="dense1_act")(norm(name="dense1_norm")(y, mask=filled))
        logits = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)(y)
        return logits.astype(jnp.float32), features

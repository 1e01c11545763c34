"""ResNet with statistics pooling of Padi et al. (2021), for speech of any length."""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike

from serjax.errors import InputError, unknown_name
from serjax.layers import HEAD_INIT, REAL, Algebra, StatisticsPooling
from serjax.models.common import global_pool
from serjax.models.resnet import BasicBlock, trunk

_POOLINGS = ("statistics", "mean")


class ResNetStatistics(nn.Module):
    """ResNet that pools frames to mean and deviation, for input of any length.

    Padi et al. (2021), sections 3.3 and 4.2: ResNet34, 32 channels in the first stage, batch norm,
    PReLU, statistics pooling over time of all (bin, channel) features, fully connected layers.
    The paper does not give their number and width: here they are one hidden layer of 256 with
    batch norm and PReLU, then the classes. Stem and blocks are those of `ResNet`, so an utterance
    has the same logits in every batch.

    Its features are `conv1`, `conv2` and so on, each after its activation; the last one of a block
    is the output of the block. Projections of shortcuts are not counted.

    Attributes:
        num_classes: Number of classes.
        algebra: Algebra of all layers except the last.
        blocks: Number of blocks in each stage; (3, 4, 6, 3) is ResNet34.
        channels: Channels of the first stage, doubled in each further stage.
        pooling: "statistics"; or "mean" over all positions, the pooling of ResNet34 itself. Padi et
            al. compare it with statistics pooling in their Figure 4, as far as they describe it.
        hidden: Width of the hidden dense layer.
        dtype: Type of the arithmetic; pooled statistics and logits are float32.
        param_dtype: Type of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    blocks: Sequence[int] = (3, 4, 6, 3)
    channels: int = 32
    pooling: str = "statistics"
    hidden: int = 256
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
        if self.pooling not in _POOLINGS:
            raise InputError(unknown_name("pooling", self.pooling, _POOLINGS))
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        norm = functools.partial(self.algebra.batch_norm, use_running_average=not train, **types)
        activation = functools.partial(
            nn.PReLU, negative_slope_init=0.25, param_dtype=self.param_dtype
        )
        y, mask, features = trunk(
            x,
            mask,
            block=BasicBlock,
            blocks=self.blocks,
            channels=self.channels,
            conv=functools.partial(self.algebra.conv, use_bias=False, **types),
            norm=norm,
            activation=activation,
        )
        q = self.algebra.components
        if self.pooling == "mean":
            y = global_pool(y, mask, "mean")
        else:
            y = rearrange(y, "b t f (q c) -> b t (q f c)", q=q)
            y = StatisticsPooling(components=q)(y, mask)
        y = self.algebra.dense(self.hidden, name="dense1", **types)(y)
        nonempty = None if mask is None else mask.any(-1)[:, None]
        y = activation(name="dense1_act")(norm(name="dense1_norm")(y, mask=nonempty))
        logits = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)(y)
        return logits.astype(jnp.float32), features

"""ResNet with statistics pooling, for speech of any length (Padi et al., ICMI 2021)."""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange

from serjax.errors import InputError, unknown_name
from serjax.layers import HEAD_INIT, REAL, Algebra, StatisticsPooling
from serjax.models.heads import global_pool
from serjax.models.resnet import BasicBlock, trunk

_POOLINGS = ("statistics", "mean")


class ResNetStatistics(nn.Module):
    """ResNet whose frames are pooled to mean and deviation, for input of any length.

    Sections 3.3 and 4.2 of Padi et al.: ResNet34, 32 channels in the first stage, batch norm,
    PReLU, statistics pooling over time of all (bin, channel) features, fully connected layers.
    Their number and width are not given: here one hidden layer of 256 with batch norm and PReLU,
    then the classes. Stem and blocks are those of `ResNet`, so an utterance has the same logits
    in any batch.

    `features` of the result: `conv1` and so on, each after its activation; the last of a block
    after the block's sum. Projections of shortcuts are not counted.

    Attributes:
        num_classes: Classes.
        algebra: Of all layers but the last.
        blocks: Number of blocks in each stage; (3, 4, 6, 3) is ResNet34.
        channels: Of the first stage; doubled in each further one.
        pooling: "statistics"; or "mean" over all positions, that of ResNet34 itself, which is what
            Padi et al. compare statistics with in their Figure 4, for all that they say of it.
        hidden: Width of the hidden dense layer.
        dtype: Of the arithmetic; pooled statistics and logits are float32.
        param_dtype: Of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    blocks: Sequence[int] = (3, 4, 6, 3)
    channels: int = 32
    pooling: str = "statistics"
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

        Raises:
            InputError: another pooling than statistics and mean.
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
        filled = None if mask is None else mask.any(-1)[:, None]
        y = activation(name="dense1_act")(norm(name="dense1_norm")(y, mask=filled))
        logits = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)(y)
        return logits.astype(jnp.float32), features

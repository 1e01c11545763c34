"""SqueezeNet of Iandola et al. (2016), over any algebra."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from serjax.layers import HEAD_INIT, REAL, Algebra, max_pool
from serjax.models.common import check_input, global_pool

FIRES = (
    ((16, 128), (16, 128)),
    ((32, 256), (32, 256)),
    ((48, 384), (48, 384), (64, 512), (64, 512)),
)


class Fire(nn.Module):
    """Fire module: a 1 x 1 convolution to few channels, then parallel ones of 1 x 1 and 3 x 3.

    Attributes:
        squeezed: Channels of the first convolution.
        expanded: Channels of the output, half of them from each of the parallel convolutions.
        algebra: Algebra of all layers.
        dtype: Type of the arithmetic.
        param_dtype: Type of the stored parameters.
    """

    squeezed: int
    expanded: int
    algebra: Algebra
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        """Returns the output, and the outputs of the three convolutions.

        Args:
            x: Activations `[batch, frames, bins, channels]`.
        """
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        squeeze = nn.relu(self.algebra.conv(self.squeezed, 1, name="squeeze", **types)(x))
        half = self.expanded // 2
        narrow = nn.relu(self.algebra.conv(half, 1, name="expand1x1", **types)(squeeze))
        wide = nn.relu(self.algebra.conv(half, 3, padding=1, name="expand3x3", **types)(squeeze))
        return self.algebra.concatenate([narrow, wide]), [squeeze, narrow, wide]


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 of torchvision, without dense layers: logits are means of class maps.

    It is the authors' revision of the network in arXiv 1602.07360, with 1,235,496 parameters for
    1000 classes and three channels. The last convolution is real in every algebra. The input has
    any size of at least 17 x 17.

    Its features are `conv1` ... `conv26`, each after its ReLU; the last are the class maps.

    Attributes:
        num_classes: Number of classes.
        algebra: Algebra of all layers except the last.
        fires: Squeezed and expanded channels of the fire modules; a max pooling comes before each
            group.
        pooling: Pooling over positions at the end, "mean" or "max".
        hidden: Width of a dense layer with ReLU, which together with a last dense layer after the
            pooling replaces the last convolution; None for the last convolution.
        dropout_rate: Dropout rate before the last convolution, or before the pooling if there is
            none.
        dtype: Type of the arithmetic; logits are float32.
        param_dtype: Type of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    fires: Sequence[Sequence[tuple[int, int]]] = FIRES
    pooling: str = "mean"
    hidden: int | None = None
    dropout_rate: float = 0.5
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Computes logits and activations.

        Args:
            x: Input `[batch, frames, bins, channels]`, its padding included.
            train: Whether the network trains: dropout is active.
            mask: Ignored, as padding is part of the input.

        Returns:
            Logits `[batch, classes]` float32, and features by name.

        Raises:
            InputError: The input is smaller than 17 x 17, or the pooling is unknown.
        """
        check_input("SqueezeNet", x, 17)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        stem = self.algebra.conv(64, 3, strides=2, padding="VALID", name="conv1", **types)
        x = nn.relu(stem(x))
        outputs = [x]
        for group in self.fires:
            x = max_pool(x, (3, 3), (2, 2), partial=True)
            for squeezed, expanded in group:
                # Numbers as in the paper, whose first layer is a convolution.
                name = f"fire{2 + len(outputs) // 3}"
                fire = Fire(
                    squeezed, expanded, self.algebra, self.dtype, self.param_dtype, name=name
                )
                x, inner = fire(x)
                outputs += inner
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        if self.hidden is None:
            last = REAL.conv(self.num_classes, 1, kernel_init=HEAD_INIT, name="head", **types)
            outputs.append(nn.relu(last(x)))
            logits = global_pool(outputs[-1], None, self.pooling)
        else:
            x = global_pool(x, None, self.pooling)
            x = nn.relu(self.algebra.dense(self.hidden, name="dense1", **types)(x))
            head = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)
            logits = head(x)
        features = {f"conv{index}": y for index, y in enumerate(outputs, start=1)}
        return logits.astype(jnp.float32), features

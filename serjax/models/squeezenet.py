"""SqueezeNet (Iandola et al., 2016) over any algebra."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.layers import HEAD_INIT, REAL, Algebra, max_pool
from serjax.models.heads import global_pool
from serjax.models.input_size import check_input

FIRES = (
    ((16, 128), (16, 128)),
    ((32, 256), (32, 256)),
    ((48, 384), (48, 384), (64, 512), (64, 512)),
)


class Fire(nn.Module):
    """A 1 x 1 convolution to few channels, then one of 1 x 1 and one of 3 x 3 side by side.

    Attributes:
        squeezed: Channels of the first convolution.
        expanded: Channels of the result, half of them from each of the other two.
        algebra: Of all layers.
        dtype: Of the arithmetic.
        param_dtype: Of the stored parameters.
    """

    squeezed: int
    expanded: int
    algebra: Algebra
    dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        """`[batch, frames, bins, channels]` -> (output, outputs of the three convolutions)."""
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        squeeze = nn.relu(self.algebra.conv(self.squeezed, 1, name="squeeze", **types)(x))
        half = self.expanded // 2
        narrow = nn.relu(self.algebra.conv(half, 1, name="expand1x1", **types)(squeeze))
        wide = nn.relu(self.algebra.conv(half, 3, padding=1, name="expand3x3", **types)(squeeze))
        return self.algebra.concatenate([narrow, wide]), [squeeze, narrow, wide]


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 as torchvision has it: no dense layer, logits are means of class maps.

    The authors' revision of the network in arXiv 1602.07360. 1,235,496 parameters with 1000
    classes on three channels. The last convolution is real in every algebra. Input has any size
    from 17 x 17 on.

    `features` of the result: `conv1` ... `conv26`, each after its ReLU; the last is the class
    maps.

    Attributes:
        num_classes: Classes.
        algebra: Of all layers but the last.
        fires: Squeezed and expanded channels of the fire modules; a max pooling comes before each
            group.
        pooling: Over positions at the end, "mean" or "max".
        hidden: Units of a dense layer with ReLU that, with another, stands after the pooling in
            place of the last convolution; None: there is none.
        dropout_rate: Before the last convolution, or the pooling in its place.
        dtype: Of the arithmetic; logits are float32.
        param_dtype: Of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    fires: Sequence[Sequence[tuple[int, int]]] = FIRES
    pooling: str = "mean"
    hidden: int | None = None
    dropout_rate: float = 0.5
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classifies `[batch, frames, bins, channels]` -> (logits `[batch, classes]`, features).

        Padding is part of the input, so `mask` has nothing to say.

        Raises:
            InputError: an input smaller than 17 x 17; another pooling than mean and max.
        """
        check_input("SqueezeNet", x, 17)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        stem = self.algebra.conv(64, 3, strides=2, padding="VALID", name="conv1", **types)
        x = nn.relu(stem(x))
        outputs = [x]
        for group in self.fires:
            x = max_pool(x, (3, 3), (2, 2), partial=True)
            for squeezed, expanded in group:
                # Numbered as in the paper, where a convolution is the first layer.
                name = f"fire{2 + len(outputs) // 3}"
                fire = Fire(squeezed, expanded, self.algebra, name=name, **types)
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

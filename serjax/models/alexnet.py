"""AlexNet (Krizhevsky, 2014) over any algebra."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.layers import HEAD_INIT, REAL, Algebra, adaptive_average_pool, max_pool
from serjax.models.input_size import check_input

# Channels, window, stride and padding of each convolution, and whether a max pooling follows.
_CONVOLUTIONS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


class AlexNet(nn.Module):
    """AlexNet as torchvision has it: the single tower of One Weird Trick (arXiv 1404.5997).

    Five convolutions, max pooling of 3 x 3 with stride 2 after the first, second and fifth,
    adaptive average pooling to 6 x 6, two hidden dense layers. 61,100,840 parameters with 1000
    classes on three channels. The last layer is real in every algebra. Input has any size from
    63 x 63 on.

    `features` of the result: `conv1` ... `conv5`, each after its ReLU.

    Attributes:
        num_classes: Classes.
        algebra: Of all layers but the last.
        hidden: Width of the two hidden dense layers.
        dropout_rate: Before each hidden dense layer.
        dtype: Of the arithmetic; logits are float32.
        param_dtype: Of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    hidden: int = 4096
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
            InputError: an input smaller than 63 x 63.
        """
        check_input("AlexNet", x, 63)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        features: dict[str, jax.Array] = {}
        for channels, window, stride, padding, pool in _CONVOLUTIONS:
            name = f"conv{len(features) + 1}"
            conv = self.algebra.conv(
                channels, window, strides=stride, padding=padding, name=name, **types
            )
            x = features[name] = nn.relu(conv(x))
            if pool:
                x = max_pool(x, (3, 3), (2, 2))
        x = self.algebra.flatten(adaptive_average_pool(x, 6, 6))
        for index in (1, 2):
            x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
            x = nn.relu(self.algebra.dense(self.hidden, name=f"dense{index}", **types)(x))
        logits = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)(x)
        return logits.astype(jnp.float32), features

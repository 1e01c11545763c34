"""AlexNet of Krizhevsky (2014), over any algebra."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from serjax.layers import HEAD_INIT, REAL, Algebra, adaptive_average_pool, max_pool
from serjax.models.common import check_input

# Channels, kernel size, stride and padding of each convolution; True if a max pooling follows.
_CONVOLUTIONS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


class AlexNet(nn.Module):
    """AlexNet of torchvision: the single tower of One Weird Trick (arXiv 1404.5997).

    Five convolutions, max pooling of 3 x 3 with stride 2 after the first, second and fifth,
    adaptive average pooling to 6 x 6, two hidden dense layers. It has 61,100,840 parameters for
    1000 classes and three channels. The last layer is real in every algebra. The input has any
    size of at least 63 x 63.

    Its features are `conv1` ... `conv5`, each after its ReLU.

    Attributes:
        num_classes: Number of classes.
        algebra: Algebra of all layers except the last.
        hidden: Width of the two hidden dense layers.
        dropout_rate: Dropout rate before each hidden dense layer.
        dtype: Type of the arithmetic; logits are float32.
        param_dtype: Type of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    hidden: int = 4096
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
            InputError: The input is smaller than 63 x 63.
        """
        check_input("AlexNet", x, 63)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        features: dict[str, jax.Array] = {}
        for channels, kernel_size, stride, padding, has_pooling in _CONVOLUTIONS:
            name = f"conv{len(features) + 1}"
            conv = self.algebra.conv(
                channels, kernel_size, strides=stride, padding=padding, name=name, **types
            )
            x = features[name] = nn.relu(conv(x))
            if has_pooling:
                x = max_pool(x, (3, 3), (2, 2))
        x = self.algebra.flatten(adaptive_average_pool(x, 6, 6))
        for index in (1, 2):
            x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
            x = nn.relu(self.algebra.dense(self.hidden, name=f"dense{index}", **types)(x))
        logits = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)(x)
        return logits.astype(jnp.float32), features

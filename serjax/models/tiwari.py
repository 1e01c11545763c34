"""The custom CNN ("Model 2") of Tiwari et al., for spectrogram images."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.layers import HEAD_INIT, REAL, Algebra, max_pool
from serjax.models.input_size import check_input


class TiwariCNN(nn.Module):
    """Plain stages of convolution and pooling, then a small classifier.

    Section IV.B of the paper says that the network is a CNN of its own, made for images of
    spectrograms, "strategically layered", with activation and normalization, and shows it in a
    figure that is lost. Its training images are reduced in size and augmented by geometric and
    photometric changes (rotation, flipping, elastic deformation).

    Everything else is chosen here: stages of one 3 x 3 convolution, batch norm, ReLU and 2 x 2 max
    pooling, with 32, 64, 128, 256 and 256 channels; dense 256 with ReLU and 50 % dropout; classes.
    A 256 x 128 spectrogram leaves 8 x 4 positions, and the network has 3.1 M parameters, a seventh
    of those of the ResNet34 that the paper sets it against. Input has 32 x 32 positions at least.

    `features` of the result: `conv1` ... `conv5`, each after its norm and ReLU.

    Attributes:
        num_classes: Classes.
        algebra: Of all layers but the last.
        channels: Of the convolutions.
        hidden: Width of the hidden dense layer.
        dropout_rate: After it.
        dtype: Of the arithmetic; logits are float32.
        param_dtype: Of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    channels: Sequence[int] = (32, 64, 128, 256, 256)
    hidden: int = 256
    dropout_rate: float = 0.5
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classifies `[batch, frames, bins, channels]` -> (logits `[batch, classes]`, features).

        The input has a fixed size, its padding included; `mask` `[batch, frames]` leaves batch
        entries without any real frame, which only fill up a batch, out of the batch statistics.
        """
        check_input("TiwariCNN", x, 2 ** len(self.channels))
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        filled = None if mask is None else mask.any(-1)[:, None, None, None]
        features: dict[str, jax.Array] = {}
        for index, channels in enumerate(self.channels, start=1):
            x = self.algebra.conv(
                channels,
                3,
                padding=1,
                use_bias=False,  # the norm that follows has one
                name=f"conv{index}",
                **types,
            )(x)
            norm = self.algebra.batch_norm(
                use_running_average=not train, name=f"norm{index}", **types
            )
            x = features[f"conv{index}"] = nn.relu(norm(x, mask=filled))
            x = max_pool(x, (2, 2))
        x = nn.relu(
            self.algebra.dense(self.hidden, name="dense1", **types)(self.algebra.flatten(x))
        )
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        logits = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)(x)
        return logits.astype(jnp.float32), features

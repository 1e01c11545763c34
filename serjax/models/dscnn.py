"""DSCNN: the deep stride network of Deepika & Kuchibhotla 2025."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.layers import HEAD_INIT, REAL, Algebra
from serjax.models.input_size import check_input

_CHANNELS = (16, 32, 32, 64, 64, 128, 128)
_WINDOWS = (7, 5, 3, 3, 3, 3, 3)


class DSCNN(nn.Module):
    """Seven strided convolutions in place of pooling, then two dense layers.

    Convolution, batch norm, ReLU; 16 kernels of 7 x 7, 32 of 5 x 5, 32, 64, 64, 128, 128 of 3 x 3;
    dense 512 with 25 % dropout; classes. The text gives every convolution stride 2, which would
    shrink a 128 x 128 spectrogram to a single position and the model to 1.4 MB. The default here
    halves at the layers where the number of kernels doubles, the rule that the text states, and
    leaves 8 x 8: 4.5 M parameters, 34.3 MiB with the one slot an optimizer with momentum keeps,
    next to the paper's 34.5 MB.

    `features` of the result: `conv1` ... `conv7`, each after its ReLU.

    Attributes:
        num_classes: Classes.
        algebra: Of all layers but the last.
        strides: Of the seven convolutions.
        hidden: Width of the hidden dense layer.
        dropout_rate: After it.
        dtype: Of the arithmetic; logits are float32.
        param_dtype: Of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    strides: Sequence[int] = (2, 2, 1, 2, 1, 2, 1)
    hidden: int = 512
    dropout_rate: float = 0.25
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
        check_input("DSCNN", x, 1)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        filled = None if mask is None else mask.any(-1)[:, None, None, None]
        features: dict[str, jax.Array] = {}
        for channels, window, stride in zip(_CHANNELS, _WINDOWS, self.strides, strict=True):
            index = len(features) + 1
            x = self.algebra.conv(
                channels,
                window,
                strides=stride,
                padding=window // 2,
                use_bias=False,  # the norm that follows has one
                name=f"conv{index}",
                **types,
            )(x)
            norm = self.algebra.batch_norm(
                use_running_average=not train, name=f"norm{index}", **types
            )
            x = features[f"conv{index}"] = nn.relu(norm(x, mask=filled))
        x = nn.relu(
            self.algebra.dense(self.hidden, name="dense1", **types)(self.algebra.flatten(x))
        )
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        logits = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)(x)
        return logits.astype(jnp.float32), features

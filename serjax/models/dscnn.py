"""DSCNN, the deep stride network of Deepika & Kuchibhotla (2025), over any algebra."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from serjax.layers import HEAD_INIT, REAL, Algebra
from serjax.models.common import check_input, has_valid_frames

_CHANNELS = (16, 32, 32, 64, 64, 128, 128)
_KERNEL_SIZES = (7, 5, 3, 3, 3, 3, 3)


class DSCNN(nn.Module):
    """Network of seven strided convolutions, without pooling, and two dense layers.

    Each convolution has a batch norm and a ReLU: 16 kernels of 7 x 7, 32 of 5 x 5, then 32, 64,
    64, 128 and 128 of 3 x 3. A dense layer of 512 with 25 % dropout follows, then the classes.

    The paper's text gives every convolution stride 2. That reduces a 128 x 128 spectrogram to one
    position and the network to 0.37 M parameters, 1.5 MB, while the paper reports 34.1 and 34.5 MB.
    By default, stride 2 is only at the layers where the number of kernels doubles, the rule that
    the text states too. The last feature map is then 8 x 8, and the network has 4.5 M parameters:
    18.0 MB, 36.0 MB (34.3 MiB) with one slot of an optimizer with momentum, and 54.0 MB with the
    two of Adam. Which of them the paper counts is unknown. `strides=(2,) * 7` follows its text.

    Its features are `conv1` ... `conv7`, each after its ReLU.

    Attributes:
        num_classes: Number of classes.
        algebra: Algebra of all layers except the last.
        strides: Strides of the seven convolutions.
        hidden: Width of the hidden dense layer.
        dropout_rate: Dropout rate after the hidden dense layer.
        dtype: Type of the arithmetic; logits are float32.
        param_dtype: Type of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    strides: Sequence[int] = (2, 2, 1, 2, 1, 2, 1)
    hidden: int = 512
    dropout_rate: float = 0.25
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Computes logits and activations.

        Args:
            x: Input `[batch, frames, bins, channels]` of a fixed size, its padding included.
            train: Whether the network trains: dropout is active and batch statistics normalize.
            mask: Mask of valid frames `[batch, frames]`. It only excludes entries that fill up a
                batch, which have no valid frame, from the batch statistics.

        Returns:
            Logits `[batch, classes]` float32, and features by name.

        Raises:
            InputError: The input has another rank.
        """
        check_input("DSCNN", x, 1)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        nonempty = has_valid_frames(mask)
        features: dict[str, jax.Array] = {}
        layers = zip(_CHANNELS, _KERNEL_SIZES, self.strides, strict=True)
        for index, (channels, kernel_size, stride) in enumerate(layers, start=1):
            x = self.algebra.conv(
                channels,
                kernel_size,
                strides=stride,
                padding=kernel_size // 2,
                use_bias=False,  # the batch norm that follows has one
                name=f"conv{index}",
                **types,
            )(x)
            norm = self.algebra.batch_norm(
                use_running_average=not train, name=f"norm{index}", **types
            )
            x = features[f"conv{index}"] = nn.relu(norm(x, mask=nonempty))
        x = nn.relu(
            self.algebra.dense(self.hidden, name="dense1", **types)(self.algebra.flatten(x))
        )
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        logits = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)(x)
        return logits.astype(jnp.float32), features

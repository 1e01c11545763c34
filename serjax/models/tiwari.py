"""Custom CNN ("Model 2") of Tiwari et al. for spectrogram images, over any algebra."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from serjax.layers import HEAD_INIT, REAL, Algebra, max_pool
from serjax.models.common import check_input, has_valid_frames


class TiwariCNN(nn.Module):
    """Plain stages of convolution and pooling, then a small classifier.

    Section IV.B of the paper describes a custom CNN for images of spectrograms, "strategically
    layered", with activation and normalization, and shows it in a figure that is lost. Its
    training images are reduced in size and augmented by geometric and photometric transforms
    (rotation, flipping, elastic deformation).

    All other parameters are chosen by us: stages of one 3 x 3 convolution, batch norm, ReLU and
    2 x 2 max pooling, with 32, 64, 128, 256 and 256 channels; a dense layer of 256 with ReLU and
    50 % dropout; the classes. A 256 x 128 spectrogram gives a last feature map of 8 x 4, and the
    network has 3.1 M parameters, a seventh of the ResNet34 that the paper compares it with. The
    input has at least 32 x 32 positions.

    Its features are `conv1` ... `conv5`, each after its batch norm and ReLU.

    Attributes:
        num_classes: Number of classes.
        algebra: Algebra of all layers except the last.
        channels: Channels of the convolutions.
        hidden: Width of the hidden dense layer.
        dropout_rate: Dropout rate after the hidden dense layer.
        dtype: Type of the arithmetic; logits are float32.
        param_dtype: Type of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    channels: Sequence[int] = (32, 64, 128, 256, 256)
    hidden: int = 256
    dropout_rate: float = 0.5
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
            InputError: The input is smaller than 2^n x 2^n for n convolutions.
        """
        check_input("TiwariCNN", x, 2 ** len(self.channels))
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        nonempty = has_valid_frames(mask)
        features: dict[str, jax.Array] = {}
        for index, channels in enumerate(self.channels, start=1):
            x = self.algebra.conv(
                channels,
                3,
                padding=1,
                use_bias=False,  # the batch norm that follows has one
                name=f"conv{index}",
                **types,
            )(x)
            norm = self.algebra.batch_norm(
                use_running_average=not train, name=f"norm{index}", **types
            )
            x = features[f"conv{index}"] = nn.relu(norm(x, mask=nonempty))
            x = max_pool(x, (2, 2))
        x = nn.relu(
            self.algebra.dense(self.hidden, name="dense1", **types)(self.algebra.flatten(x))
        )
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        logits = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)(x)
        return logits.astype(jnp.float32), features
